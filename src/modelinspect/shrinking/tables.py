"""Write TensorFlow's table format: sorted keys in blocks, an index of the blocks, checksums.

Specification: google/leveldb, doc/table_format.md;
xla/tsl/lib/io/{table_builder.cc,block_builder.cc,format.cc}.
"""

from __future__ import annotations

from collections.abc import Iterable

import cramjam

from modelinspect.encodings.sstable.checksum import masked_crc32c
from modelinspect.encodings.sstable.table import MAGIC

_BLOCK = 256 * 1024
_RESTART = 128
"""Entries between restart points, at which keys are written whole; TensorFlow writes 16 and reads any
number.
"""
_FOOTER_HANDLES = 40
_PLAIN, _SNAPPY = b"\0", b"\1"


def write_table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a table of entries, which must be sorted by key and distinct."""
    out = bytearray()
    index: list[tuple[bytes, bytes]] = []
    block: list[tuple[bytes, bytes]] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if block:
            index.append((block[-1][0], _append(out, _contents(block, _RESTART))))
            block.clear()
            size = 0

    for key, value in entries:
        block.append((key, value))
        size += len(key) + len(value)
        if size >= _BLOCK:
            flush()
    flush()
    metaindex = _append(out, _contents([], _RESTART))
    handles = metaindex + _append(out, _contents(index, 1))
    out += handles.ljust(_FOOTER_HANDLES, b"\0") + MAGIC
    return bytes(out)


def _contents(entries: list[tuple[bytes, bytes]], restart: int) -> bytes:
    """Return the contents of a block."""
    out = bytearray()
    restarts = [0]
    before = b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % restart == 0:
            if number:
                restarts.append(len(out))
        else:
            shared = _common(before, key)
        out += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        before = key
    for place in restarts:
        out += place.to_bytes(4, "little")
    out += len(restarts).to_bytes(4, "little")
    return bytes(out)


def _append(out: bytearray, contents: bytes) -> bytes:
    """Append a block with its trailer and return its handle."""
    packed = bytes(cramjam.snappy.compress_raw(contents))
    kind, stored = (_SNAPPY, packed) if len(packed) < len(contents) else (_PLAIN, contents)
    handle = _varint(len(out)) + _varint(len(stored))
    out += stored + kind + masked_crc32c(stored + kind).to_bytes(4, "little")
    return handle


def _common(one: bytes, other: bytes) -> int:
    most = min(len(one), len(other))
    return next((index for index in range(most) if one[index] != other[index]), most)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
