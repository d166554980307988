"""Write a TensorBundle again: equal tensors once, one shard, no byte that no key names, and a new index.

Two keys of the index may name the same bytes (tensorflow/core/util/tensor_bundle/tensor_bundle.cc reads by
offset and size). The index is TensorFlow's table format: sorted keys in blocks, an index of the blocks,
checksums (google/leveldb, doc/table_format.md; xla/tsl/lib/io/{table_builder.cc,block_builder.cc,format.cc}).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cramjam

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import MIB, Limits
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.protobuf import parse_message
from modelinspect.encodings.sstable import Table
from modelinspect.encodings.sstable.checksum import masked_crc32c
from modelinspect.encodings.sstable.table import MAGIC
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.reports.wording import plural
from modelinspect.shrinking.steps import NotShrinkableError, StepName, Work
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

HEADER_KEY = b""
_BLOCK = MIB


@dataclass(slots=True)
class Bundle:
    """A bundle as its index describes it: the header, and the entries by key, as messages of the protobuf
    package.
    """

    prefix: str
    header: Any
    entries: dict[bytes, Any]
    shards: dict[int, Source]
    index_size: int
    dropped: set[bytes] = field(default_factory=set)
    replaced: dict[bytes, bytes] = field(default_factory=dict)
    """New bytes of some entries, by key: an object graph without its optimizer."""

    @property
    def size(self) -> int:
        """The bytes of index and shards."""
        return self.index_size + sum(source.size for source in self.shards.values())

    def stored(self, key: bytes) -> tuple[Source, int, int]:
        """Return where the bytes of an entry are: source, offset and size."""
        entry = self.entries[key]
        return self.shards[entry.shard_id], entry.offset, entry.size


def read_bundle(files: FileSet, index: str, limits: Limits) -> Bundle:
    """Read an index and open its shards.

    Raises `NotShrinkableError` where something is damaged or missing.
    """
    source = files.open(index)
    trouble: list[FormatError] = []
    table = Table(
        Walk(source, ByteMapBuilder(index, source.size, limits), limits, trouble.append), lambda key: ""
    )
    header: Any = None
    entries: dict[bytes, Any] = {}
    for entry in table.entries():
        value = entry.read_value()
        if entry.key == HEADER_KEY:
            header = parse_message("BundleHeaderProto", value, index)
        else:
            limits.allow("the list of index entries", len(entries) + 1, limits.tensors, index)
            entries[entry.key] = parse_message("BundleEntryProto", value, index)
    if trouble or not table.complete or header is None:
        raise NotShrinkableError(
            f"{index}: damaged: {trouble[0].problem if trouble else 'a part of it could not be read'}"
        )
    prefix = index.removesuffix(".index")
    known = {*files.names(), *files.neighbours()}
    shards = {}
    for number in sorted(
        {entry.shard_id for entry in entries.values()} | set(range(min(header.num_shards, 1)))
    ):
        name = f"{prefix}.data-{number:05d}-of-{header.num_shards:05d}"
        if name not in known:
            raise NotShrinkableError(f"{index}: shard {name} is missing")
        shards[number] = files.open(name)
    bundle = Bundle(prefix, header, entries, shards, source.size)
    for key, entry in entries.items():
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > shards[entry.shard_id].size:
            raise NotShrinkableError(
                f"{index}: the bytes of {key.decode('utf-8', 'replace')} are not all there"
            )
    return bundle


def shard_names(files: FileSet, prefix: str) -> list[str]:
    """Return the names of all files that are shards of a prefix."""
    return [name for name in (*files.names(), *files.neighbours()) if name.startswith(f"{prefix}.data-")]


def write_bundle(bundle: Bundle, folder: Path, work: Work, old_size: int) -> tuple[Path, Path]:
    """Write index and data below ``folder`` under the bundle's prefix and return both paths.

    Raises `OSError`.

    ``old_size`` are the bytes of all files that the two replace.
    """
    index = folder / f"{bundle.prefix}.index"
    data = folder / f"{bundle.prefix}.data-00000-of-00001"
    index.parent.mkdir(parents=True, exist_ok=True)
    order = sorted(
        (key for key in bundle.entries if key not in bundle.dropped), key=lambda key: _place(bundle, key)
    )
    same = find_equal(bundle, order)
    placed: dict[bytes, int] = {}
    aliased = written = 0
    with data.open("wb") as out:
        for key in order:
            first = same.get(key, key)
            size = len(bundle.replaced[key]) if key in bundle.replaced else bundle.entries[key].size
            if first != key:
                aliased += size if _place(bundle, key) != _place(bundle, first) else 0
                placed[key] = placed[first]
                continue
            placed[key] = written
            _copy(bundle, key, out.write)
            work.tick(size)
            written += size
    index.write_bytes(_write_table(_rows(bundle, placed)))
    saved = old_size - index.stat().st_size - written
    index_saved = bundle.index_size - index.stat().st_size
    work.add(
        StepName.ALIAS, aliased, note=f"{plural(len(same), 'tensor')} stored at the place of an equal one"
    )
    work.add(StepName.INDEX, index_saved, note="index without repeated key prefixes, Snappy blocks")
    rest = saved - aliased - max(index_saved, 0)
    many = len(bundle.shards) > 1
    work.add(
        StepName.MERGE_SHARDS if many else StepName.DROP_UNREFERENCED,
        rest,
        note="one shard, only bytes that the index names",
    )
    return index, data


def find_equal(bundle: Bundle, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the first key with the same type, shape and bytes for every key that is not that key."""
    alike: defaultdict[tuple[object, ...], list[bytes]] = defaultdict(list)
    for key in keys:
        entry = bundle.entries[key]
        if entry.size and not entry.slices and key not in bundle.replaced:
            alike[entry.dtype, entry.shape.SerializeToString(), entry.size, entry.crc32c].append(key)
    same: dict[bytes, bytes] = {}
    for group in alike.values():
        first: dict[object, bytes] = {}
        digests: dict[tuple[int, int], str] = {}
        for key in group if len(group) > 1 else ():
            place = _place(bundle, key)
            if place not in digests:
                digests[place] = digest(bundle, key)
            known = first.setdefault(digests[place], key)
            if known != key:
                same[key] = known
    return same


