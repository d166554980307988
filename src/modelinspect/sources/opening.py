"""Open a location: a file, a folder, a checkpoint prefix, here or on another machine.

Standard input is read once into a private temporary file, which opens as often as needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from modelinspect.core.limits import Limits
from modelinspect.errors import LocationError
from modelinspect.sources.files import FileSet, ModelIn
from modelinspect.sources.local_files import LocalFiles


def open_location(location: str | os.PathLike[str], limits: Limits | None = None) -> FileSet:
    """Open a file, a directory or a checkpoint prefix, also one that fsspec reaches (``s3://…``).

    Raises `LocationError`.
    """
    if isinstance(location, ModelIn):
        files = open_location(os.fspath(location), limits)
        files.chosen = location.name if location.is_archived else None
        return files
    text = os.fspath(location)
    if "\0" in text or not text:
        raise LocationError(f"{text!r}: not a path")
    if text == STANDARD_INPUT and (copy := _spooled_path()) is not None:
        files = LocalFiles(copy, limits)
        files.location = STANDARD_INPUT
        return files
    if "://" in text:
        from modelinspect.sources.remote import RemoteFiles, is_remote

        if is_remote(text):
            return RemoteFiles(text, limits)
    return LocalFiles(Path(text), limits)


STANDARD_INPUT = "-"
"""The location of standard input; a file of this name is ``./-``."""

_BLOCK = 1 << 20
_spooled: ContextVar[Path | None] = ContextVar("_spooled", default=None)


@contextmanager
def standard_input(stream: BinaryIO, limits: Limits | None = None) -> Iterator[None]:
    """Let the location ``-`` open what a stream holds; the copy is removed at the end.

    Raises `LimitError` for a stream longer than ``decompressed_size``, as an endless pipe is.
    """
    import tempfile  # few commands read standard input

    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="modelinspect-") as folder:
        path = Path(folder) / "stdin"
        with path.open("xb") as copy:
            size = 0
            while block := stream.read(_BLOCK):
                size += len(block)
                limits.allow("standard input", size, limits.decompressed_size)
                copy.write(block)
        token = _spooled.set(path)
        try:
            yield
        finally:
            _spooled.reset(token)


def _spooled_path() -> Path | None:
    """Return the copy of standard input, None where it is not read."""
    return _spooled.get()
