"""How elements come: in blocks that fit the cache, from readers that know one payload each."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.limits import Cost, Limits
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import DTYPES, ByteOrder, DType, ElementKind, PackedPayload, Tensor
from modelinspect.errors import ModelInspectError
from modelinspect.sources.files import FileSet

BLOCK_SIZE = 512 * 1024
"""Bytes of a block: small enough for a core's cache, large enough that the calls around it cost nothing."""

Bytes = NDArray[np.uint8]
Numbers = NDArray[Any]


class UnmeasurableError(ModelInspectError):
    """The elements cannot be read as numbers; the message says why."""


@dataclass(frozen=True, slots=True)
class Box:
    """The part of a tensor that a block holds: a first index and a length along each axis."""

    origin: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(slots=True)
class Block:  # not frozen: one is made for each small tensor, and freezing is most of its cost
    """Some elements of a tensor as they are in memory, valid until the next block is asked for.

    They follow one another from element ``first`` on (row-major) or, where ``box`` is, fill that part of the
    tensor. ``order`` is the order of the bytes of an element. Where ``placed`` is False, the block stands for
    elements anywhere in the tensor: its own, ``repeat`` times over.
    """

    data: Bytes
    count: int
    first: int
    order: ByteOrder = ByteOrder.LITTLE
    box: Box | None = None
    repeat: int = 1
    placed: bool = True


@dataclass(slots=True)
class Reading:
    """What readers need: the files, the limits, one buffer for all blocks, and the bytes decoded so far."""

    files: FileSet
    limits: Limits
    buffer: bytearray
    decoded: int = 0

    def take(self, size: int) -> memoryview:
        """Return the first bytes of the shared buffer, which grows to ``size`` where the limits allow it."""
        if size > len(self.buffer):
            self.limits.allow("one block of elements", size, self.limits.block_size)
            self.buffer = bytearray(size)
        return memoryview(self.buffer)[:size]

    def count_decoded(self, size: int, member: str) -> None:
        """Add to the decoded bytes. Raises `LimitError` where they are more than the limits allow."""
        self.decoded += size
        self.limits.allow("decoding its tensors", self.decoded, self.limits.decompressed_size, member)
        self.limits.spend(Cost.DECOMPRESSED, size, member)


class Reader(Protocol):
    """Reads the elements of one kind of payload."""

    def __call__(self, payload: Any, tensor: Tensor, reading: Reading, /) -> Iterator[Block]:
        """Yield every element once. Raises `ModelInspectError`."""


def element_size(dtype: DType) -> int:
    """Return the bytes of an element, 0 for one narrower than a byte.

    Raises `UnmeasurableError` where they differ in size.
    """
    if dtype.bits == 0:
        raise UnmeasurableError(f"{dtype} elements differ in size")
    if dtype.bits < 8:
        return 0
    if dtype.bits % 8:
        raise UnmeasurableError(f"{dtype} elements are not whole bytes")
    return dtype.bits // 8


def as_read(tensor: Tensor) -> Tensor:
    """Return the tensor with the element type of its blocks: values that share bytes are read as whole
    numbers.
    """
    return replace(tensor, dtype=DTYPES["int16"]) if isinstance(tensor.payload, PackedPayload) else tensor


def is_number(dtype: DType) -> bool:
    """Return whether elements of the type are numbers, so one of them can be zero."""
    return dtype.kind not in (ElementKind.STRING, ElementKind.OPAQUE)


def stored_bytes(tensor: Tensor) -> int:
    """Return the bytes that a tensor's elements take one after another."""
    return (prod(tensor.shape) * tensor.dtype.bits + 7) // 8


def as_unsigned(data: Bytes, size: int) -> Numbers:
    """View bytes as unsigned numbers of 1, 2, 4 or 8 bytes, least significant first."""
    return data if size == 1 else data.view(_UNSIGNED[size])


_UNSIGNED = {size: np.dtype(f"<u{size}") for size in (2, 4, 8)}