def digest(bundle: Bundle, key: bytes) -> str:
    """Return the SHA-256 of the bytes of an entry."""
    found = hashlib.sha256()
    _copy(bundle, key, found.update)
    return found.hexdigest()


def _copy(bundle: Bundle, key: bytes, take: Callable[[bytes], object]) -> None:
    if key in bundle.replaced:
        take(bundle.replaced[key])
        return
    source, offset, size = bundle.stored(key)
    for start in range(0, size, _BLOCK):
        take(source.read_at(offset + start, min(_BLOCK, size - start)))


def _place(bundle: Bundle, key: bytes) -> tuple[int, int]:
    return bundle.entries[key].shard_id, bundle.entries[key].offset


def _rows(bundle: Bundle, placed: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Return the entries of the new index in order."""
    header = type(bundle.header)()
    header.CopyFrom(bundle.header)
    header.num_shards = 1
    rows = [(HEADER_KEY, header.SerializeToString(deterministic=True))]
    for key in sorted(placed):
        entry = type(bundle.entries[key])()
        entry.CopyFrom(bundle.entries[key])
        entry.shard_id = 0
        entry.offset = placed[key] if entry.size and not entry.slices else 0
        rows.append((key, entry.SerializeToString(deterministic=True)))
    return rows


_BLOCK_SIZE = 256 * 1024
_RESTART = 128
"""Entries between restart points, at which keys are written whole; TensorFlow writes 16 and reads any
number.
"""
_FOOTER_HANDLES = 40
_PLAIN, _SNAPPY = b"\0", b"\1"


def _write_table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
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
        if size >= _BLOCK_SIZE:
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
