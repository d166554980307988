"""Writes tables and TensorBundles by hand, as TensorFlow's writer does not: small blocks, Snappy, gaps, other
byte orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cramjam
import google_crc32c
import numpy as np

from modelinspect.encodings.protobuf import message_class

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def masked(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(entries: Sequence[tuple[bytes, bytes]], interval: int = 16) -> bytes:
    """Return the contents of a block."""
    out, restarts, last = bytearray(), [0], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number and number % interval == 0:
            restarts.append(len(out))
        elif number:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return (
        bytes(out)
        + b"".join(point.to_bytes(4, "little") for point in restarts)
        + len(restarts).to_bytes(4, "little")
    )


@dataclass
class TableFile:
    """A table being written; ``places`` are the offset and size of each block as it is stored."""

    snappy: bool = False
    data: bytearray = field(default_factory=bytearray)
    places: list[tuple[int, int]] = field(default_factory=list)

    def add(self, contents: bytes, *, crc: int | None = None) -> bytes:
        """Append a block with its trailer and return its handle."""
        kind = b"\1" if self.snappy else b"\0"
        stored = bytes(cramjam.snappy.compress_raw(contents)) if self.snappy else contents
        handle = varint(len(self.data)) + varint(len(stored))
        self.places.append((len(self.data), len(stored)))
        self.data += stored + kind + (masked(stored + kind) if crc is None else crc).to_bytes(4, "little")
        return handle

    def finish(self, metaindex: bytes, index: bytes) -> bytes:
        handles = metaindex + index
        return bytes(self.data) + handles + bytes(40 - len(handles)) + MAGIC


def table(
    entries: Sequence[tuple[bytes, bytes]],
    *,
    per_block: int = 1_000_000,
    interval: int = 16,
    snappy: bool = False,
) -> bytes:
    """Return a table file of sorted entries."""
    return table_file(entries, per_block=per_block, interval=interval, snappy=snappy)[0]


def table_file(
    entries: Sequence[tuple[bytes, bytes]],
    *,
    per_block: int = 1_000_000,
    interval: int = 16,
    snappy: bool = False,
) -> tuple[bytes, TableFile]:
    """Return a table file, and where its blocks stand."""
    made = TableFile(snappy)
    index: list[tuple[bytes, bytes]] = []
    for first in range(0, len(entries), per_block):
        some = entries[first : first + per_block]
        index.append((some[-1][0] + b"\0", made.add(block(some, interval))))
    metaindex = made.add(block([]))
    return made.finish(metaindex, made.add(block(index, 1))), made


def entry(
    dtype: int, shape: Sequence[int], offset: int, data: bytes, shard: int = 0, **other: object
) -> bytes:
    """Return a BundleEntryProto."""
    proto = message_class("BundleEntryProto")(
        dtype=dtype, shard_id=shard, offset=offset, size=len(data), crc32c=masked(data), **other
    )
    for size in shape:
        proto.shape.dim.add(size=size)  # type: ignore[attr-defined]
    return proto.SerializeToString(deterministic=True)


def header(shards: int = 1, endianness: int = 0) -> bytes:
    """Return a BundleHeaderProto."""
    proto = message_class("BundleHeaderProto")(num_shards=shards, endianness=endianness)
    proto.version.producer = 1  # type: ignore[attr-defined]
    return proto.SerializeToString(deterministic=True)


NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "bool": 10}


def bundle(
    tensors: Mapping[str, np.ndarray],
    *,
    big: bool = False,
    align: int = 1,
    gap: bytes = b"",
    **options: object,
) -> dict[str, bytes]:
    """Return the files of a bundle ``model``: each tensor aligned, ``gap`` behind each."""
    data = bytearray()
    entries = [(b"", header(endianness=int(big)))]
    for name, value in sorted(tensors.items()):
        data += bytes(-len(data) % align)
        stored = value.astype(value.dtype.newbyteorder(">" if big else "<")).tobytes()
        entries.append((name.encode(), entry(NUMBERS[value.dtype.name], value.shape, len(data), stored)))
        data += stored + gap
    return {"model.index": table(entries, **options), "model.data-00000-of-00001": bytes(data)}  # type: ignore[arg-type]
