"""Read datasets: their layout, their chunks, and where their raw data are."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from modelinspect.core.bytemap import TensorId
from modelinspect.core.paths import PathId
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.attributes import MessageReader
from modelinspect.encodings.hdf5.chunks import ChunkIndex
from modelinspect.encodings.hdf5.element_types import Dataspace, Datatype
from modelinspect.encodings.hdf5.filters import decode
from modelinspect.encodings.hdf5.globalheap import heap_pointers
from modelinspect.encodings.hdf5.headers import Header, Message
from modelinspect.encodings.hdf5.messages import (
    MESSAGE_LABELS,
    ExternalFiles,
    LayoutMessage,
    read_external_files,
    read_fill_value,
    read_filters,
    read_layout,
    read_old_fill_value,
)
from modelinspect.encodings.hdf5.model import Attribute, Chunks, Dataset, ExternalFile, Filter, LayoutKind
from modelinspect.encodings.hdf5.numbers import text
from modelinspect.encodings.hdf5.state import CONTAINER, FREE, TENSOR_DATA, State
from modelinspect.encodings.hdf5.superblock import Roots
from modelinspect.encodings.hdf5.symbols import finish_local_heap, local_heap_header_size, read_local_heap
from modelinspect.errors import FormatError

_DATASPACE, _DATATYPE, _OLD_FILL, _FILL, _EXTERNAL, _LAYOUT, _FILTERS = (
    0x01,
    0x03,
    0x04,
    0x05,
    0x07,
    0x08,
    0x0B,
)


class DatasetReader:
    """Reads and claims datasets. ``others`` are the messages of the last one that say nothing of its data."""

    __slots__ = ("_nodes", "messages", "others", "roots", "state")

    def __init__(self, state: State, messages: MessageReader, roots: Roots) -> None:
        self.state = state
        self.messages = messages
        self.roots = roots
        self.others: list[Message] = []
        self._nodes: dict[str, PathId] = {}

    def read(
        self,
        header: Header,
        messages: list[Message],
        path: str,
        node: PathId,
        attributes: dict[str, Attribute],
    ) -> Dataset | None:
        """Read a dataset from the messages of its header; None where it cannot be known what its data are."""
        state = self.state
        self.others = []
        parts = _Parts()
        for message in messages:
            if message.kind in _READ:
                try:
                    used = self._message(message, parts)
                except FormatError as error:
                    state.survive(error)
                    used = len(message.body)
                    parts.broken = True
                self._claim(header, message, used, parts)
            else:
                self.others.append(message)
        datatype, space = parts.datatype, parts.space
        if datatype is None or space is None:
            return None
        layout = parts.layout
        self._nodes[path] = node
        kind = layout.kind if layout is not None else LayoutKind.UNKNOWN
        spans: tuple[Span, ...] = ()
        chunks: Chunks | None = None
        external: tuple[ExternalFile, ...] = ()
        before, state.complete = state.complete, True
        if layout is None:
            if not parts.broken:
                state.survive(state.error(f"dataset {path} has no data layout", header.offset))
        elif parts.external is not None:
            kind = LayoutKind.EXTERNAL
            external = state.guard(self._external_files, parts.external, node) or ()
        elif kind is LayoutKind.COMPACT:
            spans = (Span(parts.layout_offset + layout.data, layout.size or 0),) if layout.size else ()
        elif kind is LayoutKind.CONTIGUOUS:
            spans = state.guard(self._contiguous, layout, space, datatype) or ()
        elif kind is LayoutKind.CHUNKED:
            place = state.paths.child(node, "chunk index")
            index = ChunkIndex(state, layout, space, bool(parts.filters), self.roots.chunk_k, place)
            state.guard(index.read)
            chunks = index.chunks
            if layout.flags & _UNFILTERED_EDGES and parts.filters:
                _skip_filters_at_edges(chunks, space, layout.chunk_shape)
            state.totals.chunk_indexes += index.stored_size
        elif kind is LayoutKind.VIRTUAL:
            state.guard(self._virtual, layout, node)
        data_complete = state.complete and layout is not None
        state.complete = state.complete and before
        return Dataset(
            path,
            header.offset,
            datatype,
            space,
            kind,
            attributes,
            spans=spans,
            chunk_shape=layout.chunk_shape if layout is not None else (),
            chunks=chunks,
            filters=parts.filters,
            fill_value=parts.fill or None,
            external_files=external,
            data_complete=data_complete,
        )

    def _message(self, message: Message, parts: _Parts) -> int:
        """Read one message into ``parts`` and return how many of its bytes say something."""
        state, reader = self.state, self.messages
        flags, body, offset = message.flags, message.body, message.offset
        match message.kind:
            case 0x01:
                parts.space, used = reader.dataspace(flags, body, offset)
            case 0x03:
                parts.datatype, used = reader.datatype(flags, body, offset)
            case 0x04:
                old, used = reader.body(_OLD_FILL, flags, body, offset, read_old_fill_value)
                parts.fill = parts.fill or old
            case 0x05:
                fill, used = reader.body(_FILL, flags, body, offset, read_fill_value)
                parts.fill = fill if fill is not None else parts.fill
            case 0x0B:
                parts.filters, used = reader.body(_FILTERS, flags, body, offset, read_filters)
            case 0x07:
                cursor = Cursor(body, state.name, offset, "external data files message")
                parts.external = read_external_files(cursor, state.offset_size, state.length_size)
                used = cursor.index
            case _:
                cursor = Cursor(body, state.name, offset, "data layout message")
                parts.layout = read_layout(cursor, state.offset_size, state.length_size)
                parts.layout_offset = offset
                used = cursor.index
        return used

    def _claim(self, header: Header, message: Message, used: int, parts: _Parts) -> None:
        state = self.state
        path = state.paths.add(header.path, MESSAGE_LABELS[message.kind])
        size, layout = len(message.body), parts.layout
        if message.kind == _LAYOUT and layout is not None and layout.kind is LayoutKind.COMPACT:
            used = layout.data
            state.claim(message.head, message.offset - message.head + used, CONTAINER, path)
            used += layout.size or 0  # the data themselves are claimed as the tensor's
        else:
            state.claim(message.head, message.offset - message.head + used, CONTAINER, path)
        state.claim(message.offset + used, size - used, FREE, path)

    def _contiguous(self, layout: LayoutMessage, space: Dataspace, datatype: Datatype) -> tuple[Span, ...]:
        size = layout.size if layout.size is not None else space.count * datatype.size
        if layout.address is None or not size:
            return ()
        return (Span(self.state.locate(layout.address, size, "dataset's raw data"), size),)

    def _external_files(self, message: ExternalFiles, node: PathId) -> tuple[ExternalFile, ...]:
        state = self.state
        heap = read_local_heap(state, message.heap, state.paths.child(node, "local heap of external files"))
        state.totals.dataset_heaps += local_heap_header_size(state) + len(heap.data)
        files: list[ExternalFile] = []
        segment = state.paths.child(heap.path, "data segment")
        if heap.data[:1] == b"\0":
            heap.used[0] = (1, segment)
        for name_at, offset, size in message.slots:
            name = heap.string(state, name_at, "name of an external file")
            state.spend(len(name), heap.offset)
            heap.used[name_at] = (len(name) + 1, state.paths.child(heap.path, text(name)))
            files.append(ExternalFile(text(name), offset, size))
        finish_local_heap(state, heap)
        return tuple(files)

    def _virtual(self, layout: LayoutMessage, node: PathId) -> None:
        heaps, path = self.messages.heaps, self.state.paths.child(node, "virtual dataset mappings")
        if layout.address is not None and not heaps.is_null(layout.address):
            span = heaps.claim(layout.address, layout.heap_index, CONTAINER, path)
            self.state.totals.dataset_heaps += span.size

    def heap_spans(self, dataset: Dataset) -> tuple[tuple[int, int], ...]:
        """Return the global heap objects that a dataset's elements and its fill value lead to."""
        state, heaps = self.state, self.messages.heaps
        if not dataset.datatype.has_heap_data:
            return ()
        found: dict[tuple[int, int], None] = {}
        for data in self._elements(dataset):
            try:
                found.update(dict.fromkeys(heap_pointers(dataset.datatype, data, heaps)))
            except FormatError as error:
                state.survive(error)
        return tuple(found)

    def _elements(self, dataset: Dataset) -> Iterator[bytes]:
        """Yield the elements of a dataset whose elements are pointers, in runs."""
        state, limits = self.state, self.state.limits
        masks = dataset.chunks.masks if dataset.chunks is not None else None
        size = prod(dataset.chunk_shape) * dataset.datatype.size
        if dataset.chunks is not None:
            limits.allow(
                f"the vlen pointers of {dataset.path}",
                len(dataset.chunks) * size,
                limits.structure_size,
                state.name,
            )
        for row, span in enumerate(dataset.raw_spans()):
            try:
                limits.allow(
                    f"the vlen pointers of {dataset.path}",
                    span.size,
                    limits.structure_size,
                    state.name,
                    span.offset,
                )
                state.spend_read(span.size, span.offset)
                data = state.source.read_at(span.offset, span.size)
                if dataset.filters:
                    data = decode(
                        data,
                        dataset.filters,
                        masks[row] if masks is not None else 0,
                        size,
                        state,
                        span.offset,
                    )
                yield data
            except FormatError as error:
                state.survive(error)

    def claim_data(self, dataset: Dataset, tensor: TensorId, pointers: tuple[tuple[int, int], ...]) -> None:
        """Claim a dataset's raw data and the heap objects that they lead to."""
        state, chunks = self.state, dataset.chunks
        node = self._nodes[dataset.path]
        if dataset.spans:
            path = state.paths.add(node, f"{dataset.layout} data")
            for span in dataset.spans:
                state.claim(span.offset, span.size, TENSOR_DATA, path, tensor)
        if chunks is not None and len(chunks):
            path = state.paths.add(node, "chunk")
            state.claims.claim_many(chunks.offsets, chunks.sizes, TENSOR_DATA.code, path, tensor)
        if pointers:
            path = state.paths.add(node, "global heap data")
            for collection, index in pointers:
                self.messages.heaps.claim(collection, index, TENSOR_DATA, path, tensor)


