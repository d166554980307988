"""Make a directory completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelinspect.errors import OutputError
from modelinspect.pruning.errors import JobError

MANIFEST = "manifest.json"
"""The file that says that a directory is ours to replace."""


@contextmanager
def whole_folder(target: Path, *, force: bool) -> Iterator[tuple[Path, Path]]:
    """Yield a new folder and a scratch folder beside the target; the new one takes the target's place when
    all went well.

    Raises `JobError` where the target exists and may not be replaced, `OutputError` where the disk says no.
    """
    check_target(target, force=force)
    place = target.absolute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        around = Path(tempfile.mkdtemp(prefix=f".{place.name}.making-", dir=place.parent))
    except OSError as problem:
        raise output_error(target, problem) from problem
    try:
        folder, scratch = around / place.name, around / "scratch"
        folder.mkdir()
        scratch.mkdir()
        yield folder, scratch
        _put(folder, place, around / "old")
    except OSError as problem:
        raise output_error(target, problem) from problem
    finally:
        shutil.rmtree(around, ignore_errors=True)


def check_target(target: Path, *, force: bool) -> None:
    """Raise `JobError` where the target exists and may not be replaced."""
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise JobError(f"{target}: exists and is not a directory")
    if not force:
        raise JobError(f"{target}: exists; --force replaces it")
    if any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise JobError(
            f"{target}: holds no {MANIFEST}, so modelinspect did not make it and does not replace it"
        )


def output_error(target: Path, problem: OSError) -> OutputError:
    """Say in one line why nothing could be written."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{target}: no space is left on the disk")
    return OutputError(f"{target}: {problem.strerror or problem}")


def _put(folder: Path, place: Path, old: Path) -> None:
    if place.exists():
        place.rename(old)
    try:
        folder.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
