"""Read a list of locations, from a file or from standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from modelinspect.errors import UsageError

_STANDARD_INPUT = "-"
_BLOCK = 1 << 16


def read_locations(name: str, *, null: bool = False) -> Iterator[str]:
    """Return the locations that a file lists, read as they are needed: one per line, or each ended by a NUL;
    empty ones are left out.

    ``-`` is standard input. Raises `UsageError` where the file cannot be opened.
    """
    if name == _STANDARD_INPUT:
        if sys.stdin.isatty():
            raise UsageError(
                "--files-from - reads locations from standard input, and that is a terminal; use: find models"
                " | modelinspect scan"
            )
        return _split(sys.stdin.buffer, null=null)
    try:
        return _split(Path(name).open("rb"), null=null)
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error


def _split(file: BinaryIO, *, null: bool) -> Iterator[str]:
    end = b"\0" if null else b"\n"
    left = b""
    with file:
        while block := file.read(_BLOCK):
            *whole, left = (left + block).split(end)
            yield from filter(None, (_location(one, null=null) for one in whole))
        yield from filter(None, (_location(left, null=null),))


def _location(line: bytes, *, null: bool) -> str:
    return os.fsdecode(line if null else line.removesuffix(b"\r"))
