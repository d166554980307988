"""Read how a sparse tensor is stored: its axes, their order, its blocks, and what the index costs."""

from __future__ import annotations

from math import prod

from modelinspect.core.facts import Fact
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import DType, SparseAxis, SparsePayload, Stream
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.errors import FormatError

DENSE, CSR = 0, 1


@dataclass(frozen=True, slots=True)
class Sparsity:
    """The index of a sparse tensor. ``index_size`` counts the bytes of segments and indices."""

    axes: tuple[SparseAxis, ...]
    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]
    index_size: int

    def payload(self, stream: Stream, values: Span) -> SparsePayload:
        """Return what reads the elements."""
        return SparsePayload(stream, values, self.axes, self.traversal_order, self.block_map)

    def facts(
        self, name: str, dtype: DType, shape: tuple[int, ...], stored: int, dense: int
    ) -> dict[str, Fact]:
        """Describe the tensor: its form, what is kept, and what the dense form would cost."""
        kept = stored * 8 // dtype.bits if dtype.bits else 0
        block = (
            tuple(axis.length for axis in self.axes[len(self.traversal_order) - len(self.block_map) :])
            if self.block_map
            else ()
        )
        sparse = [axis for axis in self.axes if axis.is_sparse]
        return {
            "name": name,
            "format": tuple("sparse-csr" if axis.is_sparse else "dense" for axis in self.axes),
            "traversal_order": self.traversal_order,
            "block_map": self.block_map,
            "block_shape": block,
            "uncovered_elements": prod(shape) - self._covered(shape, block) if dtype.bits else 0,
            "kept_values": kept,
            "index_width": max((axis.index_size for axis in sparse), default=0),
            "segment_width": max((axis.segment_size for axis in sparse), default=0),
            "value_bytes": stored,
            "index_bytes": self.index_size,
            "dense_bytes": dense,
        }

    def _covered(self, shape: tuple[int, ...], block: tuple[int, ...]) -> int:
        """Return how many elements are in whole blocks: the converter drops those beyond the last."""
        lengths = list(shape)
        for axis, length in zip(self.block_map, block, strict=False):
            if 0 <= axis < len(lengths) and length > 0:
                lengths[axis] -= lengths[axis] % length
        return prod(lengths)


def read_sparsity(table: Table) -> Sparsity:
    """Read a `SparsityParameters`. Raises `FormatError` where it cannot be followed."""
    axes = tuple(_axis(axis) for axis in table.tables("dim_metadata"))
    size = sum(span.size for axis in axes for span in (axis.segments, axis.indices) if span is not None)
    return Sparsity(axes, table.numbers("traversal_order"), table.numbers("block_map"), size)


def _axis(table: Table) -> SparseAxis:
    form = table.value("format")
    if form == DENSE:
        return SparseAxis(max(table.value("dense_size"), 0))
    if form != CSR:
        raise FormatError(
            f"a sparse tensor has an axis of the unknown format {form}", table.reader.member, table.position
        )
    segments, segment_size = _index(table, "array_segments")
    indices, index_size = _index(table, "array_indices")
    return SparseAxis(0, segments, segment_size, indices, index_size)


def _index(table: Table, name: str) -> tuple[Span, int]:
    vector = table.table(name)
    found = vector.data("values") if vector is not None else None
    if vector is None or found is None:
        if vector is not None:
            return Span(vector.position, 0), vector.type.by_name["values"].size
        raise FormatError(f"a sparse axis has no {name}", table.reader.member, table.position)
    start, count = found
    size = vector.type.by_name["values"].size
    return Span(start, count * size), size
