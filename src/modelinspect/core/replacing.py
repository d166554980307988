"""Write a file beside its place, and put it there when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

PART = ".part"
"""The suffix of a file that is being written; its name begins with a dot."""


@contextmanager
def replacing(
    path: Path, mode: str, encoding: str | None = None, *, keep_mode: bool = False, sync: bool = False
) -> Iterator[IO[Any]]:
    """Write a file beside the path and put it in its place when all is well; a device or pipe is written as
    it is.

    The file has the permissions of a new one; ``keep_mode`` gives it those of the file that it replaces.
    ``sync`` brings it to the disk before it is in its place. Raises `OSError`.
    """
    import tempfile  # most commands only print

    newline = None if encoding is None else ""
    if path.exists() and not path.is_file():
        with path.open(mode, encoding=encoding, newline=newline) as device:
            yield device
        return
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=PART, dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, mode, encoding=encoding, newline=newline) as out:
            yield out
            if sync:
                out.flush()
                os.fsync(out.fileno())
        if keep_mode:
            part.chmod(path.stat().st_mode & 0o7777)
        else:
            permit(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if sync:
        bring_to_disk(path.parent)


def permit(path: Path) -> None:
    """Give a file or folder that was made for its owner alone the permissions of a new one."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def bring_to_disk(path: Path) -> None:
    """Bring a file or folder to the disk; not every file system can, and then the rename is as safe as it
    gets.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
