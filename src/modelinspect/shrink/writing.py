"""Put results in place: whole or not at all, and never over the only copy of anything."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modelinspect.core.limits import MIB
from modelinspect.errors import OutputError, UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """Where a result goes: ``path`` is a file, a folder or, where the result is several files beside others, their folder.

    ``names`` maps the staged names to those in the folder; empty where the result is one file or a folder of its own.
    """

    path: Path
    is_folder: bool
    names: Mapping[str, str]


@contextmanager
def staging(beside: Path) -> Iterator[Path]:
    """Give a hidden folder next to ``beside``, on the same file system; it is gone afterwards. Raises `OutputError`."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{beside.name[:80]}.", suffix=".part", dir=beside.parent))
    except OSError as error:
        raise OutputError(f"{beside.parent}: cannot be written: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def disk(where: Path) -> Iterator[None]:
    """Turn trouble with the output's disk into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{where}: cannot be written: {error.strerror or error}") from error


def require_free(source: Path, output: Path, *, force: bool) -> None:
    """Raise `UsageError` where the output is the input, is inside it, or is in the way."""
    with suppress(OSError):
        if output.exists() and output.samefile(source):
            raise UsageError(f"{output}: is the input itself; use --in-place to replace it")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{output}: is inside the input")
    if output.is_dir() or (output.exists() and not output.is_file()):
        raise UsageError(f"{output}: exists; name a new file or folder")
    if output.is_symlink() and not output.exists():
        raise UsageError(f"{output}: is a link that leads nowhere")
    if output.exists() and not force:
        raise UsageError(f"{output}: exists; --force replaces it")


def publish(staged: Path, output: Path) -> None:
    """Move a staged file or folder to its place in one step. Raises `OutputError`."""
    with disk(output):
        for path in [staged, *staged.rglob("*")] if staged.is_dir() else [staged]:
            _permit(path)
            _sync(path)
        staged.replace(output.resolve() if output.is_file() else output)
        _sync(output.parent)


def publish_files(folder: Path, names: Mapping[str, Path]) -> None:
    """Move staged files to their places in the order given; the last one makes the others count. Raises `OutputError`."""
    for name in names:
        with disk(names[name]):
            _permit(folder / name)
            _sync(folder / name)
    for name, place in names.items():
        with disk(place):
            (folder / name).replace(place)


def replace_in_place(staged: Path, original: Path, expected: str) -> None:
    """Put a staged file in the original's place and keep the original as NAME.orig until the new file is read back.

    ``expected`` is the SHA-256 that the file must have. Raises `OutputError`; then the original is in its place again or beside it.
    """
    original = original.resolve()
    kept = original.with_name(original.name + ".orig")
    with disk(original):
        if kept.exists() or kept.is_symlink():
            raise OutputError(f"{kept}: exists; it may be what an earlier run left, compare it with {original.name} first")
        mode = stat.S_IMODE(original.stat().st_mode)
        staged.chmod(mode)
        _sync(staged)
        try:
            os.link(original, kept)
        except OSError:
            shutil.copy2(original, kept)
            _sync(kept)
        staged.replace(original)
        _sync(original.parent)
    if file_digest(original) != expected:
        kept.replace(original)
        raise OutputError(f"{original}: was not written as it should be; the original is in its place again")
    with disk(kept):
        kept.unlink()


def replace_folder(staged: Path, original: Path, expected: Mapping[str, str]) -> None:
    """Put a staged folder in the original's place; the original is NAME.orig until the new one is read back. Raises `OutputError`."""
    kept = original.with_name(original.name + ".orig")
    with disk(original):
        if kept.exists() or kept.is_symlink():
            raise OutputError(f"{kept}: exists; it may be what an earlier run left, compare it with {original.name} first")
        for path in [staged, *staged.rglob("*")]:
            _permit(path)
            _sync(path)
        original.rename(kept)
        try:
            staged.rename(original)
        except OSError:
            kept.rename(original)
            raise
        _sync(original.parent)
    if folder_digests(original) != dict(expected):
        raise OutputError(f"{original}: was not written as it should be; the original is {kept}")
    with disk(kept):
        shutil.rmtree(kept)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, by its relative name."""
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _permit(path: Path) -> None:
    """Give a staged file or folder the permissions of a new one."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def _sync(path: Path) -> None:
    """Bring a file or folder to the disk; not every file system can, and then the rename is as safe as it gets."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


COPY_BLOCK = MIB
"""Bytes that are copied at once."""
