"""Compare members of a zip archive with the checksums that it states, and the tensors of a checkpoint with
those in its index.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import MIB, Limits
from modelinspect.core.span import Span
from modelinspect.encodings.sstable import extended, mask
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip import ZipMember, walk_zip
from modelinspect.errors import FormatError, LocationError
from modelinspect.formats.archives.nested import codec_of
from modelinspect.formats.base import Parsing
from modelinspect.formats.checkpoint.bundle import BundleEntry, read_index
from modelinspect.rules.base import Place
from modelinspect.sources.base import Source
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource
from modelinspect.sources.files import FileSet


def wrong_members(source: Source, limits: Limits) -> Iterator[tuple[str, Span]]:
    """Yield what is wrong with each member that does not fit its checksum, and where its data are."""
    for entry in _entries(source, limits):
        problem = _problem(source, entry, limits)
        if problem and entry.data is not None:
            yield f"member {entry.name} {problem}", entry.data


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


def wrong_tensors(files: FileSet, indexes: list[str], names: list[str]) -> Iterator[tuple[str, Place]]:
    """Yield what is wrong, and where, of tensors whose bytes do not fit one of the ``indexes``; those of
    strings have checksums of other bytes. ``names`` are all members.
    """
    for index in indexes:
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
