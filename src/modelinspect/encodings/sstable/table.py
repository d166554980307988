"""Walk TensorFlow's table format: blocks of sorted entries, an index of the blocks, a footer.

Specification: google/leveldb, doc/table_format.md; tsl/lib/io/{format.h,format.cc,table.cc}; for the
blocks under Snappy google/snappy, format_description.txt.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import KINDS, NO_TENSOR, RegionKind, TensorId
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.sstable.block import KeyBudget, Record, read_records, read_restarts
from modelinspect.encodings.sstable.checksum import extended, mask
from modelinspect.encodings.walk import Walk
from modelinspect.errors import Code, FormatError
from modelinspect.sources.base import MemorySource, Source, WindowSource
from modelinspect.sources.snappy import decompress, read_preamble

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER_SIZE = 48
TRAILER_SIZE = 5
_HANDLES_SIZE = 40
_UNCOMPRESSED, _SNAPPY = 0, 1
_KEY_EXPANSION = 32
"""Key bytes for each byte of the table; TensorFlow restarts keys every 16 entries."""
_PIECE = 1 << 20
_KEYED = ("shared, non_shared, value_length", "key")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the table: its contents decoded, and the map on which they are claimed.

    Offsets of ``contents`` and ``claims`` agree. ``place`` is the offset of the contents in the table, None
    where the block is compressed. ``stored`` means which bytes of the table hold a span of the contents.
    """

    name: str
    contents: Source
    claims: ByteMapBuilder
    path: PathId
    place: int | None
    stored_span: Span
    positions: Positions | None

    def stored(self, offset: int, size: int) -> Span:
        """Return the bytes of the table that hold a span of the contents."""
        if self.positions is None:
            return Span(self.stored_span.offset + offset, size)
        begin, end = self.positions.stored(offset), self.positions.stored(offset + size)
        return Span(self.stored_span.offset + begin, end - begin)


@dataclass(slots=True)
class Entry:  # not frozen, as `Record`
    """A key and its value, which is claimed by whoever reads it: at ``value_offset`` of the block's
    contents.
    """

    key: bytes
    block: Block
    path: PathId
    value_offset: int
    value_size: int

    def read_value(self) -> bytes:
        """Return the value."""
        return self.block.contents.read_at(self.value_offset, self.value_size)

    def claim_value(self, kind: RegionKind, *path: str, tensor: TensorId = NO_TENSOR) -> None:
        """Claim the whole value as one region."""
        claims = self.block.claims
        claims.claim(self.value_offset, self.value_size, kind, claims.paths.child(self.path, *path), tensor)


