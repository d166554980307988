"""Measure what the TFLite converter would keep of a kernel: zeros as float32, float16 and int8, and blocks
along its inputs.

Sources: CalculateRandomSparsity and CalculateBlockSparsity in
tensorflow/compiler/mlir/lite/transforms/dense_to_sparse_pass.cc; weights are quantized symmetrically, 127
being the largest magnitude of a channel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ByteOrder, ElementKind, Tensor
from modelinspect.measure.blocks import Block, Reading, UnmeasurableError, element_size
from modelinspect.measure.readers import blocks

_SLAB = 4 << 20
_STEP = 16
FLOAT_BLOCK, INT8_BLOCK = 4, 16

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a kernel lies: ``rows`` and ``cols`` of its elements in order.

    ``channel`` is the axis of the output channels (None: the whole kernel is one), ``inputs`` that of a
    matrix's inputs.
    """

    rows: int
    cols: int
    channel: int | None = None
    inputs: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is not zero of a kernel.

    ``float32``, ``float16`` and ``int8`` count the elements; ``blocks_4``, ``half_blocks_4`` and
    ``int8_blocks_16`` the blocks that hold any, None where the kernel is not a matrix.
    """

    elements: int
    float32: int
    float16: int
    int8: int
    blocks_4: int | None = None
    half_blocks_4: int | None = None
    int8_blocks_16: int | None = None


Held = Tensor | NDArray[np.float32]
"""Where the elements of a kernel are: in a file, or computed already."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What the converter multiplies into a kernel, float32: a factor for each row and column of its layout.

    None stands for ones.
    """

    rows: NDArray[np.float32] | None = None
    cols: NDArray[np.float32] | None = None

    def times(self, other: Factors) -> Factors:
        """Return the factors of both."""
        return Factors(_product(self.rows, other.rows), _product(self.cols, other.cols))

    def apply(self, matrix: Matrix, first: int = 0) -> Matrix:
        """Multiply rows of a kernel, of which ``first`` is the first."""
        with np.errstate(all="ignore"):  # weights and factors can be anything
            if self.rows is not None:
                matrix = matrix * self.rows[first : first + len(matrix), None]
            return matrix if self.cols is None else matrix * self.cols[None, :]


def _product(
    one: NDArray[np.float32] | None, other: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    if one is None or other is None:
        return one if other is None else other
    return one * other


def measure_kept(tensor: Held, reading: Reading, layout: Layout, factors: Factors | None = None) -> Kept:
    """Read a kernel, twice where it would be quantized. Raises `UnmeasurableError`, `FormatError`."""
    factors = factors or Factors()
    counts = dict.fromkeys(("float32", "float16", "blocks_4", "half_blocks_4", "int8", "int8_blocks_16"), 0)
    largest: NDArray[np.float32] | None = None
    row = 0
    for slab in _scaled(tensor, reading, layout, factors):
        kept = slab != 0
        with np.errstate(over="ignore"):
            half = slab.astype(np.float16) != 0
        counts["float32"] += int(kept.sum())
        counts["float16"] += int(half.sum())
        if layout.inputs is not None:
            counts["blocks_4"] += _blocks(kept, layout.inputs, FLOAT_BLOCK, row)
            counts["half_blocks_4"] += _blocks(half, layout.inputs, FLOAT_BLOCK, row)
        row += len(slab)
        most = (
            np.abs(slab).max(axis=1 - layout.channel, initial=0)
            if layout.channel is not None
            else np.abs(slab).max(initial=0)[None]
        )
        if layout.channel == 0:
            largest = most if largest is None else np.concatenate((largest, most))
        else:
            largest = most if largest is None else np.maximum(largest, most)
    if largest is not None:
        _count_int8(_scaled(tensor, reading, layout, factors), layout, largest, counts)
    matrix = layout.inputs is not None
    return Kept(
        layout.rows * layout.cols,
        counts["float32"],
        counts["float16"],
        counts["int8"],
        counts["blocks_4"] if matrix else None,
        counts["half_blocks_4"] if matrix else None,
        counts["int8_blocks_16"] if matrix else None,
    )


def _scaled(tensor: Held, reading: Reading, layout: Layout, factors: Factors) -> Iterator[Matrix]:
    """Yield the elements in runs of whole rows, multiplied by the factors."""
    row = 0
    for slab in slabs(tensor, reading, layout):
        yield factors.apply(slab, row)
        row += len(slab)


def _count_int8(
    slabs_of: Iterator[Matrix], layout: Layout, largest: NDArray[np.float32], counts: dict[str, int]
) -> None:
    """Count what rounds to zero: magnitudes below half of a step of their channel."""
    half_step = (largest / np.float32(127)) * np.float32(0.5)
    row = 0
    for slab in slabs_of:
        limit = half_step[row : row + len(slab), None] if layout.channel == 0 else half_step[None, :]
        kept = (np.abs(slab) >= limit) & (slab != 0)
        counts["int8"] += int(kept.sum())
        if layout.inputs is not None:
            counts["int8_blocks_16"] += _blocks(kept, layout.inputs, INT8_BLOCK, row)
        row += len(slab)


def _blocks(kept: NDArray[np.bool_], axis: int, length: int, row: int) -> int:
    """Count the blocks that hold anything; what is left over at the edge belongs to none, as the converter
    has it.

    Of a kernel with fewer inputs than a block has, the converter looks only at the first elements of all, as
    many as a block has (FormatConverter, whose loops run once). ``row`` is the first row in the kernel.
    """
    rows, cols = kept.shape
    if kept.shape[axis] < length:
        outputs = kept if axis == 1 else kept.T
        return int(not row and outputs[:length].ravel()[:length].any())
    if axis == 1:
        whole = kept[:, : cols // length * length]
        return int(whole.reshape(rows, cols // length, length).any(axis=2).sum())
    whole = kept[: rows // length * length]
    return int(whole.reshape(rows // length, length, cols).any(axis=1).sum())


def slabs(tensor: Held, reading: Reading, layout: Layout) -> Iterator[Matrix]:
    """Yield the elements as float32 in runs of whole rows, all but the last of them a multiple of 16."""
    if not isinstance(tensor, Tensor):
        if tensor.size != layout.rows * layout.cols:
            raise UnmeasurableError("its shape is not a matrix")
        if tensor.size:
            yield tensor.reshape(layout.rows, layout.cols)
        return
    if tensor.dtype.bits % 8 or tensor.dtype.kind not in (
        ElementKind.FLOAT,
        ElementKind.INT,
        ElementKind.UINT,
    ):
        raise UnmeasurableError(f"{tensor.dtype} elements are not read as a kernel")
    if layout.rows * layout.cols != tensor.element_count:
        raise UnmeasurableError("its shape is not a matrix")
    if not tensor.element_count:
        return
    rows = max(_SLAB // (4 * max(layout.cols, 1)) // _STEP * _STEP, _STEP)
    size = rows * layout.cols
    held = np.empty(0, dtype=np.float32)
    for part in _runs(tensor, reading):
        held = part if not len(held) else np.concatenate((held, part))
        while len(held) >= size:
            yield held[:size].reshape(rows, layout.cols)
            held = held[size:]
    if len(held):
        yield held.reshape(-1, layout.cols)


def _runs(tensor: Tensor, reading: Reading) -> Iterator[NDArray[np.float32]]:
    """Yield the elements in order; those in boxes are put together first."""
    whole: Matrix | None = None
    for block in blocks(tensor, reading):
        values = _numbers(tensor, block)
        if block.repeat > 1 or not block.placed or block.box is not None or whole is not None:
            if whole is None:
                reading.limits.allow(
                    f"the dense form of {tensor.name}",
                    4 * tensor.element_count,
                    reading.limits.structure_size,
                )
                whole = np.zeros(tensor.shape, dtype=np.float32)
            if block.box is not None:
                where = tuple(
                    slice(at, at + length)
                    for at, length in zip(block.box.origin, block.box.shape, strict=True)
                )
                whole[where] = values.reshape(block.box.shape)
            elif block.placed:
                run = np.tile(values, block.repeat)
                whole.reshape(-1)[block.first : block.first + len(run)] = run
            continue
        yield values
    if whole is not None:
        yield whole.reshape(-1)


def _numbers(tensor: Tensor, block: Block) -> NDArray[np.float32]:
    size = element_size(tensor.dtype)
    order = "<" if block.order is ByteOrder.LITTLE else ">"
    if tensor.dtype.name == "bfloat16":
        words = block.data.view(f"{order}u2").astype(np.uint32) << 16
        return words.view(np.float32)
    letter = {ElementKind.FLOAT: "f", ElementKind.INT: "i"}.get(tensor.dtype.kind, "u")
    if letter == "f" and size not in (2, 4, 8):
        raise UnmeasurableError(f"{tensor.dtype} elements are not read as a kernel")
    with np.errstate(over="ignore"):
        return block.data.view(f"{order}{letter}{size}").astype(np.float32)
