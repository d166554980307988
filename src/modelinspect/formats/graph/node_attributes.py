"""Find the attributes of a node in its bytes, and the constants in them; keep what is known of attributes by
their bytes, and of the endings of nodes that are made of them: other nodes end alike.
"""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.records import dataclass
from modelinspect.encodings.protobuf import message, message_class
from modelinspect.encodings.protobuf.wire import FieldAt, Malformed, check, scan
from modelinspect.formats.graph.constants import Constant, find_constant
from modelinspect.formats.graph.node_columns import ATTR, SHORT

BYTES_VALUE = 2 << 3 | 2


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one entry of ``NodeDef.attr`` says; offsets count from the start of the entry."""

    part: str
    constants: tuple[Constant, ...]
    functions: tuple[str, ...]
    size: int
    skeleton: bytes
    """The entry without the names of functions, to compare bodies."""
    module: tuple[int, int] | None = None
    """Where the value is a program in MLIR byte code: its offset and end."""


def said(attributes: list[Attribute]) -> tuple[bytes, tuple[str, ...]]:
    """Return what the attributes of a node say without the functions that they name, and those."""
    skeleton = b"\0".join(sorted(attribute.skeleton for attribute in attributes))
    return skeleton, tuple(function for attribute in attributes for function in attribute.functions)


def sound(data: bytes, index: int, end: int) -> list[FieldAt]:
    """Return the fields before the one that is broken at ``end``."""
    while True:
        try:
            return scan(data, index, end)
        except Malformed as trouble:
            if trouble.index >= end:
                return []
            end = trouble.index


def read_attribute(entry: bytes, value_class: type) -> Attribute:
    """Read an entry of ``attr``. Raises `Malformed`."""
    from google.protobuf.message import DecodeError

    key = ""
    begin = end = 0
    for _, tag, value, stop in scan(entry, 0, len(entry)):
        if tag == 0x0A:
            key = entry[value:stop].decode(errors="replace")
        elif tag == 0x12:
            begin, end = value, stop
    parsed = value_class()
    try:
        parsed.ParseFromString(entry[begin:end])
    except DecodeError as error:
        check(entry, begin, end, message("AttrValue"))
        raise Malformed(f"a protobuf reader refuses the value of attribute {key}: {error}", begin) from error
    constants: list[Constant] = []
    functions: tuple[str, ...] = ()
    skeleton = entry
    module: tuple[int, int] | None = None
    match parsed.WhichOneof("value"):
        case "s" if parsed.s.startswith(signatures.MLIR):
            module = next(
                (
                    (value, stop)
                    for _, tag, value, stop in reversed(scan(entry, begin, end))
                    if tag == BYTES_VALUE
                ),
                None,
            )
        case "tensor":
            constants = _constants_in(entry, begin, end)
        case "list":
            for _, tag, value, stop in scan(entry, begin, end):
                if tag == 0x0A and parsed.list.tensor:
                    constants += _constants_in(entry, value, stop)
            functions = tuple(function.name for function in parsed.list.func)
        case "func":
            functions = (parsed.func.name,)
    if functions:
        skeleton = b"%s=function" % key.encode()
    return Attribute(f"attr {key}", tuple(constants), functions, len(entry), skeleton, module)


def _constants_in(data: bytes, begin: int, end: int) -> list[Constant]:
    """Return the constants that are in field 8 of an AttrValue or of its list: both call it ``tensor``."""
    return [
        find_constant(value, stop, scan(data, value, stop), lambda first, last: data[first:last])
        for _, tag, value, stop in scan(data, begin, end)
        if tag == 8 << 3 | 2
    ]


_KEPT_SIZE = 512
_KEPT_COUNT = 50_000


class KnownAttributes:
    """The attributes that were read; short ones are kept, as they repeat."""

    __slots__ = ("_known", "_value_class")

    def __init__(self) -> None:
        self._known: dict[bytes, Attribute] = {}
        self._value_class = message_class("AttrValue")

    def read(self, entry: bytes) -> Attribute:
        """Return what an entry of ``attr`` says. Raises `Malformed`."""
        known = self._known.get(entry)
        if known is None:
            known = read_attribute(entry, self._value_class)
            if len(entry) <= _KEPT_SIZE:
                if len(self._known) >= _KEPT_COUNT:
                    self._known.clear()
                self._known[entry] = known
        return known

    def ending(self, data: bytes) -> Ending | None:
        """Return what is known of a node that ends with these bytes; None where they are not only sound
        attributes of less than 16 KiB, or where `compose` gives none.
        """
        places: list[tuple[int, int]] = []
        attributes: list[Attribute] = []
        place, end = 0, len(data)
        try:
            while place < end:
                value = place + 2
                if value > end or data[place] != ATTR:
                    return None
                size = data[place + 1]
                if size >= SHORT:
                    if value == end or data[value] >= SHORT:
                        return None
                    size, value = size & 0x7F | data[value] << 7, value + 1
                stop = value + size
                if stop > end:
                    return None
                attributes.append(self.read(data[value:stop]))
                places.append((place, stop - place))
                place = stop
        except Malformed:
            return None
        return compose(places, attributes, said(attributes)[1])


def compose(
    places: list[tuple[int, int]], attributes: list[Attribute], functions: tuple[str, ...]
) -> Ending | None:
    """Return what nodes have in common that end with the same attributes, whose offsets and sizes are
    ``places``; None for strings, programs and more constants than one.
    """
    rows: list[tuple[int, int, int, int, bool]] = []
    held: _Held | None = None
    entry = 0, 0
    for part, ((offset, size), known) in enumerate(zip(places, attributes, strict=True)):
        end = offset + size
        if known.module is not None:
            return None
        for constant in known.constants:
            if held is not None or not constant.is_numeric or len(constant.extents) > 1:
                return None
            shift = end - known.size
            suffix = "" if known.part == "attr value" else f":{known.part.removeprefix('attr ')}"
            held, entry = _Held(constant, shift, suffix), (shift, end)
            for begin, stop, _ in constant.extents:
                rows.append((offset, shift + begin - offset, RegionKind.GRAPH.code, part, False))
                rows.append((shift + begin, stop - begin, RegionKind.TENSOR_DATA.code, part, True))
                offset = shift + stop
        if offset < end:
            rows.append((offset, end - offset, RegionKind.GRAPH.code, part, False))
    skeletons = tuple(sorted(known.skeleton for known in attributes if not known.constants))
    parts = tuple(known.part for known in attributes)
    return Ending(tuple(rows), parts, skeletons, functions, held, entry, b"\0".join(skeletons))


_SIZE = 2_048
_COUNT = 50_000


@dataclass(frozen=True, slots=True)
class _Held:
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
    held: _Held | None = None
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
