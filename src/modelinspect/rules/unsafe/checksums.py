"""The rule about checksums that do not match."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from modelinspect.core import signatures
from modelinspect.core.artifact import Artifact, Severity
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import MIB, Limits
from modelinspect.encodings.sstable import extended, mask
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip import ZipMember, walk_zip
from modelinspect.errors import Code, FormatError, LocationError
from modelinspect.formats.archives.nested import codec_of
from modelinspect.formats.base import Parsing
from modelinspect.formats.checkpoint.bundle import BundleEntry, read_index
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.diagnostics import with_code
from modelinspect.sources.base import Source
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource
from modelinspect.sources.files import FileSet

_REMEDY = "get it again: it was damaged on its way, or changed by hand"
_code_reported = with_code(Code.CHECKSUM, _REMEDY)


def _find_checksum(subject: Subject) -> Iterator[Finding]:
    findings = list(_code_reported(subject))
    yield from findings
    if subject.measurements is None:
        return
    for message, place in wrong_tensors(subject.artifact, subject.files):
        yield Finding(message, place.size or 0, _REMEDY, place)
    seen = {found.place.offset for found in findings if found.place is not None}
    for member in subject.artifact.members:
        source = subject.files.open(member.name)
        if source.size < len(signatures.ZIP) or source.read_at(0, len(signatures.ZIP)) != signatures.ZIP:
            continue
        for entry in _entries(source, subject.limits):
            problem = _problem(source, entry, subject.limits)
            if problem and entry.data is not None and entry.data.offset not in seen:
                place = Place(member.name, entry.data.offset, entry.data.size)
                yield Finding(f"member {entry.name} {problem}", entry.data.size, _REMEDY, place)


def _entries(source: Source, limits: Limits) -> tuple[ZipMember, ...]:
    scratch = ByteMapBuilder(source.name, source.size)
    try:
        return walk_zip(Walk(source, scratch, limits.fresh(), lambda error: None)).members
    except FormatError:  # parsing has reported it
        return ()


def _problem(source: Source, entry: ZipMember, limits: Limits) -> str:
    if entry.data is None or entry.problem:
        return ""
    try:
        if entry.is_stored:
            found = 0
            for offset in range(entry.data.offset, entry.data.end, MIB):
                found = zlib.crc32(source.read_at(offset, min(MIB, entry.data.end - offset)), found)
            return (
                ""
                if found == entry.crc
                else f"has the CRC {found:#010x} but the archive states {entry.crc:#010x}"
            )
        inner = DecompressedSource(
            source,
            entry.data.offset,
            entry.data.size,
            codec_of(entry) or Codec.DEFLATE,
            entry.size,
            crc=entry.crc,
            limits=limits,
        )
        inner.decode_all()
    except FormatError as error:
        return f"cannot be checked: {error.problem}"
    return "" if inner.failure is None else f"is damaged: {inner.failure.problem}"


CHECKSUM = Rule(
    "checksum",
    Severity.ERROR,
    "Bytes that do not fit their checksum are not those that were saved.",
    _find_checksum,
    advice="get it again: it was damaged on its way, or changed by hand",
    example="the checksum of the object header is wrong",
    group=Group.UNSAFE,
)


def wrong_tensors(artifact: Artifact, files: FileSet) -> Iterator[tuple[str, Place]]:
    """Yield what is wrong, and where, of tensors whose bytes do not fit the index; those of strings have
    checksums of other bytes.
    """
    names = [member.name for member in artifact.members]
    for index in names:
        if not index.endswith(".index"):
            continue
        try:
            bundle = read_index(Parsing(files), index, names)
        except (FormatError, LocationError):  # parsing has reported it
            continue
        for entry in bundle.entries:
            shard = bundle.shards.get(entry.shard)
            if shard is None or not entry.dtype.bits or entry.slices or not entry.span.size:
                continue
            found = _checksum(files.open(shard), entry)
            if found is not None and found != entry.crc32c:
                text = (
                    f"tensor {entry.name} has the checksum {found:#010x} but the index states"
                    f" {entry.crc32c:#010x}"
                )
                yield text, Place(shard, entry.span.offset, entry.span.size)


def _checksum(source: Source, entry: BundleEntry) -> int | None:
    """Return the masked CRC-32C of a tensor's bytes, None where they are not all there."""
    if entry.span.end > source.size:
        return None
    checksum = 0
    for offset in range(entry.span.offset, entry.span.end, MIB):
        checksum = extended(checksum, source.read_at(offset, min(MIB, entry.span.end - offset)))
    return mask(checksum)


RULES = (CHECKSUM,)
