"""Read the text file that names a directory's checkpoints.

Specification: tensorflow/python/training/checkpoint_state.proto, in protobuf's text format.
"""

from __future__ import annotations

import re

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.records import dataclass
from modelinspect.formats.base import Parsing

_LATEST = re.compile(rb'^model_checkpoint_path:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
_ALL = re.compile(rb'^all_model_checkpoint_paths:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class State:
    """The path of the latest checkpoint, and those of all that are kept."""

    latest: str
    kept: tuple[str, ...]


def is_state(parsing: Parsing, name: str) -> bool:
    """Return whether a file begins as the text format of a CheckpointState does."""
    return _LATEST.search(parsing.peek(name, _HEAD)) is not None


def read_state(parsing: Parsing, name: str) -> State:
    """Claim the file and return what it says. Raises `LimitError`."""
    site = parsing.open(name)
    site.limits.allow("the state of the checkpoints", site.source.size, site.limits.structure_size, name)
    data = site.source.read_at(0, site.source.size)
    site.claims.claim(0, len(data), RegionKind.METADATA, site.claims.path("CheckpointState"))
    latest = _LATEST.search(data)
    return State(_text(latest[1]) if latest else "", tuple(_text(path) for path in _ALL.findall(data)))


def _text(escaped: bytes) -> str:
    return re.sub(rb"\\(.)", rb"\1", escaped).decode("utf-8", "backslashreplace")
