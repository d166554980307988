"""Put results in place: whole or not at all, and never over the only copy of anything."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from modelinspect.core.replacing import bring_to_disk, permit
from modelinspect.errors import ModelInspectError, OutputError, UsageError


@contextmanager
def staging(beside: Path) -> Iterator[Path]:
    """Give a hidden folder next to ``beside``, on the same file system; it is gone afterwards.

    Raises `OutputError`.
    """
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
    except ModelInspectError:
        raise
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
            permit(path)
            bring_to_disk(path)
        staged.replace(output.resolve() if output.is_file() else output)
        bring_to_disk(output.parent)


def publish_files(staged: Mapping[Path, Path]) -> None:
    """Move staged files to their places in the order given; the last one makes the others count.

    Raises `OutputError`.
    """
    for path, place in staged.items():
        with disk(place):
            permit(path)
            bring_to_disk(path)
    for path, place in staged.items():
        with disk(place):
            path.replace(place.resolve() if place.is_file() else place)
            bring_to_disk(place.parent)


def replace_files(
    staged: Mapping[Path, Path], obsolete: Sequence[Path], expected: Mapping[Path, str]
) -> None:
    """Put staged files in the places of originals, and keep each original as NAME.orig until the new files
    are read back.

    ``staged`` maps staged files to their places, in the order in which they count; ``obsolete`` originals go
    without a successor; ``expected`` are the SHA-256 that the new files must have, by place. Raises
    `OutputError`; the originals are in their places again or beside them then.
    """
    originals = [place for place in [*staged.values(), *obsolete] if place.exists()]
    kept = {original: original.with_name(original.name + ".orig") for original in originals}
    for original, copy in kept.items():
        _refuse_leftover(original, copy)
    with disk(next(iter(staged.values()))):
        for path, place in staged.items():
            if place.exists():
                path.chmod(stat.S_IMODE(place.stat().st_mode))
            else:
                permit(path)
            bring_to_disk(path)
        for original, copy in kept.items():
            _keep(original, copy)
        for path, place in staged.items():
            path.replace(place)
        bring_to_disk(next(iter(staged.values())).parent)
    if any(file_digest(place) != expected[place] for place in staged.values()):
        for original, copy in kept.items():
            copy.replace(original)
        raise OutputError("the new file was not written as it should be; the original is in its place again")
    with disk(next(iter(staged.values()))):
        for original in obsolete:
            original.unlink(missing_ok=True)
        for copy in kept.values():
            copy.unlink()


def _refuse_leftover(original: Path, kept: Path) -> None:
    if kept.exists() or kept.is_symlink():
        raise OutputError(
            f"{kept}: exists; an earlier run may have left it: compare it with {original.name} and remove one"
            " of them"
        )


def _keep(original: Path, kept: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links."""
    try:
        os.link(original, kept)
    except OSError:
        shutil.copy2(original, kept)
        bring_to_disk(kept)


def replace_folder(staged: Path, original: Path, expected: Mapping[str, str]) -> None:
    """Put a staged folder in the original's place; the original is NAME.orig until the new one is read back.

    Raises `OutputError`.
    """
    kept = original.with_name(original.name + ".orig")
    with disk(original):
        _refuse_leftover(original, kept)
        for path in [staged, *staged.rglob("*")]:
            permit(path)
            bring_to_disk(path)
        original.rename(kept)
        try:
            staged.rename(original)
        except OSError:
            kept.rename(original)
            raise
        bring_to_disk(original.parent)
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
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
