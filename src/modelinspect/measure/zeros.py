"""Count zeros by value, and the negative ones among them.

Zero is looked for in the bits: unsigned numbers as wide as the elements, so the same few lines are right for
every float format, at the speed of memory. A float is zero where all bits but the sign are; an integer where
all bits are, or where it equals its tensor's zero point.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.tensors import ByteOrder, DType, ElementKind, Quantization, Tensor
from modelinspect.measure.blocks import Block, Bytes, Numbers, UnmeasurableError, as_unsigned, is_number

_WIDTHS = (8, 16, 32, 64)
_NARROW = (1, 2, 4)


class _Plan(Enum):
    """How the zeros of an element type are looked for."""

    FLOAT = auto()
    WHOLE = auto()
    COMPLEX = auto()
    NARROW = auto()
    NEVER = auto()


@lru_cache(maxsize=256)
def _plan(dtype: DType) -> tuple[_Plan, int]:
    """Return how to look, and the bytes of the unsigned numbers to look at. Raises `UnmeasurableError`."""
    if not is_number(dtype):
        raise UnmeasurableError(f"{dtype} elements are not numbers")
    if dtype.bits not in ((64, 128) if dtype.kind is ElementKind.COMPLEX else (*_WIDTHS, *_NARROW)):
        raise UnmeasurableError(f"{dtype} elements have {dtype.bits} bits")
    if dtype.name == "float8_e8m0fnu":  # only an exponent
        return _Plan.NEVER, 1
    if dtype.bits < 8:
        return _Plan.NARROW, 1
    if dtype.kind is ElementKind.COMPLEX:
        return _Plan.COMPLEX, dtype.bits // 16
    return (_Plan.FLOAT if dtype.has_negative_zero else _Plan.WHOLE), dtype.bits // 8


def has_plain_zeros(dtype: DType) -> bool:
    """Return whether `count_zeros` and `negative_zeros_of` find all zeros that are not quantized.

    Raises `UnmeasurableError`.
    """
    return _plan(dtype)[0] in (_Plan.FLOAT, _Plan.WHOLE)


class ZeroCounter:
    """Counts the zeros of one tensor, block by block.

    Making one raises `UnmeasurableError` where elements are not numbers.
    """

    __slots__ = ("_inner", "_plan", "_points", "_size", "elements", "negative", "tensor", "zeros")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.elements = self.zeros = self.negative = 0
        self._plan, self._size = _plan(tensor.dtype)
        self._points: Numbers | None = None
        self._inner = 1
        if tensor.quantization is not None and tensor.quantization.least is not None:
            self._plan = _Plan.NEVER
        elif tensor.quantization is not None and tensor.dtype.kind in (ElementKind.INT, ElementKind.UINT):
            self._points, self._inner = _points(tensor.quantization, tensor)

    def add(self, block: Block) -> None:
        """Count the zeros of a block."""
        negative = 0
        match self._plan:
            case _Plan.FLOAT:
                zeros, negative = _float_zeros(as_unsigned(block.data, self._size), block.order)
            case _Plan.WHOLE:
                numbers = as_unsigned(block.data, self._size)
                zeros = count_zeros(numbers) if self._points is None else self._count_points(numbers, block)
            case _Plan.COMPLEX:
                parts = as_unsigned(block.data, self._size)
                zeros, negative = _float_zeros(parts[0::2] | parts[1::2], block.order)
            case _Plan.NARROW:
                zeros, negative = self._narrow(block)
            case _Plan.NEVER:
                zeros = 0
            case _:
                assert_never(self._plan)
        repeat = block.repeat
        self.elements += block.count * repeat
        self.zeros += zeros * repeat
        self.negative += negative * repeat

    def mask(self, block: Block) -> NDArray[np.bool_]:
        """Return which elements of a block of a known place are zero by value."""
        dtype = self.tensor.dtype
        if dtype.bits < 8:
            numbers: Numbers = unpack(block.data, dtype.bits)[: block.count]
        elif dtype.kind is ElementKind.COMPLEX:
            parts = as_unsigned(block.data, dtype.bits // 16)
            numbers = parts[0::2] | parts[1::2]
        else:
            numbers = as_unsigned(block.data, dtype.bits // 8)
        if self._points is not None:
            points = self._fitting_points(numbers, block)
            same: NDArray[np.bool_] = (
                numbers == points[places(len(numbers), len(points), self._inner, block.first)]
            )
            return same
        zero: NDArray[np.bool_] = numbers == 0
        if dtype.has_negative_zero:
            sign = 1 << (dtype.bits - 1) if dtype.bits < 8 else _sign(numbers.dtype.itemsize, block.order)
            zero |= numbers == sign
        return zero if self._plan is not _Plan.NEVER else np.zeros_like(zero)

    def _fitting_points(self, numbers: Numbers, block: Block) -> Numbers:
        """Return the zero points as elements of a block show them."""
        points = self._points if self._points is not None else np.zeros(1, dtype=np.uint64)
        if self.tensor.dtype.bits < 8:
            points = points & np.uint64((1 << self.tensor.dtype.bits) - 1)
        fitting = points.astype(numbers.dtype)
        return fitting.byteswap() if block.order is ByteOrder.BIG else fitting

    def _count_points(self, numbers: Numbers, block: Block) -> int:
        points = self._fitting_points(numbers, block)
        if len(points) == 1:
            return int(np.count_nonzero(numbers == points[0]))
        if block.box is not None or not block.placed or block.repeat > 1:
            raise UnmeasurableError("zero points along an axis of chunked elements are not read")
        return int(
            np.count_nonzero(numbers == points[places(len(numbers), len(points), self._inner, block.first)])
        )

    def _narrow(self, block: Block) -> tuple[int, int]:
        bits = self.tensor.dtype.bits
        numbers = unpack(block.data, bits)[: block.count]
        if self._points is not None:
            return self._count_points(numbers, block), 0
        negative = _count_equal(numbers, 1 << (bits - 1)) if self.tensor.dtype.has_negative_zero else 0
        return _count_equal(numbers, 0) + negative, negative


def _float_zeros(numbers: Numbers, order: ByteOrder) -> tuple[int, int]:
    """Count the zeros and the negative ones: the patterns that are 0, and those of which only the sign bit is
    set.
    """
    positive, negative = (
        (0 if lack_zeros(numbers) else count_zeros(numbers)),
        _count(negative_zeros_of(numbers, order)),
    )
    return positive + negative, negative


def lack_zeros(numbers: Numbers) -> bool:
    """Return whether a fast look shows that no pattern is 0: False says nothing."""
    # A least number above 0 shows it at once, and most weights that nobody pruned are so; where a zero is
    # among the first, look no longer.
    return len(numbers) > _FEW and int(np.count_nonzero(numbers[:_GLANCE])) == _GLANCE and bool(numbers.min())


def count_zeros(numbers: Numbers) -> int:
    """Return how many patterns are 0.

    Numbers that are not zero are counted without an array of which are: that is one pass.
    """
    return len(numbers) - int(np.count_nonzero(numbers))


def negative_zeros_of(numbers: Numbers, order: ByteOrder) -> NDArray[np.bool_] | None:
    """Return which patterns have the sign bit and no other, None where a fast look shows that none is so."""
    signed, least, sign = _SIGNS[numbers.dtype.itemsize]
    if order is ByteOrder.BIG:
        sign = sign.byteswap()
    elif len(numbers) > _FEW and numbers.view(signed).min() != least:
        return None  # -0.0 read as a signed number is the least of all
    negative: NDArray[np.bool_] = numbers == sign
    return negative


def _count(places: NDArray[np.bool_] | None) -> int:
    return 0 if places is None else int(np.count_nonzero(places))


def _count_equal(numbers: Numbers, pattern: Any) -> int:
    return int(np.count_nonzero(numbers == pattern))


def unpack(data: Bytes, bits: int) -> Bytes:
    """Spread elements narrower than a byte over bytes, the one in the low bits first."""
    per = 8 // bits
    spread = np.empty((len(data), per), dtype=np.uint8)
    mask = (1 << bits) - 1
    for index in range(per):
        np.right_shift(data, index * bits, out=spread[:, index])
    spread &= mask
    return spread.reshape(-1)


def _points(quantization: Quantization, tensor: Tensor) -> tuple[Numbers | None, int]:
    """Return the zero points as unsigned numbers (None: all are 0) and how many elements in a row share
    one.
    """
    points = quantization.zero_points
    if not any(points):
        return None, 1
    if any(not -(1 << 63) <= point < 1 << 63 for point in points):
        raise UnmeasurableError("a zero point has more than 64 bits")
    if len(set(points)) == 1:
        return np.array(points[:1], dtype=np.int64).view(np.uint64), 1
    axis = quantization.axis
    if axis is None or not 0 <= axis < len(tensor.shape) or tensor.shape[axis] != len(points):
        raise UnmeasurableError(
            f"{len(points)} zero points do not fit the shape {tensor.shape} along axis {axis}"
        )
    inner = 1
    for length in tensor.shape[axis + 1 :]:
        inner *= length
    return np.array(points, dtype=np.int64).view(np.uint64), inner


def places(count: int, channels: int, inner: int, first: int) -> NDArray[np.int64]:
    """Return the channels of ``count`` elements from element ``first`` on, ``inner`` of which share one
    before the next.
    """
    found = np.arange(first % (inner * channels), first % (inner * channels) + count, dtype=np.int64)
    found //= inner
    found %= channels
    return found


def _sign(size: int, order: ByteOrder) -> Any:
    """Return the pattern of an element of which only the sign bit is set, read least significant byte
    first.
    """
    sign = _SIGNS[size][2]
    return sign if order is ByteOrder.LITTLE else sign.byteswap()


_FEW = 4_096
_GLANCE = 64
_ZERO = {size: np.dtype(f"<u{size}").type(0) for size in (1, 2, 4, 8)}
_SIGNS = {
    size: (
        np.dtype(f"<i{size}"),
        np.dtype(f"<i{size}").type(-1 << (8 * size - 1)),
        np.dtype(f"<u{size}").type(1 << (8 * size - 1)),
    )
    for size in (1, 2, 4, 8)
}
"""The signed type of elements of each size in bytes, its least number, and the pattern of only the sign
bit.
"""
