"""Computes the checksums of a checkpoint's tensors, which its index holds."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import MIB
from modelinspect.encodings.sstable import extended, mask
from modelinspect.errors import FormatError, LocationError
from modelinspect.formats.base import Parsing
from modelinspect.formats.checkpoint.bundle import BundleEntry, read_index
from modelinspect.rules.unsafe.places import Place
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet


def wrong_tensors(artifact: Artifact, files: FileSet) -> Iterator[tuple[str, Place]]:
    """Yield what is wrong, and where, of tensors whose bytes do not fit the index; those of strings have checksums of other bytes."""
    names = [member.name for member in artifact.members]
    for index in names:
        if not index.endswith(".index"):
            continue
        try:
            bundle = read_index(Parsing(files), index, names)
        except (FormatError, LocationError):  # parsing has told
            continue
        for entry in bundle.entries:
            shard = bundle.shards.get(entry.shard)
            if shard is None or not entry.dtype.bits or entry.slices or not entry.span.size:
                continue
            found = _checksum(files.open(shard), entry)
            if found is not None and found != entry.crc32c:
                told = f"tensor {entry.name} has the checksum {found:#010x} but the index tells {entry.crc32c:#010x}"
                yield told, Place(shard, entry.span.offset, entry.span.size)


def _checksum(source: Source, entry: BundleEntry) -> int | None:
    """Return the masked CRC-32C of a tensor's bytes, None where they are not all there."""
    if entry.span.end > source.size:
        return None
    checksum = 0
    for offset in range(entry.span.offset, entry.span.end, MIB):
        checksum = extended(checksum, source.read_at(offset, min(MIB, entry.span.end - offset)))
    return mask(checksum)
