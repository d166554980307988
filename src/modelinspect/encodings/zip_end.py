"""Find the central directory of a zip archive: its end record, and what zip64 puts before it.

Specification: PKWARE APPNOTE.TXT 6.3.10; quoted by section at the lines that obey it.
"""

from __future__ import annotations

from collections.abc import Callable

from modelinspect.core import signatures
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.errors import Code, FormatError
from modelinspect.sources.base import Source

_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_END_RECORD = b"PK\x06\x06"
_END_RECORD_SIZE = 22
_ZIP64_LOCATOR_SIZE = 20
_ZIP64_END_RECORD_SIZE = 56
_FULL_16 = 0xFFFF
_FULL_32 = 0xFFFF_FFFF

Survive = Callable[[str, int], None]
"""Takes a problem that the walk survives, and its offset."""
Note = Callable[[str, int, Code], None]
"""Takes what two readers read differently, its offset, and its code."""


@dataclass(frozen=True, slots=True)
class End:
    """Where the directory is.

    ``shift`` is what must be added to every offset: bytes put before the archive.
    """

    directory: Span
    shift: int
    records: tuple[tuple[str, Span], ...]
    end: int


def find_end_record(source: Source) -> int | None:
    """Return the offset of the end of central directory record, None where there is none."""
    size = min(source.size, _END_RECORD_SIZE + _FULL_16)
    tail = source.read_at(source.size - size, size)
    if (
        size >= _END_RECORD_SIZE
        and tail[-_END_RECORD_SIZE:].startswith(signatures.ZIP_END)
        and tail[-2:] == b"\0\0"
    ):
        return source.size - _END_RECORD_SIZE
    index = tail.rfind(signatures.ZIP_END, 0, max(size - _END_RECORD_SIZE + len(signatures.ZIP_END), 0))
    return None if index < 0 else source.size - size + index


def read_end(source: Source, survive: Survive, note: Note) -> End:
    """Read the end record and what zip64 puts before it (4.3.14 to 4.3.16)."""
    offset = find_end_record(source)
    if offset is None:
        raise FormatError(
            "it has no end of central directory record of a zip archive",
            source.name,
            max(source.size - _END_RECORD_SIZE, 0),
        )
    cursor = Cursor(
        source.read_at(offset, _END_RECORD_SIZE), source.name, offset, "end of central directory record"
    )
    cursor.skip(4)
    disk, directory_disk = cursor.u16(), cursor.u16()
    cursor.skip(4)
    size, start, comment = cursor.u32(), cursor.u32(), cursor.u16()
    if disk != directory_disk or disk not in (0, _FULL_16):
        survive("the archive is one part of several, which are not read together", offset)
    comment_size = min(comment, source.size - offset - _END_RECORD_SIZE)
    if comment_size < comment:
        survive(f"the archive's comment needs {comment:,} bytes but {comment_size:,} are left", offset)
    records = [("end of central directory record", Span(offset, _END_RECORD_SIZE + comment_size))]
    end, before = offset + _END_RECORD_SIZE + comment_size, offset
    zip64 = _read_zip64_end(source, survive, note, offset)
    if zip64 is not None:
        plain, (size, start, before, more) = (size, start), zip64
        # 4.4.1.4: a field that zip64 holds is full here; other readers take one that is not.
        if any(here not in (_FULL_32, there) for here, there in zip(plain, (size, start), strict=True)):
            note(
                "the end record and the zip64 record name different central directories",
                offset,
                Code.AMBIGUOUS,
            )
        records += more
    begin = before - size
    if begin < 0:
        raise FormatError(
            f"the central directory needs {size:,} bytes but {before:,} are before its end",
            source.name,
            offset,
        )
    return End(Span(begin, size), begin - start, tuple(records), end)


def _read_zip64_end(
    source: Source, survive: Survive, note: Note, offset: int
) -> tuple[int, int, int, list[tuple[str, Span]]] | None:
    """Read the zip64 records before the end record, if there are any: size and start of the directory,
    its end, the records.
    """
    locator = offset - _ZIP64_LOCATOR_SIZE
    if locator < 0 or source.read_at(locator, 4) != _ZIP64_LOCATOR:
        return None
    stated_offset = int.from_bytes(source.read_at(locator + 8, 8), "little")
    # Without extensible data the record is right before its locator, and Python's zipfile looks nowhere
    # else; others look where the locator says. Bytes put before the archive move the record.
    places = [
        record
        for record in dict.fromkeys((locator - _ZIP64_END_RECORD_SIZE, stated_offset))
        if 0 <= record <= locator - _ZIP64_END_RECORD_SIZE and source.read_at(record, 4) == _ZIP64_END_RECORD
    ]
    if not places:
        survive("the zip64 end of central directory record is not where its locator says", locator)
        return None
    record = places[0]
    if len(places) > 1:
        note(
            "a zip64 record is where the locator says, and another right before the locator",
            locator,
            Code.AMBIGUOUS,
        )
    cursor = Cursor(
        source.read_at(record, _ZIP64_END_RECORD_SIZE),
        source.name,
        record,
        "zip64 end of central directory record",
    )
    cursor.skip(4)
    record_size = cursor.u64() + 12  # 4.3.14.1: the size leaves out its own field and the signature
    cursor.skip(28)
    size, start = cursor.u64(), cursor.u64()
    if record + record_size != locator:
        survive("the zip64 end of central directory record does not end where its locator begins", record)
    record_span = Span(record, min(record_size, locator - record))
    names = ("zip64 end of central directory record", "zip64 end of central directory locator")
    return (
        size,
        start,
        record,
        list(zip(names, (record_span, Span(locator, _ZIP64_LOCATOR_SIZE)), strict=True)),
    )
