"""Read the bodies of manifests, version nodes and B+tree nodes, which keep their entries in columns."""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.encodings.ocdbt.frames import OcdbtCursor
from modelinspect.errors import Code, FormatError

NUMBERED = 1
"""The kind of manifest that leaves its versions to their own files."""
_ZSTD = 1
_ABSENT = (1 << 64) - 1
"""The offset and size of the root of a generation without keys (IndirectDataReference::Missing)."""
_LONGEST = 65_535
"""The longest path of a data file, and the longest key that is read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of a data file.

    ``path`` is relative to the database; ``base`` is the part of it that nodes within inherit.
    """

    path: str
    base: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Version:
    """A generation of the database: where the root of its tree is (None: it is empty) and the root's
    height.
    """

    generation: int
    height: int
    root: Place | None
    key_count: int


@dataclass(frozen=True, slots=True)
class VersionNode:
    """A node of older generations: where it is, its height, the newest generation in it."""

    generation: int
    height: int
    place: Place


@dataclass(frozen=True, slots=True)
class Manifest:
    """The configuration and the version tree's root.

    ``is_numbered`` says that the versions are in their own files.
    """

    uuid: bytes
    is_numbered: bool
    max_inline_size: int
    max_node_size: int
    versions: tuple[Version, ...]
    nodes: tuple[VersionNode, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a B+tree node: a key, relative to the node's prefix, and a child or a value.

    A value within the node is at ``inline_offset`` of its body. ``common`` is the length of the prefix that a
    child's keys share.
    """

    key: bytes
    size: int
    place: Place | None
    inline_offset: int = 0
    common: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A B+tree node.

    ``keys_offset`` is where the suffixes of its keys begin in the body, ``values_offset`` where values within
    it do.
    """

    height: int
    entries: tuple[Entry, ...]
    keys_offset: int
    keys_size: int
    values_offset: int


@dataclass(frozen=True, slots=True)
class _Files:
    """A data file table: full path and base of each file."""

    paths: tuple[tuple[str, str], ...]

    def place(self, cursor: OcdbtCursor, file: int, offset: int, size: int) -> Place:
        if file >= len(self.paths):
            raise cursor.error(f"data file {file:,} is named where the table has {len(self.paths):,}")
        path, base = self.paths[file]
        return Place(path, base, offset, size)


def _read_files(cursor: OcdbtCursor, base: str) -> _Files:
    count = cursor.count(2)
    prefixes, suffixes, bases = _prefixes(cursor, count), cursor.varints(count), cursor.varints(count)
    found: list[tuple[str, str]] = []
    previous = b""
    for prefix, suffix, base_size in zip(prefixes, suffixes, bases, strict=True):
        path = _joined(cursor, previous, prefix, suffix)
        if base_size > len(path):
            raise cursor.error("the base of a data file's path is longer than the path")
        found.append((base + _text(path), base + _text(path[:base_size])))
        previous = path
    return _Files(tuple(found))


def _prefixes(cursor: OcdbtCursor, count: int) -> list[int]:
    """Read the lengths that each item shares with the previous one; the first shares nothing, and none is
    stored for it.
    """
    return [0, *cursor.varints(count - 1)] if count else []


def _joined(cursor: OcdbtCursor, previous: bytes, prefix: int, suffix: int) -> bytes:
    if prefix > len(previous) or prefix + suffix > _LONGEST:
        raise cursor.error(
            f"a key or path shares {prefix:,} bytes with one of {len(previous):,}, and adds {suffix:,}"
        )
    return previous[:prefix] + cursor.take(suffix)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def read_manifest(cursor: OcdbtCursor) -> Manifest:
    """Read the body of a manifest. Raises `FormatError`."""
    uuid = cursor.take(16)
    kind, inline_size, node_size = cursor.varint(), cursor.varint(), cursor.varint()
    cursor.u8()
    if cursor.varint() == _ZSTD:
        cursor.skip(4)
    if kind == NUMBERED and not cursor.left:
        return Manifest(uuid, True, inline_size, node_size, (), ())
    files = _read_files(cursor, "")
    versions = _read_versions(cursor, files)
    nodes = _read_version_nodes(cursor, files, None)
    _expect_end(cursor)
    return Manifest(uuid, False, inline_size, node_size, versions, nodes)


def read_version_node(cursor: OcdbtCursor, base: str) -> tuple[tuple[Version, ...], tuple[VersionNode, ...]]:
    """Read the body of a version node: the generations in it, or the nodes below it. Raises `FormatError`."""
    cursor.u8()
    height = cursor.u8()
    files = _read_files(cursor, base)
    versions: tuple[Version, ...] = ()
    nodes: tuple[VersionNode, ...] = ()
    if height:
        nodes = _read_version_nodes(cursor, files, height - 1)
    else:
        versions = _read_versions(cursor, files)
    _expect_end(cursor)
    return versions, nodes


def _read_versions(cursor: OcdbtCursor, files: _Files) -> tuple[Version, ...]:
    count = cursor.count(15)
    generations, heights = cursor.varints(count), cursor.bytes_column(count)
    places = [cursor.varints(count) for _ in range(3)]
    keys = cursor.varints(count)
    for _ in range(2):
        cursor.varints(count)
    cursor.u64s(count)
    return tuple(
        Version(
            generation,
            height,
            None if offset == size == _ABSENT else files.place(cursor, file, offset, size),
            key_count,
        )
        for generation, height, file, offset, size, key_count in zip(
            generations, heights, *places, keys, strict=True
        )
    )


def _read_version_nodes(cursor: OcdbtCursor, files: _Files, height: int | None) -> tuple[VersionNode, ...]:
    """Read references to version nodes; in a manifest (``height`` is None) each has its height."""
    count = cursor.count(13)
    generations = cursor.varints(count)
    places = [cursor.varints(count) for _ in range(3)]
    cursor.varints(count)
    cursor.u64s(count)
    heights = cursor.bytes_column(count) if height is None else [height] * count
    return tuple(
        VersionNode(generation, one, files.place(cursor, file, offset, size))
        for generation, file, offset, size, one in zip(generations, *places, heights, strict=True)
    )


def _expect_end(cursor: OcdbtCursor) -> None:
    if cursor.left:
        raise FormatError(
            f"{cursor.left:,} bytes follow the last entry of a node",
            cursor.member,
            cursor.base,
            Code.TRAILING,
        )


def read_node(cursor: OcdbtCursor, base: str) -> Node:
    """Read the body of a B+tree node. Raises `FormatError`, also where keys do not ascend."""
    height = cursor.u8()
    files = _read_files(cursor, base)
    count = cursor.count(4)
    prefixes, suffixes = _prefixes(cursor, count), cursor.varints(count)
    common = cursor.varints(count) if height else [0] * count
    keys_offset = cursor.index
    keys: list[bytes] = []
    previous = b""
    for place, (prefix, suffix) in enumerate(zip(prefixes, suffixes, strict=True)):
        key = _joined(cursor, previous, prefix, suffix)
        if place and key <= previous:
            raise cursor.error("the keys of a node do not ascend")
        keys.append(key)
        previous = key
    keys_size = cursor.index - keys_offset
    entries = _children(cursor, files, keys, common) if height else _values(cursor, files, keys)
    values_offset = (
        cursor.index
        if height
        else min((e.inline_offset for e in entries if e.place is None), default=cursor.index)
    )
    _expect_end(cursor)
    return Node(height, entries, keys_offset, keys_size, values_offset)


def _children(cursor: OcdbtCursor, files: _Files, keys: list[bytes], common: list[int]) -> tuple[Entry, ...]:
    count = len(keys)
    columns = [cursor.varints(count) for _ in range(3)]
    for _ in range(3):
        cursor.varints(count)
    return tuple(
        Entry(key, size, files.place(cursor, file, offset, size), 0, shared)
        for key, file, offset, size, shared in zip(keys, *columns, common, strict=True)
    )


def _values(cursor: OcdbtCursor, files: _Files, keys: list[bytes]) -> tuple[Entry, ...]:
    count = len(keys)
    sizes, kinds = cursor.varints(count), cursor.varints(count)
    if any(kind > 1 for kind in kinds):
        raise cursor.error("a value is neither within its node nor in a data file")
    indirect = sum(kinds)
    columns = zip(cursor.varints(indirect), cursor.varints(indirect), strict=True)
    entries: list[Entry] = []
    for key, size, kind in zip(keys, sizes, kinds, strict=True):
        if kind:
            file, offset = next(columns)
            entries.append(Entry(key, size, files.place(cursor, file, offset, size)))
        else:
            entries.append(Entry(key, size, None, cursor.index))
            cursor.skip(size)
    return tuple(entries)
