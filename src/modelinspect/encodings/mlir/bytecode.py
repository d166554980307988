"""Read the frame of MLIR byte code, header and sections, and its integers."""

from __future__ import annotations

from enum import IntEnum

from modelinspect.core import signatures
from modelinspect.core.records import dataclass
from modelinspect.encodings.cursor import Cursor
from modelinspect.errors import FormatError
from modelinspect.sources.base import Source

LAST_VERSION = 6
"""The newest version of the byte code whose sections are known (mlir/include/mlir/Bytecode/Encoding.h,
kVersion).
"""
_PRODUCER = 4_096
_SECTION_HEADER = 1 + 9 + 9
_ALIGNED = 0x80
_LARGEST_ALIGNMENT = 1 << 16


class SectionId(IntEnum):
    """The sections by their ids (Encoding.h, Section::ID)."""

    STRING = 0
    DIALECT = 1
    ATTR_TYPE = 2
    ATTR_TYPE_OFFSET = 3
    IR = 4
    RESOURCE = 5
    RESOURCE_OFFSET = 6
    DIALECT_VERSIONS = 7
    PROPERTIES = 8


SECTION_NAMES = {
    SectionId.STRING: "String",
    SectionId.DIALECT: "Dialect",
    SectionId.ATTR_TYPE: "AttrType",
    SectionId.ATTR_TYPE_OFFSET: "AttrTypeOffset",
    SectionId.IR: "IR",
    SectionId.RESOURCE: "Resource",
    SectionId.RESOURCE_OFFSET: "ResourceOffset",
    SectionId.DIALECT_VERSIONS: "DialectVersions",
    SectionId.PROPERTIES: "Properties",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Its header is at ``offset``, its ``size`` bytes of data at ``begin``; padding is between the two.
    """

    id: int
    offset: int
    header_size: int
    begin: int
    size: int

    @property
    def end(self) -> int:
        """Where its data ends."""
        return self.begin + self.size

    @property
    def name(self) -> str:
        """Its name in the specification."""
        return SECTION_NAMES[SectionId(self.id)] if self.id in SECTION_NAMES else f"section {self.id}"


@dataclass(frozen=True, slots=True)
class Frame:
    """The header and the sections.

    ``failure`` says why the sections after those listed could not be found.
    """

    version: int
    producer: str
    header_size: int
    sections: tuple[Section, ...]
    failure: FormatError | None = None

    def find(self, id: SectionId) -> Section | None:
        """Return the first section with that id."""
        return next((section for section in self.sections if section.id == id), None)


def read_frame(source: Source) -> Frame:
    """Read the header and find the sections; offsets count from the magic.

    Raises `FormatError` where the header is broken.
    """
    head = source.read_at(0, min(source.size, _PRODUCER))
    cursor = MlirCursor(head, source.name, 0, "header of MLIR byte code")
    cursor.expect(signatures.MLIR)
    version = cursor.varint()
    end = head.find(b"\0", cursor.index)
    if end < 0:
        raise cursor.error("the name of the producer does not end")
    producer = head[cursor.index : end].decode(errors="replace")
    offset = header_size = end + 1
    sections: list[Section] = []
    failure: FormatError | None = None
    while offset < source.size:
        try:
            section = _read_section(source, offset)
        except FormatError as error:
            failure = error
            break
        sections.append(section)
        offset = section.end
    return Frame(version, producer, header_size, tuple(sections), failure)


def _read_section(source: Source, offset: int) -> Section:
    data = source.read_at(offset, min(_SECTION_HEADER, source.size - offset))
    cursor = MlirCursor(data, source.name, offset, "header of a section")
    number = cursor.u8()
    size = cursor.varint()
    begin = 0
    if number & _ALIGNED:
        alignment = cursor.varint()
        if alignment & (alignment - 1) or not 0 < alignment <= _LARGEST_ALIGNMENT:
            raise FormatError(f"a section is aligned to {alignment:,} bytes", source.name, offset)
        begin = -(-cursor.offset // alignment) * alignment
    begin = max(begin, cursor.offset)
    if size > source.size - begin:
        left = max(source.size - begin, 0)
        raise FormatError(f"a section needs {size:,} bytes but {left:,} are left", source.name, offset)
    return Section(number & ~_ALIGNED, offset, cursor.index, begin, size)


class MlirCursor(Cursor):
    """Reads PrefixVarInts besides what `Cursor` reads."""

    __slots__ = ()

    def varint(self) -> int:
        """Read an unsigned integer of 1 to 9 bytes.

        The zero bits that end the first byte count the bytes that follow it.
        """
        first = self.u8()
        if first & 1:
            return first >> 1
        if first == 0:
            return self.u64()
        size = (first & -first).bit_length()
        self.index -= 1
        return self.uint(size) >> size

    def svarint(self) -> int:
        """Read a signed integer, stored in zigzag order."""
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def svarints(self, most: int) -> tuple[int, ...]:
        """Read a count and that many signed integers.

        Raises `FormatError` where the count exceeds ``most``.
        """
        count = self.varint()
        if count > most:
            raise self.error(f"{self.what} lists {count:,} numbers; at most {most:,} make sense")
        return tuple(self.svarint() for _ in range(count))
