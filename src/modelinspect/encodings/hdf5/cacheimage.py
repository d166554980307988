"""Read a metadata cache image: structures that are newer in one block than where they belong (specification,
message 0x18).
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from modelinspect.encodings.hdf5.state import State
from modelinspect.sources.base import Source

_ENTRY = 14
"""Bytes of an entry before its address: type, flags, ring, age, three counts and a place in the cache's
order.
"""


class PatchedSource(Source):
    """A source of which some runs of bytes are replaced; ``patches`` do not overlap."""

    def __init__(self, inner: Source, patches: list[tuple[int, bytes]]) -> None:
        self.name = inner.name
        self.size = inner.size
        self._inner = inner
        self._patches = sorted(patches)
        self._starts = [offset for offset, _ in self._patches]

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self._inner.read_into(offset, buffer)
        end = offset + len(buffer)
        for start, data in self._patches[max(bisect_right(self._starts, offset) - 1, 0) :]:
            if start >= end:
                break
            begin, until = max(start, offset), min(start + len(data), end)
            if begin < until:
                buffer[begin - offset : until - offset] = data[begin - start : until - start]


def apply_cache_image(state: State, address: int, size: int) -> None:
    """Let the walk read the structures that a cache image holds; claim the image. Raises `FormatError`."""
    what = "metadata cache image"
    cursor = state.cursor(address, size, what)
    cursor.expect(b"MDCI")
    version = cursor.u8()
    if version != 0:
        raise state.unsupported(f"{what} version {version} is not read here", cursor.base)
    cursor.skip(1 + state.length_size)
    patches: list[tuple[int, bytes]] = []
    for _ in range(cursor.u32()):
        cursor.skip(_ENTRY - 6)
        parents = cursor.u16()
        cursor.skip(4)
        place, length = state.address(cursor), state.length(cursor)
        cursor.skip(parents * state.offset_size)
        patches.append((state.locate(place, length, f"structure in a {what}"), cursor.take(length)))
    patches.sort()
    for (first, data), (second, _) in pairwise(patches):
        if first + len(data) > second:
            raise state.error(f"the structures in a {what} overlap", first)
    state.container(address, size, size, state.claims.path(what))
    state.verify(cursor.data, what, cursor.base)
    state.source = PatchedSource(state.source, patches)
