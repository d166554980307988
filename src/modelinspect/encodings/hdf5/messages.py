"""Read the bodies of object header messages (specification, section IV.A.2)."""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.element_types import Dataspace
from modelinspect.encodings.hdf5.model import Filter, LayoutKind
from modelinspect.encodings.hdf5.numbers import text
from modelinspect.errors import UnsupportedFeatureError

MESSAGE_NAMES: tuple[str, ...] = (
    "NIL",
    "dataspace",
    "link info",
    "datatype",
    "fill value (old)",
    "fill value",
    "link",
    "external data files",
    "data layout",
    "bogus",
    "group info",
    "filter pipeline",
    "attribute",
    "object comment",
    "modification time (old)",
    "shared message table",
    "continuation",
    "symbol table",
    "modification time",
    "B-tree K values",
    "driver info",
    "attribute info",
    "reference count",
    "file space info",
    "metadata cache image",
)
"""What the message types are called; the place is the number."""

MESSAGE_LABELS: tuple[str, ...] = tuple(
    f"message {number:#06x} {name}" for number, name in enumerate(MESSAGE_NAMES)
)


@dataclass(frozen=True, slots=True)
class DenseInfo:
    """Where links or attributes are kept that are not in the header: heap and name index, None where there
    are none.
    """

    heap: int | None
    name_index: int | None
    order_index: int | None


@dataclass(frozen=True, slots=True)
class LayoutMessage:
    """A data layout message.

    ``data`` is where compact data begin in the message, ``size`` how long they or contiguous data are (None:
    not said). ``index`` is the chunk index's number in the specification's appendix C, 0 for a v1 B-tree.
    """

    kind: LayoutKind
    address: int | None = None
    size: int | None = None
    data: int = 0
    chunk_shape: tuple[int, ...] = ()
    element_size: int = 0
    index: int = 0
    flags: int = 0
    filtered_size: int | None = None
    filter_mask: int = 0
    heap_index: int = 0


def unsupported(cursor: Cursor, what: str) -> UnsupportedFeatureError:
    """Return the error about a version or a class that is not read here."""
    return UnsupportedFeatureError(f"{what} is not read here", cursor.member, cursor.base)


def _address(cursor: Cursor, size: int) -> int | None:
    value = cursor.uint(size)
    return None if value == (1 << 8 * size) - 1 else value


def read_dataspace(cursor: Cursor, length_size: int) -> Dataspace:
    """Read a dataspace message."""
    version, rank, flags = cursor.u8(), cursor.u8(), cursor.u8()
    if rank > 32:
        raise cursor.error(f"a dataspace has {rank} dimensions")
    if version == 1:
        cursor.skip(5)
        null = False
    elif version == 2:
        kind = cursor.u8()
        null = kind == 2
        if kind > 2 or (kind != 1 and rank):
            raise cursor.error(f"a dataspace of type {kind} has {rank} dimensions")
    else:
        raise unsupported(cursor, f"dataspace version {version}")
    shape = tuple(cursor.uint(length_size) for _ in range(rank))
    maxshape: tuple[int | None, ...] | None = None
    if flags & 1:
        maxshape = tuple(_address(cursor, length_size) for _ in range(rank))
    if version == 1 and flags & 2:
        cursor.skip(rank * length_size)
    return Dataspace(None if null else shape, maxshape)


def read_fill_value(cursor: Cursor) -> bytes | None:
    """Read a fill value message."""
    version = cursor.u8()
    if version in (1, 2):
        cursor.skip(2)
        defined = cursor.u8()
        return cursor.take(cursor.u32()) if version == 1 or defined else None
    if version != 3:
        raise unsupported(cursor, f"fill value version {version}")
    return cursor.take(cursor.u32()) if cursor.u8() & 0x20 else None


def read_old_fill_value(cursor: Cursor) -> bytes | None:
    """Read an old fill value message."""
    return cursor.take(cursor.u32()) or None


