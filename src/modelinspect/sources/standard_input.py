"""Standard input as a location: it is read once into a private temporary file, which opens as often as
needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from modelinspect.core.limits import Limits

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


def spooled_path() -> Path | None:
    """Return the copy of standard input, None where it is not read."""
    return _spooled.get()
