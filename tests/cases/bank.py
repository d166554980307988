"""Reads the cases and builds their artifacts, each builder once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.corpus import PROJECT

HERE = Path(__file__).parent
BUILDERS = {
    "build_by_hand": (28, 36, 60),
    "build_keras": (14, 15, 16, 17, 19),
    "build_keras_more": tuple(range(41, 60)),
    "build_tf": (12, 20, 22, 23, 24, 25, 27, 29, 31, 34, 39, 40),
    "build_tf_keras": (3, 4, 5, 6, 13, 18, 21, 26, 30, 32, 33),
}
"""Which script rebuilds which cases; the others are fixtures, which modelinspect's pruning stage made."""


Formulas = dict[str, list[str]]
"""Formulas of `oracles` by the name of a cause or rule: all of them must come to what the tool says."""


@dataclass(frozen=True)
class Case:
    """What somebody asked, rebuilt: the true cause, and the bytes that its construction and other software
    tell.

    ``tensors`` are the bytes of tensors of every cause that has any, ``causes`` those of whole causes,
    structures included. No rule fires but those of ``findings``, with their bytes, and those ``beside``,
    which are true of the file and not what was asked. Of causes that are ``undivided``, only the whole can be
    known without the tool: a compressor does not say which byte is whose. ``inferred`` says what is not
    certain where the thread never came to an end.
    """

    name: str
    number: int
    source: str
    happened: str
    before: str
    after: str
    cause: str
    inferred: str = ""
    tensors: Formulas = field(default_factory=dict)
    causes: Formulas = field(default_factory=dict)
    findings: Formulas = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    undivided: tuple[str, ...] = ()

    @property
    def builder(self) -> str | None:
        """The script that builds it; None where fixtures serve."""
        return next((script for script, numbers in BUILDERS.items() if self.number in numbers), None)

    def paths(self, built: Path) -> tuple[Path, Path]:
        """Return its two artifacts."""
        folder = PROJECT if self.builder is None else built / self.name
        return folder / self.before, folder / self.after


@cache
def cases() -> tuple[Case, ...]:
    """Return all cases in the order of their numbers."""
    found = [
        (path.parent.name, tomllib.loads(path.read_text(encoding="utf-8")))
        for path in sorted(HERE.glob("*/case.toml"))
    ]
    return tuple(
        Case(name, **{key: tuple(value) if isinstance(value, list) else value for key, value in told.items()})
        for name, told in found
    )


def build(script: str, root: Path, timeout: float = 900) -> Path:
    """Run a builder, or wait for the process that runs it already; return the folder of the cases."""
    folder = root / script
    done = root / f"{script}.done"
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        for _ in range(int(timeout)):
            if done.exists():
                return folder
            time.sleep(1)
        raise TimeoutError(f"{script} is not done") from None
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(PROJECT),
    }
    environment["TF_USE_LEGACY_KERAS"] = "1" if script == "build_tf_keras" else "0"
    command = [sys.executable, HERE / f"{script}.py", folder]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    if run.returncode:
        raise RuntimeError(f"{script} failed: {run.stderr[-2_000:]}")
    done.touch()
    return folder