class _Parts:
    """What the messages of one dataset said."""

    __slots__ = ("broken", "datatype", "external", "fill", "filters", "layout", "layout_offset", "space")

    def __init__(self) -> None:
        self.broken = False
        self.datatype: Datatype | None = None
        self.space: Dataspace | None = None
        self.layout: LayoutMessage | None = None
        self.layout_offset = 0
        self.filters: tuple[Filter, ...] = ()
        self.fill: bytes | None = None
        self.external: ExternalFiles | None = None


_READ = frozenset((_DATASPACE, _DATATYPE, _OLD_FILL, _FILL, _EXTERNAL, _LAYOUT, _FILTERS))


_UNFILTERED_EDGES = 1
"""The flag of a version 4 layout by which chunks that the edge of the dataset cuts are stored unfiltered."""


def _skip_filters_at_edges(chunks: Chunks, space: Dataspace, chunk_shape: tuple[int, ...]) -> None:
    """Say in the masks that the filters were skipped where the edge of the dataset cuts a chunk."""
    shape = space.shape or ()
    for row in range(len(chunks)):
        corner = chunks.coordinate(row)
        if any(at + length > end for at, length, end in zip(corner, chunk_shape, shape, strict=True)):
            chunks.masks[row] = 0xFFFFFFFF
