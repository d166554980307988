"""Create a separate virtual environment for each TensorFlow release, in which the worker runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from modelinspect.pruning.errors import JobError
from modelinspect.pruning.folder import output_error

RELEASES = ("2.16", "2.17", "2.18", "2.19", "2.20", "2.21")
"""The releases that ``all`` stands for: from the first that runs on Keras 3, and needs tf_keras, on."""

_START = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module('modelinspect.pruning.worker',"
    " run_name='__main__')"
)
_RELEASE = re.compile(r"\d+\.\d+(\.\d+)?")

RunCommand = Callable[[Sequence[str]], "tuple[int, str]"]
"""Runs a command; returns its exit status and what it wrote."""


class Environment(Struct, frozen=True):
    """A release: how to start the worker under it, or the reason why that cannot be."""

    release: str
    worker: tuple[str, ...] = ()
    reason: str = ""


def choose_releases(text: str) -> tuple[str, ...]:
    """Read releases such as ``2.16,2.18.1``, or ``all``. Raises `JobError`."""
    if text == "all":
        return RELEASES
    chosen = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    wrong = [part for part in chosen if not _RELEASE.fullmatch(part)]
    if wrong or not chosen:
        raise JobError(
            "--releases takes TensorFlow releases such as 2.16,2.18, or all, not"
            f" {', '.join(wrong) or 'nothing'}"
        )
    return chosen


def requirements(release: str) -> tuple[str, ...]:
    """Return what pip installs for a release: TensorFlow, its tf_keras, tfmot, and what the worker
    imports.
    """
    minor = ".".join(release.split(".")[:2])
    tensorflow = f"tensorflow=={release}" if release.count(".") == 2 else f"tensorflow=={release}.*"
    return (
        tensorflow,
        f"tf-keras=={minor}.*",
        "tensorflow-model-optimization==0.8.*",
        "h5py",
        "msgspec",
        "numpy",
    )


def environment_of(release: str, folder: Path, run: RunCommand | None = None) -> Environment:
    """Make the environment of a release in its folder, unless it is there already. Raises `OutputError`.

    The worker starts isolated (``python -I``) with only this package on its path beside what the environment
    has.
    """
    run = run or _run
    place = folder / "environment"
    ready = place / "ready.txt"
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = "\n".join(requirements(release)) + "\n"
    try:
        if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(place, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            for command in (
                (sys.executable, "-m", "venv", str(place)),
                (
                    str(python),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-input",
                    *requirements(release),
                ),
            ):
                status, output = run(command)
                if status:
                    shutil.rmtree(place, ignore_errors=True)
                    return Environment(
                        release, reason=_reason(output) or f"{command[1:3]} ended with status {status}"
                    )
            ready.write_text(wanted, encoding="utf-8")
        return Environment(release, (str(python), "-I", "-c", _START, str(_linked(folder))))
    except OSError as problem:
        raise output_error(folder, problem) from problem


def _linked(folder: Path) -> Path:
    """Return a folder that holds this package and no other."""
    source = folder.resolve() / "source"
    link = source / "modelinspect"
    package = Path(__file__).resolve().parent.parent
    if not link.exists() or link.resolve() != package:
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        link.symlink_to(package, target_is_directory=True)
    return source


def _reason(output: str) -> str:
    """Return what pip gives as its reason: the last line that it calls an error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or [""])[-1][:300]


def _run(command: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603 - venv and pip
        list(command), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr
