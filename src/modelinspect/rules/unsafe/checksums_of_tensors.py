"""Compare the tensors of a checkpoint with the checksums in its index."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.limits import MIB
from modelinspect.encodings.sstable import extended, mask
from modelinspect.errors import FormatError, LocationError
from modelinspect.formats.base import Parsing
from modelinspect.formats.checkpoint.bundle import BundleEntry, read_index
from modelinspect.rules.base import Place
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet


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
