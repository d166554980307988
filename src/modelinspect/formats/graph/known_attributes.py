"""What is known of attributes by their bytes, and of the endings of nodes that are made of them."""

from __future__ import annotations

from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.protobuf import message_class
from modelinspect.encodings.protobuf.wire import Malformed
from modelinspect.formats.graph.endings import Ending, Held
from modelinspect.formats.graph.node_attributes import Attribute, read_attribute, said
from modelinspect.formats.graph.node_columns import ATTR, SHORT

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
    held: Held | None = None
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
            held, entry = Held(constant, shift, suffix), (shift, end)
            for begin, stop, _ in constant.extents:
                rows.append((offset, shift + begin - offset, RegionKind.GRAPH.code, part, False))
                rows.append((shift + begin, stop - begin, RegionKind.TENSOR_DATA.code, part, True))
                offset = shift + stop
        if offset < end:
            rows.append((offset, end - offset, RegionKind.GRAPH.code, part, False))
    skeletons = tuple(sorted(known.skeleton for known in attributes if not known.constants))
    parts = tuple(known.part for known in attributes)
    return Ending(tuple(rows), parts, skeletons, functions, held, entry, b"\0".join(skeletons))
