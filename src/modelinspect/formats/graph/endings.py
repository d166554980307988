"""What is known of the attributes of a node, by their bytes: other nodes end alike."""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.formats.graph.constants import Constant

_SIZE = 2_048
_COUNT = 50_000


@dataclass(frozen=True, slots=True)
class Held:
    """A constant of an attribute: its offsets count from ``shift`` after the first attribute's tag;
    ``suffix`` ends its name.
    """

    constant: Constant
    shift: int
    suffix: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The attributes of a node: their regions, the parts of their paths, and what a body needs of them."""

    rows: tuple[tuple[int, int, int, int, bool], ...]
    """Offset from the first attribute, size, code of the kind, which of ``parts``, whether the constant's."""
    parts: tuple[str, ...]
    skeletons: tuple[bytes, ...]
    functions: tuple[str, ...]
    held: Held | None = None
    """The one constant, which has one extent at most."""
    entry: tuple[int, int] = (0, 0)
    """Where the entry is whose bytes are a skeleton too; nowhere where ``skeletons`` are all."""
    joined: bytes = b""
    """The skeletons one after another, where they are all."""

    def skeleton(self, data: bytes) -> bytes:
        """Return the attributes without the names of functions; ``data`` are their bytes."""
        begin, end = self.entry
        return b"\0".join(sorted((*self.skeletons, data[begin:end]))) if end else self.joined


class Endings:
    """The endings that are known: by their bytes, or by their bytes but for the elements of a constant."""

    __slots__ = ("_count", "_holes", "_whole")

    def __init__(self) -> None:
        self._whole: dict[bytes, Ending] = {}
        self._holes: dict[int, dict[tuple[int, int], dict[bytes, Ending]]] = {}
        self._count = 0

    def find(self, data: bytes) -> Ending | None:
        """Return what is known of attributes."""
        found = self._whole.get(data)
        if found is None:
            for (begin, end), known in self._holes.get(len(data), {}).items():
                found = known.get(data[:begin] + data[end:])
                if found is not None:
                    break
        return found

    def learn(self, data: bytes, ending: Ending) -> None:
        """Keep an ending, with a hole where the elements of its constant are as they are in memory."""
        if self._count >= _COUNT:
            self._whole.clear()
            self._holes.clear()
            self._count = 0
        held = ending.held
        if held is not None and held.constant.is_raw and len(held.constant.extents) == 1:
            begin, end, _ = held.constant.extents[0]
            hole = begin + held.shift, end + held.shift
            rest = data[: hole[0]] + data[hole[1] :]
            if len(rest) <= _SIZE:
                self._holes.setdefault(len(data), {}).setdefault(hole, {})[rest] = ending
                self._count += 1
        elif len(data) <= _SIZE:
            self._whole[data] = ending
            self._count += 1
