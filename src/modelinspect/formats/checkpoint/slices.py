"""Put the slices of a partitioned tensor together.

Specification: tensorflow/core/framework/tensor_slice.proto, tensorflow/core/util/saved_tensor_slice_util.cc
(EncodeTensorNameSlice), tsl/lib/strings/ordered_code.cc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from modelinspect.core.records import dataclass
from modelinspect.errors import FormatError

FULL = -1
"""The length of an extent that covers its whole dimension."""
_RUNS_MOST = 100_000
_STRING = re.compile(rb"((?:[^\x00\xff]|\x00\xff|\xff\x00)*)\x00\x01", re.DOTALL)
"""Bytes that end with 00 01; 00 is as 00 ff and ff as ff 00."""
_ESCAPE = re.compile(rb"\x00\xff|\xff\x00", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TensorSlice:
    """A box of a tensor: where it starts in each dimension and how long it is there (`FULL`: all of it)."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    def within(self, shape: tuple[int, ...]) -> TensorSlice | None:
        """Return the slice with every length spelt out, or None where it does not fit the shape."""
        if len(self.starts) != len(shape):
            return None
        lengths = tuple(
            full if length == FULL else length for length, full in zip(self.lengths, shape, strict=True)
        )
        if any(
            s < 0 or n < 0 or s + n > full for s, n, full in zip(self.starts, lengths, shape, strict=True)
        ):
            return None
        return TensorSlice(self.starts, lengths)

    def __str__(self) -> str:
        return ":".join(
            "-" if n == FULL else f"{s},{n}" for s, n in zip(self.starts, self.lengths, strict=True)
        )


def from_proto(proto: Any) -> TensorSlice:
    """Return the slice that a TensorSliceProto describes; an extent without a length covers its dimension."""
    extents = proto.extent
    return TensorSlice(
        tuple(extent.start for extent in extents),
        tuple(extent.length if extent.HasField("length") else FULL for extent in extents),
    )


def decode_key(key: bytes) -> tuple[str, TensorSlice]:
    """Return the tensor's name and the slice that an ordered-code key describes. Raises `FormatError`."""
    zero, index = _number(key, 0)
    if zero != 0:
        raise FormatError(f"the key {key[:80]!r} is not a tensor slice")
    escaped = _STRING.match(key, index)
    if escaped is None:
        raise FormatError(f"the name in the key {key[:80]!r} does not end")
    name = _ESCAPE.sub(lambda pair: pair[0][:1], escaped[1])
    count, index = _number(key, escaped.end())
    starts: list[int] = []
    lengths: list[int] = []
    if count > len(key) - index:
        raise FormatError(f"the key {key[:80]!r} has no room for {count:,} dimensions")
    for _ in range(count):
        start, index = _signed(key, index)
        length, index = _signed(key, index)
        starts.append(start)
        lengths.append(length)
    return name.decode("utf-8", "backslashreplace"), TensorSlice(tuple(starts), tuple(lengths))


def _number(key: bytes, index: int) -> tuple[int, int]:
    """Read a number that is a byte count and so many bytes, the most significant first."""
    if index >= len(key) or key[index] > 8 or index + 1 + key[index] > len(key):
        raise FormatError(f"a number of the key {key[:80]!r} is cut short")
    end = index + 1 + key[index]
    return int.from_bytes(key[index + 1 : end], "big"), end


def _signed(key: bytes, index: int) -> tuple[int, int]:
    """Read a signed number: its sign bit is turned, and as many bits like it follow as there are more
    bytes.
    """
    if index >= len(key):
        raise FormatError(f"a number of the key {key[:80]!r} is cut short")
    negative = key[index] < 0x80
    head = bytes(byte ^ 0xFF for byte in key[index : index + 10]) if negative else key[index : index + 10]
    ones = format(int.from_bytes(head[:2].ljust(2, b"\0"), "big"), "016b").find("0")
    size = ones if 0 < ones <= 10 else 11
    if size > len(head):
        raise FormatError(f"a number of the key {key[:80]!r} is cut short")
    value = int.from_bytes(head[:size], "big") & ((1 << (7 * size - 1)) - 1)
    return (~value if negative else value), index + size


@dataclass(frozen=True, slots=True)
class Run:
    """Elements of a tensor that are one after another: their first index in row-major order, and where they
    are stored.
    """

    element: int
    count: int
    part: int
    offset: int


def runs(shape: tuple[int, ...], parts: Sequence[TensorSlice]) -> list[Run] | None:
    """Return the elements of a tensor in row-major order, as runs of its slices; None where these do not tile
    it.

    ``offset`` counts elements from the start of the slice ``part``. None also where there would be too many
    runs.
    """
    found: list[Run] = []
    for part, box in enumerate(parts):
        inner = len(shape)
        while inner > 0 and box.lengths[inner - 1] == shape[inner - 1]:
            inner -= 1
        axis = max(inner - 1, 0)
        count = prod(box.lengths[axis:])
        if count == 0:
            continue
        rows = prod(box.lengths[:axis])
        if len(found) + rows > _RUNS_MOST:
            return None
        found += [
            Run(element, count, part, row * count) for row, element in enumerate(_starts(shape, box, axis))
        ]
    found.sort(key=lambda run: run.element)
    reached = 0
    for run in found:
        if run.element != reached:
            return None
        reached += run.count
    return found if reached == prod(shape) else None


def _starts(shape: tuple[int, ...], box: TensorSlice, axis: int) -> Iterator[int]:
    """Yield the row-major index at which each run of a slice begins; runs go along ``axis`` and those after
    it.
    """
    strides = [prod(shape[dimension + 1 :]) for dimension in range(len(shape))]
    base = sum(start * stride for start, stride in zip(box.starts, strides, strict=True))
    outer = box.lengths[:axis]
    for row in range(prod(outer)):
        place, left = base, row
        for dimension in range(axis - 1, -1, -1):
            left, index = divmod(left, outer[dimension])
            place += index * strides[dimension]
        yield place