def read_filters(cursor: Cursor) -> tuple[Filter, ...]:
    """Read a filter pipeline message."""
    version, count = cursor.u8(), cursor.u8()
    if version not in (1, 2):
        raise unsupported(cursor, f"filter pipeline version {version}")
    if version == 1:
        cursor.skip(6)
    filters: list[Filter] = []
    for _ in range(count):
        number = cursor.u16()
        name_size = cursor.u16() if version == 1 or number >= 256 else 0
        flags, values = cursor.u16(), cursor.u16()
        name = cursor.take((name_size + 7) // 8 * 8 if version == 1 else name_size).split(b"\0", 1)[0]
        parameters = tuple(cursor.u32() for _ in range(values))
        if version == 1 and values % 2:
            cursor.skip(4)
        filters.append(Filter(number, text(name), bool(flags & 1), parameters))
    return tuple(filters)


def read_link_info(cursor: Cursor, offset_size: int) -> DenseInfo:
    """Read a link info message."""
    version, flags = cursor.u8(), cursor.u8()
    if version != 0:
        raise unsupported(cursor, f"link info version {version}")
    if flags & 1:
        cursor.skip(8)
    return _dense(cursor, offset_size, flags)


def read_attribute_info(cursor: Cursor, offset_size: int) -> DenseInfo:
    """Read an attribute info message."""
    version, flags = cursor.u8(), cursor.u8()
    if version != 0:
        raise unsupported(cursor, f"attribute info version {version}")
    if flags & 1:
        cursor.skip(2)
    return _dense(cursor, offset_size, flags)


def _dense(cursor: Cursor, offset_size: int, flags: int) -> DenseInfo:
    heap, names = _address(cursor, offset_size), _address(cursor, offset_size)
    return DenseInfo(heap, names, _address(cursor, offset_size) if flags & 2 else None)


def skip_group_info(cursor: Cursor) -> None:
    """Read over a group info message."""
    version, flags = cursor.u8(), cursor.u8()
    if version != 0:
        raise unsupported(cursor, f"group info version {version}")
    cursor.skip(4 * (flags & 1) + 4 * (flags >> 1 & 1))


def read_layout(cursor: Cursor, offset_size: int, length_size: int) -> LayoutMessage:
    """Read a data layout message.

    Version 5, which HDF5 2.0 writes for ``libver="latest"``, is version 4 with chunk sizes of eight bytes in
    the chunk index; the index says how wide its entries are.
    """
    version = cursor.u8()
    if version in (1, 2):
        return _old_layout(cursor, offset_size)
    if version not in (3, 4, 5):
        raise unsupported(cursor, f"data layout version {version}")
    kind = cursor.u8()
    match kind:
        case 0:
            size = cursor.u16()
            data = cursor.index
            cursor.skip(size)
            return LayoutMessage(LayoutKind.COMPACT, size=size, data=data)
        case 1:
            return LayoutMessage(
                LayoutKind.CONTIGUOUS, _address(cursor, offset_size), cursor.uint(length_size)
            )
        case 2 if version == 3:
            rank = _chunk_rank(cursor, cursor.u8())
            address = _address(cursor, offset_size)
            dims = tuple(cursor.u32() for _ in range(rank))
            return LayoutMessage(LayoutKind.CHUNKED, address, chunk_shape=dims[:-1], element_size=dims[-1])
        case 2:
            return _new_chunked(cursor, offset_size, length_size)
        case 3 if version >= 4:
            address = _address(cursor, offset_size)
            return LayoutMessage(LayoutKind.VIRTUAL, address, heap_index=cursor.u32())
        case _:
            raise unsupported(cursor, f"data layout class {kind} version {version}")


def _chunk_rank(cursor: Cursor, rank: int) -> int:
    if not 2 <= rank <= 33:
        raise cursor.error(f"a chunk has {rank - 1} dimensions")
    return rank


def _new_chunked(cursor: Cursor, offset_size: int, length_size: int) -> LayoutMessage:
    flags = cursor.u8()
    rank, width = _chunk_rank(cursor, cursor.u8()), cursor.u8()
    dims = tuple(cursor.uint(width) for _ in range(rank))
    index = cursor.u8()
    filtered_size, mask = None, 0
    match index:
        case 1:
            if flags & 2:
                filtered_size, mask = cursor.uint(length_size), cursor.u32()
        case 2:
            pass
        case 3:
            cursor.skip(1)
        case 4:
            cursor.skip(5)
        case 5:
            cursor.skip(6)
        case _:
            raise unsupported(cursor, f"chunk index type {index}")
    address = _address(cursor, offset_size)
    return LayoutMessage(
        LayoutKind.CHUNKED, address, None, 0, dims[:-1], dims[-1], index, flags, filtered_size, mask
    )


def _old_layout(cursor: Cursor, offset_size: int) -> LayoutMessage:
    rank, kind = cursor.u8(), cursor.u8()
    cursor.skip(5)
    if kind > 2:
        raise unsupported(cursor, f"data layout class {kind}")
    address = _address(cursor, offset_size) if kind else None
    if kind == 2:
        _chunk_rank(cursor, rank)
    if not 1 <= rank <= 33:
        raise cursor.error(f"a data layout has {rank} dimensions")
    dims = tuple(cursor.u32() for _ in range(rank))
    if kind == 0:
        size = cursor.u32()
        data = cursor.index
        cursor.skip(size)
        return LayoutMessage(LayoutKind.COMPACT, size=size, data=data)
    if kind == 1:
        return LayoutMessage(LayoutKind.CONTIGUOUS, address)
    return LayoutMessage(LayoutKind.CHUNKED, address, chunk_shape=dims[:-1], element_size=dims[-1])


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """A link message: ``kind`` 0 is hard, 1 soft, 64 external.

    ``name_offset`` and ``name_size`` are of the message's bytes.
    """

    name: str
    kind: int
    name_offset: int
    name_size: int
    address: int | None = None
    value: bytes = b""


def read_link(cursor: Cursor, offset_size: int) -> LinkMessage:
    """Read a link message."""
    version, flags = cursor.u8(), cursor.u8()
    if version != 1:
        raise unsupported(cursor, f"link version {version}")
    kind = cursor.u8() if flags & 8 else 0
    if flags & 4:
        cursor.skip(8)
    if flags & 16:
        cursor.skip(1)
    size = cursor.uint(1 << (flags & 3))
    begin = cursor.index
    name = text(cursor.take(size))
    if kind == 0:
        return LinkMessage(name, kind, begin, size, _address(cursor, offset_size))
    if kind != 1 and kind < 64:
        raise unsupported(cursor, f"link type {kind}")
    return LinkMessage(name, kind, begin, size, None, cursor.take(cursor.u16()))


@dataclass(frozen=True, slots=True)
class ExternalFiles:
    """An external data files message: a local heap of names and, for each file, name offset, file offset and
    size.
    """

    heap: int
    slots: tuple[tuple[int, int, int], ...]


def read_external_files(cursor: Cursor, offset_size: int, length_size: int) -> ExternalFiles:
    """Read an external data files message."""
    version = cursor.u8()
    if version != 1:
        raise unsupported(cursor, f"external data files version {version}")
    cursor.skip(3)
    allocated, used = cursor.u16(), cursor.u16()
    heap = cursor.uint(offset_size)
    slots = tuple(
        (cursor.uint(length_size), cursor.uint(length_size), cursor.uint(length_size))
        for _ in range(min(used, allocated))
    )
    return ExternalFiles(heap, slots)
