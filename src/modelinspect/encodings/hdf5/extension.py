"""Read what a superblock extension leads to: free-space managers (specification, section III.H), and the
metadata cache image: structures that are newer in one block than where they belong (message 0x18).
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from modelinspect.core.paths import PathId
from modelinspect.encodings.hdf5.state import State
from modelinspect.sources.base import Source


def claim_free_space(state: State, address: int, path: PathId) -> int:
    """Claim a free-space manager's header and section list, and return their size. Raises `FormatError`."""
    size = 18 + state.offset_size + 7 * state.length_size
    cursor = state.cursor(address, size, "free-space manager header")
    cursor.expect(b"FSHD")
    version = cursor.u8()
    if version != 0:
        raise state.unsupported(f"free-space manager version {version} is not read here", cursor.base)
    cursor.skip(1 + 4 * state.length_size + 8 + state.length_size)
    sections, used, allocated = state.address(cursor), state.length(cursor), state.length(cursor)
    state.verify(cursor.data, "free-space manager header", cursor.base)
    state.container(address, size, size, path)
    if sections == state.undefined:
        return size
    allocated = max(allocated, used)
    state.locate(sections, allocated, "free-space section list")
    data = state.cursor(sections, used, "free-space section list")
    data.expect(b"FSSE")
    state.verify(data.data, "free-space section list", data.base)
    state.container(sections, used, allocated, state.paths.child(path, "section list"))
    return size + allocated


_ENTRY = 14
"""Bytes of an entry before its address: type, flags, ring, age, three counts and a place in the cache's
order.
"""


class _PatchedSource(Source):
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
    state.source = _PatchedSource(state.source, patches)