class Table:
    """A table whose blocks are claimed while its entries are read.

    ``name_key`` names an entry in paths. ``lazy`` leaves the contents of uncompressed data blocks unread but
    for entry headers and keys, and their checksums unverified: for tables whose values are weights. After
    `entries`, ``complete`` says whether everything could be read, and ``unreferenced`` how many bytes belong
    to no block.
    """

    def __init__(self, walk: Walk, name_key: Callable[[bytes], str], *, lazy: bool = False) -> None:
        self._walk = walk
        self._name_key = name_key
        self._lazy = lazy
        self._left = walk.source.size
        self._budget = KeyBudget(min(_KEY_EXPANSION * walk.source.size + 65_536, walk.limits.structure_size))
        self._names: set[str] = set()
        self._data_end = 0
        self.complete = True
        self.unreferenced = 0

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of all data blocks, in order.

        Raises `FormatError` where the footer or index is unreadable.
        """
        claims = self._walk.claims
        metaindex, index = self._read_footer()
        self._left = self._data_end
        try:
            for record, block in self._read_block("metaindex block", metaindex, lazy=False):
                self._claim_entry(record, block).claim_value(RegionKind.METADATA, "value")
        except FormatError as error:
            self._survive(error)
        last = b""
        for number, handle in enumerate(self._read_index(index)):
            try:
                for record, block in self._read_block(f"data block {number}", handle, lazy=self._lazy):
                    if record.key <= last and (record.offset or number):
                        raise FormatError(
                            "the keys of a table are not in order", block.contents.name, record.offset
                        )
                    last = record.key
                    yield self._claim_entry(record, block)
            except FormatError as error:
                self._survive(error)
        self.unreferenced = self._left
        if self.complete:
            claims.fill(0, self._walk.source.size, RegionKind.FREE, claims.path("unreferenced"))

    def _survive(self, error: FormatError) -> None:
        self.complete = False
        self._walk.report(error)

    def _read_footer(self) -> tuple[Span, Span]:
        source, claims = self._walk.source, self._walk.claims
        if source.size < FOOTER_SIZE:
            raise FormatError(
                f"a table needs {FOOTER_SIZE} bytes for its footer but has {source.size:,}", source.name, 0
            )
        base = source.size - FOOTER_SIZE
        cursor = Cursor(source.read_at(base, FOOTER_SIZE), source.name, base, "the footer")
        if cursor.data[_HANDLES_SIZE:] != MAGIC:
            raise FormatError("no magic number ends the table", source.name, source.size - len(MAGIC))
        self._data_end = base
        handles: list[Span] = []
        for name in ("metaindex handle", "index handle"):
            begin = cursor.index
            handles.append(self._read_handle(cursor))
            claims.claim(
                base + begin, cursor.index - begin, RegionKind.CONTAINER, claims.path("footer", name)
            )
        if cursor.index > _HANDLES_SIZE:
            raise FormatError("the block handles of the footer are too long", source.name, base)
        claims.claim(
            cursor.offset, _HANDLES_SIZE - cursor.index, RegionKind.FREE, claims.path("footer", "padding")
        )
        claims.claim(base + _HANDLES_SIZE, len(MAGIC), RegionKind.CONTAINER, claims.path("footer", "magic"))
        return handles[0], handles[1]

    def _read_handle(self, cursor: Cursor) -> Span:
        at = cursor.offset
        offset, size = _varint64(cursor), _varint64(cursor)
        if offset + size + TRAILER_SIZE > self._data_end:
            problem = (
                f"a block of {size:,} bytes at byte {offset:,} does not end before the footer at byte"
                f" {self._data_end:,}"
            )
            raise FormatError(problem, cursor.member, at)
        return Span(offset, size)

    def _read_index(self, handle: Span) -> Iterator[Span]:
        """Yield where the data blocks are. Raises `FormatError` where the index block cannot be opened."""
        records = self._read_block("index block", handle, lazy=False)
        while True:
            try:
                record, block = next(records)
            except StopIteration:
                return
            except FormatError as error:
                self._survive(error)
                return
            entry = self._claim_entry(record, block)
            entry.claim_value(RegionKind.CONTAINER, "handle")
            cursor = Cursor(entry.read_value(), block.contents.name, record.value_offset, "a block handle")
            try:
                data_block = self._read_handle(cursor)
                if cursor.left:
                    raise cursor.error(f"{cursor.left} bytes are after a block handle")
            except FormatError as error:
                self._survive(self._outer(error, block))
                continue
            yield data_block

    def _read_block(self, name: str, handle: Span, *, lazy: bool) -> Iterator[tuple[Record, Block]]:
        """Claim a block but for its entries, and yield them.

        Raises `FormatError` with the offset in the table.
        """
        block = self._open_block(name, handle, lazy=lazy)
        claims = block.claims
        try:
            restarts = read_restarts(block.contents)
            begin = block.contents.size - 4 * len(restarts) - 4
            claims.claim(
                begin, 4 * len(restarts), RegionKind.CONTAINER, claims.paths.child(block.path, "restarts")
            )
            claims.claim(
                begin + 4 * len(restarts),
                4,
                RegionKind.CONTAINER,
                claims.paths.child(block.path, "num_restarts"),
            )
            for record in read_records(block.contents, restarts, self._budget):
                yield record, block
        except FormatError as error:
            raise self._outer(error, block) from error
        finally:
            if block.positions is not None:
                self._share_out(block)

    def _open_block(self, name: str, handle: Span, *, lazy: bool) -> Block:
        source, claims, limits = self._walk.source, self._walk.claims, self._walk.limits
        self._left -= handle.size + TRAILER_SIZE
        if self._left < 0:
            raise FormatError("the blocks of the table overlap", source.name, handle.offset)
        trailer = source.read_at(handle.end, TRAILER_SIZE)
        path = claims.path(name)
        if trailer[0] not in (_UNCOMPRESSED, _SNAPPY):
            raise FormatError(f"compression type {trailer[0]} is unknown", source.name, handle.end)
        claims.claim(handle.end, 1, RegionKind.CONTAINER, claims.paths.child(path, "trailer", "type"))
        claims.claim(handle.end + 1, 4, RegionKind.CONTAINER, claims.paths.child(path, "trailer", "crc32c"))
        if trailer[0] == _UNCOMPRESSED:
            if not lazy:
                self._verify(source, handle, trailer)
            contents: Source = WindowSource(source, handle.offset, handle.size)
            if not lazy and handle.size <= limits.structure_size:
                contents = MemorySource(source.read_at(handle.offset, handle.size), source.name)
            window = claims.window(handle.offset, handle.size, path)
            return Block(name, contents, window, path, handle.offset, handle, None)
        self._verify(source, handle, trailer)
        limits.allow("a compressed block", handle.size, limits.structure_size, source.name, handle.offset)
        stored = source.read_at(handle.offset, handle.size)
        try:
            decoded = decompress(stored, limits)
        except FormatError as error:
            raise error.reworded(error.problem, source.name, handle.offset) from error
        logical = ByteMapBuilder(source.name, len(decoded), limits)
        return Block(
            name,
            MemorySource(decoded, source.name),
            logical,
            logical.path(name, "snappy"),
            None,
            handle,
            Positions(stored),
        )

    def _verify(self, source: Source, handle: Span, trailer: bytes) -> None:
        checksum = 0
        for offset in range(handle.offset, handle.end, _PIECE):
            checksum = extended(checksum, source.read_at(offset, min(_PIECE, handle.end - offset)))
        expected = mask(extended(checksum, trailer[:1]))
        if expected != int.from_bytes(trailer[1:], "little"):
            problem = (
                f"the checksum of a block is {int.from_bytes(trailer[1:], 'little'):#010x} but its bytes give"
                f" {expected:#010x}"
            )
            self._survive(FormatError(problem, source.name, handle.end + 1, Code.CHECKSUM))

    def _claim_entry(self, record: Record, block: Block) -> Entry:
        claims = block.claims
        name = self._name_key(record.key)
        # Keys are unique in a table that holds to its order, so a path need not be looked up.
        has_key = record.value_offset > record.key_offset
        path = claims.paths.add_below(block.path, name, _KEYED if has_key else _KEYED[:1])
        claims.claim(record.offset, record.key_offset - record.offset, RegionKind.CONTAINER, PathId(path + 1))
        if has_key:
            claims.claim(
                record.key_offset,
                record.value_offset - record.key_offset,
                RegionKind.METADATA,
                PathId(path + 2),
            )
        return Entry(record.key, block, path, record.value_offset, record.value_size)

    def _outer(self, error: FormatError, block: Block) -> FormatError:
        """Return an error about a block's contents with its offset in the table."""
        offset = (
            block.stored_span.offset
            if block.place is None or error.offset is None
            else block.place + error.offset
        )
        return error.reworded(f"{block.name}: {error.problem}", self._walk.source.name, offset)

    def _share_out(self, block: Block) -> None:
        """Claim the stored bytes of a compressed block for the regions of its contents."""
        claims = self._walk.claims
        built = block.claims.build()
        for collision in built.collisions:
            self._survive(self._outer(FormatError(f"{'/'.join(collision.path)} claims bytes twice"), block))
        columns, paths = built.map.columns, built.map.path_table
        offset = block.stored_span.offset
        ends = (columns.offsets + columns.sizes).tolist()
        known: dict[int, PathId] = {}
        last = len(ends) - 1
        for row, (end, kind, path, tensor) in enumerate(
            zip(ends, columns.kinds.tolist(), columns.paths.tolist(), columns.tensors.tolist(), strict=True)
        ):
            reach = block.stored_span.end if row == last else block.stored(0, end).end
            place = known.get(path)
            if place is None:
                place = known[path] = claims.path(*paths.parts(PathId(path)))
            if KINDS[kind] is not RegionKind.UNATTRIBUTED:
                claims.claim(offset, reach - offset, KINDS[kind], place, TensorId(tensor))
            offset = reach


