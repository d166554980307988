"""Digests the elements of a tensor, so equal ones are known without keeping either."""

from __future__ import annotations

import hashlib
from typing import Any

from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import ByteOrder, ElementKind, Tensor
from modelinspect.measure.blocks import BLOCK_SIZE, Block, as_unsigned

_MOST_REPEATED = 256 * MIB
"""Bytes of one repeated value that are hashed.

A file of a few bytes may claim any number of them, and hashing 4 GiB takes seconds.
"""


@dataclass(slots=True)
class Digester:
    """Takes the SHA-256 of the elements in order, least significant byte first: the same for the same dense
    tensor in any file.
    """

    tensor: Tensor
    _hash: Any = field(default_factory=hashlib.sha256, init=False)
    _next: int = field(default=0, init=False)

    def add(self, block: Block) -> None:
        """Take in the next elements; blocks in another order leave the tensor without a digest."""
        if (
            not block.placed
            or block.box is not None
            or block.first != self._next
            or _repeated(block) > _MOST_REPEATED
        ):
            self._next = -1
            return
        data = block.data
        width = self.tensor.dtype.bits // 8
        if block.order is ByteOrder.BIG and width > 1:
            part = width // 2 if self.tensor.dtype.kind is ElementKind.COMPLEX else width
            if part not in (2, 4, 8):
                self._next = -1
                return
            data = as_unsigned(data, part).byteswap().view("u1")
        if block.repeat == 1:
            self._hash.update(data)
        else:
            self._repeat(data.tobytes(), block.repeat)
        self._next += block.count * block.repeat

    def _repeat(self, data: bytes, repeat: int) -> None:
        at_once = max(min(BLOCK_SIZE // max(len(data), 1), repeat), 1)
        for _ in range(repeat // at_once):
            self._hash.update(data * at_once)
        self._hash.update(data * (repeat % at_once))

    def value(self) -> str | None:
        """Return the digest in hexadecimal, None where the elements came in another order or not all of
        them.
        """
        digest: str = self._hash.hexdigest()
        return digest if self._next == self.tensor.element_count else None


def _repeated(block: Block) -> int:
    """Return the bytes that a repeated block stands for, 0 of one that is there as a whole."""
    return len(block.data) * block.repeat if block.repeat > 1 else 0
