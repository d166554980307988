"""Finds checksums that do not hold."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import MIB, Limits
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip import LOCAL_HEADER, ZipMember, walk_zip
from modelinspect.errors import FormatError
from modelinspect.rules.unsafe.base import Located, Place, Subject, UnsafeRule
from modelinspect.rules.unsafe.bundle_checksums import wrong_tensors
from modelinspect.rules.unsafe.troubles import troubles
from modelinspect.sources.base import Source
from modelinspect.sources.decompressed import Codec, DecompressedSource

_REMEDY = "get it again: it was damaged on its way, or changed by hand"
_told = troubles(r"(?i)\bchecksum\b|\bCRC\b", _REMEDY)


def _find(subject: Subject) -> Iterator[Located]:
    told = list(_told(subject))
    yield from told
    if subject.context.measurements is None:
        return
    for message, place in wrong_tensors(subject.artifact, subject.files):
        yield Located(message, place.size or 0, _REMEDY, place)
    seen = {found.place.offset for found in told if found.place is not None}
    for member in subject.artifact.members:
        source = subject.files.open(member.name)
        if source.size < len(LOCAL_HEADER) or source.read_at(0, len(LOCAL_HEADER)) != LOCAL_HEADER:
            continue
        for entry in _entries(source):
            problem = _problem(source, entry)
            if problem and entry.data is not None and entry.data.offset not in seen:
                place = Place(member.name, entry.data.offset, entry.data.size)
                yield Located(f"member {entry.name} {problem}", entry.data.size, _REMEDY, place)


def _entries(source: Source) -> tuple[ZipMember, ...]:
    scratch = ByteMapBuilder(source.name, source.size)
    try:
        return walk_zip(Walk(source, scratch, Limits(), lambda error: None)).members
    except FormatError:  # parsing has told
        return ()


def _problem(source: Source, entry: ZipMember) -> str:
    if entry.data is None or entry.problem:
        return ""
    try:
        if entry.is_stored:
            found = 0
            for offset in range(entry.data.offset, entry.data.end, MIB):
                found = zlib.crc32(source.read_at(offset, min(MIB, entry.data.end - offset)), found)
            return "" if found == entry.crc else f"has the CRC {found:#010x} but the archive tells {entry.crc:#010x}"
        inner = DecompressedSource(source, entry.data.offset, entry.data.size, Codec.DEFLATE, entry.size, crc=entry.crc)
        inner.decode_all()
    except FormatError as error:
        return f"cannot be checked: {error.problem}"
    return "" if inner.failure is None else f"is damaged: {inner.failure.problem}"


RULE = UnsafeRule(
    "checksum",
    Severity.ERROR,
    "Bytes that do not fit their checksum are not those that were saved.",
    _find,
    remedy="get it again: it was damaged on its way, or changed by hand",
    example="the checksum of the object header is wrong",
)
