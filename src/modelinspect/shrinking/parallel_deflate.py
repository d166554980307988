"""Deflate a stream on several cores: blocks side by side, each with the 32 KiB before it as its dictionary.

The blocks end at whole bytes and follow each other as one raw deflate stream (RFC 1951), as pigz writes it.
"""

from __future__ import annotations

import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from modelinspect.core.limits import KIB, MIB

_BLOCK = 2 * MIB
_WINDOW = 32 * KIB
_WORKERS = 2
_AHEAD = 3
"""Blocks that are compressed while the previous one is written."""


class ParallelDeflate:
    """Compresses as an object of `zlib.compressobj` does, in blocks whose bytes depend on nothing else."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._pool = ThreadPoolExecutor(_WORKERS)
        self._coming: deque[Future[bytes]] = deque()
        self._block = bytearray()
        self._before = b""

    def compress(self, data: bytes) -> bytes:
        """Take bytes of the stream, and return what is compressed so far and in its turn."""
        self._block += data
        while len(self._block) > _BLOCK:
            self._submit(bytes(self._block[:_BLOCK]), last=False)
            del self._block[:_BLOCK]
        return self._finished(_AHEAD)

    def flush(self) -> bytes:
        """End the stream and return what is left of it."""
        self._submit(bytes(self._block), last=True)
        self._block.clear()
        with self._pool:
            return self._finished(0)

    def _submit(self, block: bytes, *, last: bool) -> None:
        self._coming.append(self._pool.submit(_deflate, block, self._before, self._level, last))
        self._before = block[-_WINDOW:]

    def _finished(self, left: int) -> bytes:
        found = bytearray()
        while len(self._coming) > left:
            found += self._coming.popleft().result()
        return bytes(found)


def _deflate(block: bytes, before: bytes, level: int, last: bool) -> bytes:
    packer = (
        zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
        if before
        else zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    )
    return packer.compress(block) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
