"""Read the wire format of protocol buffers: tags, varints, lengths and groups
(https://protobuf.dev/programming-guides/encoding).

Fields come as tuples (offset of the tag, tag, offset of the value, end of the value), the tag being ``number
<< 3 | wire type``. A group's value ends after its end tag. Varints need not be the shortest that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.encodings.protobuf.schema import MessageType, WireType
from modelinspect.errors import FormatError, TruncatedError
from modelinspect.sources.base import Source

FieldAt = tuple[int, int, int, int]

NESTING = 100
"""Messages inside messages: what protobuf's own readers accept at most (io::CodedInputStream, default
recursion limit).
"""
VARINT = 10
"""The bytes of the longest varint."""
HEADER = 2 * VARINT
BLOCK = 1 << 20
"""What is read ahead: many small messages at once."""


class Malformed(Exception):  # noqa: N818 - never leaves the package: `at` turns it into a FormatError
    """Bytes that break the wire format, at an index."""

    def __init__(self, problem: str, index: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.index = index

    def at(self, base: int, member: str = "") -> FormatError:
        """Return the error to show, for data that begins at offset ``base``."""
        return FormatError(self.problem, member, base + self.index)


def read_varint(data: bytes, index: int, end: int) -> tuple[int, int]:
    """Return a varint, cut to 64 bits, and the index after it. Raises `Malformed`."""
    value = shift = 0
    for place in range(index, min(end, index + VARINT)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        shift += 7
    raise Malformed(
        "a varint does not end" if index + VARINT > end else f"a varint takes more than {VARINT} bytes", index
    )


def read_header(data: bytes, index: int, end: int) -> tuple[int, int, int]:
    """Return the tag of a field, where its value begins and how long that is. Raises `Malformed`.

    The end of a varint's value is looked for; of a group the length is -1. That the value ends before ``end``
    is not checked.
    """
    tag, place = read_varint(data, index, end)
    if not 8 <= tag < 1 << 32:
        raise Malformed(f"no field has the tag {tag:#x}", index)
    match tag & 7:
        case WireType.VARINT:
            return tag, place, read_varint(data, place, end)[1] - place
        case WireType.FIXED64:
            return tag, place, 8
        case WireType.BYTES:
            size, place = read_varint(data, place, end)
            return tag, place, size
        case WireType.GROUP:
            return tag, place, -1
        case WireType.FIXED32:
            return tag, place, 4
        case WireType.GROUP_END:
            raise Malformed(f"a group of field {tag >> 3} ends that did not begin", index)
    raise Malformed(f"field {tag >> 3} has the wire type {tag & 7}, which is none", index)


def scan(data: bytes, index: int, end: int) -> list[FieldAt]:
    """Return the fields of a message that is in memory. Raises `Malformed`."""
    found: list[FieldAt] = []
    while index < end:
        start = index
        tag = data[index]
        if (
            tag & 0x87 == 2 and tag > 7 and index + 1 < end and data[index + 1] < 0x80
        ):  # most fields by far: short bytes
            index += 2
            stop = index + data[index - 1]
        else:
            tag, index, size = read_header(data, index, end)
            stop = index + size if size >= 0 else _group_end(data, start, tag, index, end)
        if stop > end:
            raise _past_the_end(tag, stop - index, end - index, start)
        found.append((start, tag, index, stop))
        index = stop
    return found


def _past_the_end(tag: int, size: int, left: int, start: int) -> Malformed:
    return Malformed(f"field {tag >> 3} needs {size:,} bytes but {max(left, 0):,} are left", start)


def _group_end(data: bytes, start: int, tag: int, index: int, end: int) -> int:
    opened = [tag]
    while opened:
        if index >= end:
            raise Malformed(f"the group of field {opened[-1] >> 3} does not end", start)
        if data[index] & 7 == WireType.GROUP_END:
            closing, index = read_varint(data, index, end)
            if closing - 1 != opened.pop():
                raise Malformed("a group ends that is not the innermost", index)
            continue
        inner, value, size = read_header(data, index, end)
        if size < 0:
            opened.append(inner)
            _require_depth(len(opened), index)
            size = 0
        if value + size > end:
            raise _past_the_end(inner, size, end - value, index)
        index = value + size
    return index


def _require_depth(depth: int, index: int) -> None:
    if depth > NESTING:
        raise Malformed(
            f"messages nest deeper than {NESTING} levels, which no protobuf reader accepts", index
        )


def check(data: bytes, index: int, end: int, type_: MessageType, depth: int = 0) -> None:
    """Go through a message and the messages in it that the schema knows.

    Raises `Malformed` where one is broken.
    """
    pending = [(index, end, type_, depth)]
    while pending:
        index, end, type_, depth = pending.pop()
        _require_depth(depth, index)
        for start, tag, begin, stop in scan(data, index, end):
            field = type_.fields.get(tag >> 3)
            if field is None or tag & 7 != WireType.BYTES:
                continue
            if field.message is not None:
                pending.append((begin, stop, field.message, depth + 1))
            elif field.packable:
                _check_packed(data, begin, stop, field.wire, start)


def _check_packed(data: bytes, begin: int, stop: int, wire: WireType, start: int) -> None:
    if wire is WireType.VARINT:
        if stop > begin and data[stop - 1] >= 0x80:
            raise Malformed("the last packed varint does not end", start)
    elif (stop - begin) % (8 if wire is WireType.FIXED64 else 4):
        raise Malformed(f"{stop - begin:,} packed bytes are not a whole number of values", start)


def first_bytes(data: bytes, number: int) -> bytes | None:
    """Return the first value of a field of bytes. Raises `Malformed`."""
    for _, tag, begin, stop in scan(data, 0, len(data)):
        if tag == number << 3 | WireType.BYTES:
            return data[begin:stop]
    return None


class Wire:
    """A source read as a protocol buffer, a block at a time: large values that nobody asks for are passed
    over unread.
    """

    __slots__ = ("base", "data", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.base = 0
        self.data = b""

    def load(self, offset: int, size: int) -> int:
        """Have ``[offset, offset + size)`` in ``data`` and return the index of its first byte there."""
        index = offset - self.base
        if index >= 0 and index + size <= len(self.data):
            return index
        self.data = self.source.read_at(offset, min(max(size, BLOCK), self.source.size - offset))
        self.base = offset
        return 0

    def bytes(self, offset: int, end: int) -> bytes:
        """Return the bytes ``[offset, end)``."""
        index = self.load(offset, end - offset)
        return self.data[index : index + end - offset]

    def fields(self, offset: int, end: int) -> Iterator[FieldAt]:
        """Yield the fields of a message, one after another. Raises `FormatError` where they break off.

        That is a `TruncatedError` where it is the file that ends.
        """
        while offset < end:
            data, index = self.data, offset - self.base
            if (
                0 <= index < len(data) - HEADER
                and end - offset > HEADER
                and data[index] & 0x87 == 2
                and data[index] > 7
            ):  # most of all
                size, value = data[index + 1], offset + 2
                if size >= 0x80 and data[index + 2] < 0x80:
                    size, value = size & 0x7F | data[index + 2] << 7, offset + 3
                if (size < 0x80 or value == offset + 3) and value + size <= end:
                    yield offset, data[index], value, value + size
                    offset = value + size
                    continue
            try:
                tag, value, size = self._header(offset, end)
                stop = value + size if size >= 0 else self._group_end(offset, tag, value, end)
            except Malformed as trouble:
                raise trouble.at(0, self.source.name) from trouble
            if stop > end:
                cut = (
                    TruncatedError if end == self.source.size else FormatError
                )  # the file itself ends, not a message in it
                raise cut(
                    _past_the_end(tag, stop - value, end - value, offset).problem, self.source.name, offset
                )
            yield offset, tag, value, stop
            offset = stop

    def _header(self, offset: int, end: int) -> tuple[int, int, int]:
        room = min(HEADER, end - offset)
        index = self.load(offset, room)
        shift = offset - index
        try:
            tag, value, size = read_header(self.data, index, index + room)
        except Malformed as trouble:
            raise Malformed(trouble.problem, trouble.index + shift) from trouble
        return tag, value + shift, size

    def _group_end(self, offset: int, tag: int, value: int, end: int) -> int:
        opened = [tag]
        start = offset
        while opened:
            if value >= end:
                raise Malformed(f"the group of field {opened[-1] >> 3} does not end", start)
            room = min(HEADER, end - value)
            index = self.load(value, room)
            if self.data[index] & 7 == WireType.GROUP_END:
                closing, stop = read_varint(self.data, index, index + room)
                if closing - 1 != opened.pop():
                    raise Malformed("a group ends that is not the innermost", value)
                value += stop - index
                continue
            inner, value, size = self._header(value, end)
            if size < 0:
                opened.append(inner)
                _require_depth(len(opened), value)
            else:
                value += size
        return value


Span = tuple[int, int, tuple[str, ...]]
"""Offset, end and path of the bytes of one thing: a tag, a length, a value."""


def spans(
    data: bytes, type_: MessageType, report: Callable[[FormatError], None], member: str = ""
) -> Iterator[Span]:
    """Yield every tag, length and value of a message in order; they tile what is sound of it.

    The last part of a path says which of the three it is. A broken message is reported, and the rest of it is
    left out.
    """
    pending: list[tuple[int, int, MessageType, tuple[str, ...], Iterator[FieldAt]]] = []
    pending.append((0, len(data), type_, (), iter(_sound(data, 0, len(data), report, member))))
    while pending:
        _, _, type_, path, rest = pending[-1]
        found = next(rest, None)
        if found is None:
            pending.pop()
            continue
        start, tag, begin, stop = found
        field = type_.fields.get(tag >> 3)
        here = (*path, field.name if field is not None else f"field {tag >> 3}")
        tag_end = read_varint(data, start, stop)[1]
        yield start, tag_end, (*here, "tag")
        if begin > tag_end:
            yield tag_end, begin, (*here, "length")
        if field is not None and field.message is not None and tag & 7 == WireType.BYTES:
            if len(pending) > NESTING:
                report(Malformed(f"messages nest deeper than {NESTING} levels", begin).at(0, member))
                continue
            pending.append(
                (begin, stop, field.message, here, iter(_sound(data, begin, stop, report, member)))
            )
        elif stop > begin:
            yield begin, stop, (*here, "value")


def _sound(
    data: bytes, index: int, end: int, report: Callable[[FormatError], None], member: str
) -> list[FieldAt]:
    """Return the fields of a message up to the first that is broken."""
    try:
        return scan(data, index, end)
    except Malformed as trouble:
        report(trouble.at(0, member))
        return scan(data, index, _sound_end(data, index, end))


def _sound_end(data: bytes, index: int, end: int) -> int:
    while index < end:
        try:
            tag, value, size = read_header(data, index, end)
            stop = value + size if size >= 0 else _group_end(data, index, tag, value, end)
        except Malformed:
            return index
        if stop > end:
            return index
        index = stop
    return index
