"""Read object headers of both versions into messages (specification, section IV.A.1), gaps and NIL messages
apart.
"""

from __future__ import annotations

from struct import Struct

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.hdf5.messages import MESSAGE_LABELS
from modelinspect.encodings.hdf5.model import OBJECT_HEADER
from modelinspect.encodings.hdf5.state import CONTAINER, FREE, State

FIRST_READ = 512
"""Bytes that are read of each header at first, which most do not exceed."""
_PREFIX_1 = 16
_MESSAGE_1 = Struct("<HHB3x")
_MESSAGE_2 = Struct("<BHB")
_CONTINUATION = 0x10
_WIDTH = {2: "H", 4: "I", 8: "Q"}

SHARED = 0x02
"""The message flag that says: the body says where the message is."""


@dataclass(slots=True)
class Message:
    """An object header message; ``offset`` is where its body is, ``head`` where the message begins."""

    kind: int
    flags: int
    head: int
    offset: int
    body: bytes


@dataclass(slots=True)
class Header:
    """An object header: its messages, and its bytes as h5stat counts them."""

    address: int
    offset: int
    version: int
    path: PathId
    messages: list[Message] = field(default_factory=list)
    size: int = 0
    unused: int = 0
    ok: bool = True


def read_header(state: State, address: int, path: PathId) -> Header:
    """Read an object header, and claim all of it but the messages in it. Raises `FormatError`.

    A continuation block that cannot be read is reported, and ``ok`` is false.
    """
    offset = state.locate(address, 1, "object header")
    first = state.source.read_at(offset, min(FIRST_READ, state.end - offset))
    header = Header(address, offset, 1, state.paths.add(path, "object header"))
    if first[:4] == OBJECT_HEADER:
        header.version = 2
        pending = _read_new(state, header, first)
    else:
        pending = _read_old(state, header, first)
    seen = {offset}
    while pending:
        block, size = pending.pop()
        at = state.base + block
        if at in seen:
            header.ok = False
            state.survive(state.error("the continuation blocks of an object header lead in a circle", at))
            continue
        seen.add(at)
        more = state.guard(_read_continuation, state, header, block, size)
        if more is None:
            header.ok = False
        else:
            pending += reversed(more)
    return header


def _read_continuation(state: State, header: Header, block: int, size: int) -> list[tuple[int, int]]:
    what = "continuation block of an object header"
    data = state.read(block, size, what)
    offset = state.base + block
    header.size += size
    if header.version == 1:
        return _old_messages(state, header, data, 0, offset)
    if data[:4] != b"OCHK" or size < 8:
        raise state.error(f"no {what} is here", offset)
    state.verify(data, what, offset)
    state.claim(offset, 4, CONTAINER, header.path)
    return _new_messages(state, header, data, 4, offset)


def _read_old(state: State, header: Header, first: bytes) -> list[tuple[int, int]]:
    offset = header.offset
    if len(first) < _PREFIX_1 or first[0] != 1:
        version = first[0] if first else 0
        if len(first) >= _PREFIX_1 and first[1] == 0 and 1 < version < 16:
            raise state.unsupported(f"object header version {version} is not read here", offset)
        raise state.error("no object header is here", offset)
    size = _PREFIX_1 + int.from_bytes(first[8:12], "little")
    data = _whole(state, header, first, size)
    state.claim(offset, 12, CONTAINER, header.path)
    state.claim(offset + 12, 4, FREE, state.paths.add(header.path, "padding"))
    return _old_messages(state, header, data, _PREFIX_1, offset)


def _whole(state: State, header: Header, first: bytes, size: int) -> bytes:
    """Return the first block of a header, of which the first bytes are read."""
    header.size += size
    if size > len(first):
        return state.read(header.address, size, "object header")
    state.spend_read(size, header.offset)
    return first[:size]


def _old_messages(state: State, header: Header, data: bytes, index: int, base: int) -> list[tuple[int, int]]:
    return _messages(state, header, data, index, base, _MESSAGE_1, _MESSAGE_1.size, len(data))


def _read_new(state: State, header: Header, first: bytes) -> list[tuple[int, int]]:
    offset = header.offset
    if len(first) < 7:
        raise state.error(f"object header needs 7 bytes but {len(first)} are left", offset)
    version, flags = first[4], first[5]
    if version != 2:
        raise state.unsupported(f"object header version {version} is not read here", offset)
    width = 1 << (flags & 3)
    prefix = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    size = prefix + width + int.from_bytes(first[prefix : prefix + width], "little") + 4
    data = _whole(state, header, first, size)
    header.version = 2 | (flags & 4)
    state.verify(data, "object header", offset)
    state.claim(offset, prefix + width, CONTAINER, header.path)
    return _new_messages(state, header, data, prefix + width, offset)


def _new_messages(state: State, header: Header, data: bytes, index: int, base: int) -> list[tuple[int, int]]:
    # ``header.version`` keeps bit 2 of the flags: the messages have a creation order. The checksum covers a
    # gap, too.
    size = len(data) - 4
    continuations = _messages(
        state, header, data, index, base, _MESSAGE_2, 6 if header.version & 4 else 4, size
    )
    state.claim(base + size, 4, CONTAINER, state.paths.add(header.path, "checksum"))
    return continuations


def _messages(
    state: State, header: Header, data: bytes, index: int, base: int, layout: Struct, head: int, size: int
) -> list[tuple[int, int]]:
    """Claim the messages of a block up to ``size``, each after ``head`` bytes, and return the continuation
    blocks that they name.
    """
    unpack, messages = layout.unpack_from, header.messages
    continuations: list[tuple[int, int]] = []
    while index + head <= size:
        kind, length, flags = unpack(data, index)
        begin = index + head
        end = begin + length
        if end > size:
            raise state.error(
                f"{_label(kind)} needs {length:,} bytes but {size - begin:,} are left", base + index
            )
        if kind == 0:
            _claim_nil(state, header, base + index, head, length)
        elif kind == _CONTINUATION:
            continuations.append(_claim_continuation(state, header, data, index, begin, length, base))
        else:
            messages.append(Message(kind, flags, base + index, base + begin, data[begin:end]))
        index = end
    if index < size:  # too short for a message
        state.claim(base + index, size - index, FREE, state.paths.add(header.path, "gap"))
        header.unused += size - index
    return continuations


def _label(kind: int) -> str:
    return MESSAGE_LABELS[kind] if kind < len(MESSAGE_LABELS) else f"message {kind:#06x}"


def _claim_nil(state: State, header: Header, offset: int, head: int, length: int) -> None:
    path = state.paths.add(header.path, MESSAGE_LABELS[0])
    state.claim(offset, head, CONTAINER, path)
    state.claim(offset + head, length, FREE, path)
    header.unused += head + length


def _claim_continuation(
    state: State, header: Header, data: bytes, index: int, begin: int, length: int, base: int
) -> tuple[int, int]:
    used = state.offset_size + state.length_size
    if length < used:
        raise state.error(f"a continuation message has {length} bytes", base + index)
    path = state.paths.add(header.path, MESSAGE_LABELS[_CONTINUATION])
    state.claim(base + index, begin - index + used, CONTAINER, path)
    state.claim(base + begin + used, length - used, FREE, path)
    address = int.from_bytes(data[begin : begin + state.offset_size], "little")
    return address, int.from_bytes(data[begin + state.offset_size : begin + used], "little")
