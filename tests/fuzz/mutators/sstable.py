"""Change TensorFlow's tables: entries, blocks and handles, with prefixes, restarts and checksums written
anew.
"""

from __future__ import annotations

import struct

import cramjam
import google_crc32c

from tests.fuzz.mutators import protobuf
from tests.fuzz.mutators.havoc import Rng, havoc, near
from tests.fuzz.mutators.protobuf import read_varint, varint

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_RESTART = 16
_MOST_ENTRIES = 20_000
Entries = list[tuple[bytes, bytes]]


def mutate(data: bytes, rng: Rng) -> bytes:
    """Return a table with a few entries changed, or one whose fields are changed below a sound checksum."""
    blocks = _read(data)
    if blocks is None:
        return havoc(data, rng)
    if rng.random() < 0.35:
        return _tamper(data, rng)
    entries = [entry for block in blocks for entry in block]
    for _ in range(rng.choice((1, 1, 2, 5))):
        _change(entries, rng)
    if rng.random() < 0.8:
        entries.sort(key=lambda entry: entry[0])
    return write(entries, rng)


def _change(entries: Entries, rng: Rng) -> None:
    if not entries:
        entries.append((b"", b"\x08\x01"))
        return
    index = rng.randrange(len(entries))
    key, value = entries[index]
    match rng.randrange(6):
        case 0:
            del entries[index]
        case 1:
            entries.insert(index, (key, value))
        case 2:
            entries[index] = (havoc(key, rng)[:4_096], value)
        case 3:
            entries[index] = (rng.choice(entries)[0] + key[-8:], value)
        case 4:
            entries[index] = (key, rng.choice(entries)[1])
        case _:
            entries[index] = (key, protobuf.mutate(value, rng))


def write(entries: Entries, rng: Rng) -> bytes:
    """Return a table of entries: data blocks of a few KiB, an empty metaindex, an index, a footer."""
    out = bytearray()
    index: Entries = []
    limit = rng.choice((1, 512, 4_096, 1 << 18))
    pending: Entries = []
    for entry in entries:
        pending.append(entry)
        if sum(len(key) + len(value) for key, value in pending) >= limit:
            index.append((pending[-1][0], _append(out, _block(pending), rng)))
            pending = []
    if pending:
        index.append((pending[-1][0], _append(out, _block(pending), rng)))
    footer = _append(out, _block([]), rng) + _append(out, _block(index), rng)
    return bytes(out) + footer.ljust(_FOOTER - 8, b"\0") + MAGIC


def _block(entries: Entries) -> bytes:
    out = bytearray()
    restarts = [0]
    last = b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % _RESTART == 0:
            restarts.append(len(out)) if number else None
        else:
            while shared < min(len(last), len(key)) and last[shared] == key[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return bytes(out) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def _append(out: bytearray, block: bytes, rng: Rng) -> bytes:
    kind = b"\0"
    if rng.random() < 0.15:
        block, kind = bytes(cramjam.snappy.compress_raw(block)), b"\1"
    handle = varint(len(out)) + varint(len(block))
    out += block + kind + _checksum(block + kind)
    return handle


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def _tamper(data: bytes, rng: Rng) -> bytes:
    """Change bytes of one block, or of the footer, and mend the block's checksum."""
    changed = bytearray(data)
    handles = _handles(data) or []
    if not handles or rng.random() < 0.2:
        place = len(data) - _FOOTER + rng.randrange(_FOOTER - 8)
        changed[place] = near(changed[place], rng, len(data), 1)
        return bytes(changed)
    offset, size = rng.choice(handles)
    for _ in range(rng.choice((1, 1, 3))):
        if size:
            place = offset + (
                max(size - rng.randrange(1, 13), 0) if rng.random() < 0.3 else rng.randrange(size)
            )
            changed[place] = near(changed[place], rng, 255, 1)
    changed[offset + size + 1 : offset + size + 5] = _checksum(bytes(changed[offset : offset + size + 1]))
    return bytes(changed)


def _handles(data: bytes) -> list[tuple[int, int]] | None:
    """Return where the blocks are: those of data, the metaindex and the index; None where this is no
    table.
    """
    if len(data) < _FOOTER or not data.endswith(MAGIC):
        return None
    numbers: list[int] = []
    at = len(data) - _FOOTER
    for _ in range(4):
        value, at = read_varint(data, at)
        if at < 0:
            return None
        numbers.append(value)
    meta, index = (numbers[0], numbers[1]), (numbers[2], numbers[3])
    found = [meta, index]
    for _, value in _entries(data, *index) or []:
        offset, at = read_varint(value, 0)
        size, _ = read_varint(value, max(at, 0))
        found.append((offset, size))
    return [(offset, size) for offset, size in found if offset + size + 5 <= len(data) - _FOOTER]


def _read(data: bytes) -> list[Entries] | None:
    handles = _handles(data)
    if not handles or len(handles) < 3:
        return None
    return [found for offset, size in handles[2:] if (found := _entries(data, offset, size)) is not None]


def _entries(data: bytes, offset: int, size: int) -> Entries | None:
    """Return the entries of a block as far as they can be read; None of a compressed or broken one."""
    block = data[offset : offset + size]
    if len(block) < 8 or data[offset + size : offset + size + 1] != b"\0":
        return None
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    found: Entries = []
    last, at = b"", 0
    while 0 <= at < end and len(found) < _MOST_ENTRIES:
        shared, at = read_varint(block, at)
        rest, at = read_varint(block, max(at, 0))
        length, at = read_varint(block, max(at, 0))
        if at < 0 or at + rest + length > end:
            break
        last = last[:shared] + block[at : at + rest]
        found.append((last, block[at + rest : at + rest + length]))
        at += rest + length
    return found
