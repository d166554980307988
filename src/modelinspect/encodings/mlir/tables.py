"""Read the tables of MLIR byte code: strings, dialects, where attributes, types and resources are."""

from __future__ import annotations

from enum import IntEnum
from itertools import accumulate

from modelinspect.core.records import dataclass
from modelinspect.encodings.mlir.bytecode import MlirCursor, SectionId

_DIALECT_VERSIONS, _COUNTED_OPERATIONS, _NATIVE_PROPERTIES = 1, 4, 5
"""Versions of the byte code that changed the dialect section (Encoding.h, BytecodeVersion)."""


@dataclass(frozen=True, slots=True)
class Strings:
    """The string table.

    ``table_size`` is where its data begins in the section; ``starts`` and ``sizes`` are of each string.
    """

    table_size: int
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    data: bytes

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self.starts):
            return f"string {index}"
        start = self.starts[index]
        return self.data[start : start + self.sizes[index]].removesuffix(b"\0").decode(errors="replace")


def read_strings(cursor: MlirCursor) -> Strings:
    """Read the string section. Raises `FormatError`."""
    count = cursor.varint()
    if count > cursor.left:
        raise cursor.error(f"the string table lists {count:,} strings in {cursor.left:,} bytes")
    sizes = [cursor.varint() for _ in range(count)]
    sizes.reverse()  # "reverseStringLengths"
    table_size = cursor.index
    if sum(sizes) > cursor.left:
        raise cursor.error(f"the strings need {sum(sizes):,} bytes but {cursor.left:,} are left")
    starts = tuple(accumulate(sizes[:-1], initial=0)) if sizes else ()
    return Strings(table_size, starts, tuple(sizes), cursor.data[table_size:])


@dataclass(frozen=True, slots=True)
class Dialect:
    """A dialect: its name, and the bytes of its version, if it has one."""

    name: str
    version: bytes | None


@dataclass(frozen=True, slots=True)
class Dialects:
    """The dialects in the order of their numbers, and the operations of each that the program uses, by
    name.
    """

    dialects: tuple[Dialect, ...]
    operations: tuple[str, ...]

    def name(self, index: int) -> str:
        """Return the name of a dialect."""
        return self.dialects[index].name if 0 <= index < len(self.dialects) else f"dialect {index}"


def read_dialects(cursor: MlirCursor, version: int, strings: Strings) -> Dialects:
    """Read the dialect section of byte code of that version. Raises `FormatError`."""
    count = cursor.varint()
    if count > cursor.left:
        raise cursor.error(f"{count:,} dialects do not fit {cursor.left:,} bytes")
    dialects: list[Dialect] = []
    for _ in range(count):
        name = cursor.varint()
        number: bytes | None = None
        if version >= _DIALECT_VERSIONS:
            has_version, name = name & 1, name >> 1
            if has_version:
                if cursor.u8() != SectionId.DIALECT_VERSIONS:
                    raise cursor.error("the version of a dialect is not in a section of its kind")
                number = cursor.take(cursor.varint())
        dialects.append(Dialect(strings[name], number))
    if version >= _COUNTED_OPERATIONS:
        cursor.varint()
    operations: list[str] = []
    while cursor.left:
        dialect, names = cursor.varint(), cursor.varint()
        if names > cursor.left:
            raise cursor.error(f"{names:,} names of operations do not fit {cursor.left:,} bytes")
        prefix = dialects[dialect].name if dialect < len(dialects) else f"dialect {dialect}"
        for _ in range(names):
            name = cursor.varint()
            operations.append(f"{prefix}.{strings[name >> 1 if version >= _NATIVE_PROPERTIES else name]}")
    return Dialects(tuple(dialects), tuple(operations))


@dataclass(frozen=True, slots=True)
class Entry:
    """An attribute or a type: where its encoding is in the AttrType section, whose it is, and whether its
    dialect encodes it.
    """

    offset: int
    size: int
    dialect: int
    is_custom: bool

    @property
    def end(self) -> int:
        """Where its encoding ends."""
        return self.offset + self.size


def read_entries(cursor: MlirCursor, most: int) -> tuple[list[Entry], list[Entry]]:
    """Read the AttrTypeOffset section: the attributes and the types. Raises `FormatError`.

    The sizes follow one another; ``most`` is the size of the section that they divide.
    """
    attributes, types = cursor.varint(), cursor.varint()
    wanted = attributes + types
    if wanted > cursor.left:
        raise cursor.error(f"{wanted:,} attributes and types do not fit {cursor.left:,} bytes of offsets")
    entries: list[Entry] = []
    offset = 0
    while len(entries) < wanted:
        dialect, count = cursor.varint(), cursor.varint()
        if not 0 < count <= wanted - len(entries):
            raise cursor.error(
                f"a group of {count:,} attributes or types where {wanted - len(entries):,} are left"
            )
        for _ in range(count):
            value = cursor.varint()
            size = value >> 1
            if size > most - offset:
                raise cursor.error(
                    f"an attribute or type needs {size:,} bytes but {most - offset:,} are left"
                )
            entries.append(Entry(offset, size, dialect, bool(value & 1)))
            offset += size
    return entries[:attributes], entries[attributes:]


class ResourceKind(IntEnum):
    """How a resource is encoded (AsmResourceEntryKind)."""

    BLOB = 0
    BOOL = 1
    STRING = 2


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource: where it is in the resource section, its key, the name of its group, and its kind.

    ``is_handle`` says that a dialect owns it: attributes name those by their number.
    """

    offset: int
    size: int
    key: str
    group: str
    kind: int
    is_handle: bool


def read_resources(cursor: MlirCursor, strings: Strings, dialects: Dialects, most: int) -> list[Resource]:
    """Read the ResourceOffset section; the sizes divide a section of ``most`` bytes. Raises `FormatError`."""
    external = cursor.varint()
    found: list[Resource] = []
    offset = groups = 0
    while cursor.left:
        key, count = cursor.varint(), cursor.varint()
        is_handle = groups >= external
        group = dialects.name(key) if is_handle else strings[key]
        groups += 1
        if count > cursor.left:
            raise cursor.error(f"{count:,} resources do not fit {cursor.left:,} bytes")
        for _ in range(count):
            name, size, kind = cursor.varint(), cursor.varint(), cursor.u8()
            if size > most - offset:
                raise cursor.error(f"a resource needs {size:,} bytes but {most - offset:,} are left")
            found.append(Resource(offset, size, strings[name], group, kind, is_handle))
            offset += size
    return found
