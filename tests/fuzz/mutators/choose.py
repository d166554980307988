"""Choose the mutator of a file by its bytes, as readers choose."""

from __future__ import annotations

import gzip
import zlib

from tests.fuzz.mutators import documents, flatbuffer, hdf5, protobuf, sstable, zips
from tests.fuzz.mutators.havoc import LARGEST, Rng, havoc

_BLIND = 0.15
"""How often a file is changed without a look at its structure."""


def mutate(data: bytes, rng: Rng) -> bytes:
    """Return a changed copy of a file of any kind."""
    if rng.random() < _BLIND or not data:
        return havoc(data, rng)
    if rng.random() < 0.02:
        return data[: rng.randrange(len(data))]
    return _by_kind(data, rng)[:LARGEST]


def _by_kind(data: bytes, rng: Rng) -> bytes:
    if data[:4] in (b"PK\3\4", b"PK\5\6"):
        return zips.mutate(data, rng, mutate)
    if hdf5.SIGNATURE in data[:2048]:
        return hdf5.mutate(data, rng)
    if data.endswith(sstable.MAGIC):
        return sstable.mutate(data, rng)
    if data[4:8] in flatbuffer.IDENTIFIERS or data[8:12] in flatbuffer.IDENTIFIERS:
        return flatbuffer.mutate(data, rng)
    if data[:2] == b"\x1f\x8b":
        return _gzipped(data, rng)
    if data[:1] in (b"{", b"["):
        return documents.mutate(data, rng)
    if (
        data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8
    ):  # safetensors: a length, then JSON
        end = 8 + int.from_bytes(data[:8], "little")
        header = documents.mutate(data[8:end], rng)
        return len(header).to_bytes(8, "little") + header + data[end:]
    if protobuf.parse(data):
        return protobuf.mutate(data, rng)
    return havoc(data, rng)


def _gzipped(data: bytes, rng: Rng) -> bytes:
    try:
        plain = zlib.decompressobj(31).decompress(data, LARGEST)
    except zlib.error:
        return havoc(data, rng)
    return gzip.compress(mutate(plain, rng), 1, mtime=0) if rng.random() < 0.8 else havoc(data, rng)