def _varint64(cursor: Cursor) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = cursor.u8()
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value
    raise cursor.error(f"{cursor.what} has a varint of 64 bits that does not end")


class Positions:
    """How far the decoder has read when it has written a given number of bytes."""

    __slots__ = ("_decoded", "_literal", "_stored")

    def __init__(self, data: bytes) -> None:
        """Walk the elements of a block that `decompress` accepts."""
        _, index = read_preamble(data)
        self._decoded = [0]
        self._stored = [0]
        self._literal = [0]  # how many bytes of the element's output are in it as they are
        written = 0
        while index < len(data):
            tag = data[index]
            size, literal = (tag >> 2) + 1, 0
            match tag & 3:
                case 0:
                    extra = max(size - 60, 0)  # lengths 60 to 63 say how many bytes hold the length less one
                    if extra:
                        size = int.from_bytes(data[index + 1 : index + 1 + extra], "little") + 1
                    literal = size
                    index += 1 + extra + size
                case 1:
                    size = (tag >> 2 & 7) + 4
                    index += 2
                case kind:
                    index += 3 if kind == 2 else 5
            written += size
            self._decoded.append(written)
            self._stored.append(min(index, len(data)))
            self._literal.append(literal)

    def stored(self, decoded: int) -> int:
        """Return the position in the stored bytes at which ``decoded`` bytes are written.

        Within a literal that is exact; a copied run counts to the byte at which it begins.
        """
        row = bisect_right(self._decoded, decoded) - 1
        if row + 1 >= len(self._decoded):
            return self._stored[-1]
        begun = decoded - self._decoded[row]
        if begun == 0:
            return self._stored[row]
        return self._stored[row + 1] - (self._literal[row + 1] - begun if self._literal[row + 1] else 0)
