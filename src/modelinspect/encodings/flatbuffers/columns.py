"""Keep columns of positions and claims, so many tables cost few calls."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.encodings.flatbuffers.sheet import Positions


@dataclass(frozen=True, slots=True)
class Group:
    """Structures of one kind: where they are, and the path of each; of vectors of unions also where the
    offset to their types is.
    """

    positions: Positions
    paths: NDArray[np.int32]
    types: Positions | None = None

    @classmethod
    def joined(cls, groups: list[Group]) -> Group:
        """Return one group of several."""
        if len(groups) == 1:
            return groups[0]
        return cls(
            np.concatenate([group.positions for group in groups]),
            np.concatenate([group.paths for group in groups]),
        )

    def where(self, chosen: NDArray[np.bool_] | Positions) -> Group:
        """Return the chosen ones."""
        return Group(
            self.positions[chosen], self.paths[chosen], None if self.types is None else self.types[chosen]
        )


def shared_once(group: Group, seen: Positions | None) -> Group:
    """Return each position once, in the order of the positions, and none that was seen."""
    if len(group.positions) > 1:
        _, first = np.unique(group.positions, return_index=True)
        group = group.where(first)
    return group if seen is None else group.where(~np.isin(group.positions, seen))


def spread(counts: Positions) -> Positions:
    """Return 0, 1, … up to each count, one after another."""
    total = int(counts.sum())
    starts = np.cumsum(counts) - counts
    return np.arange(total, dtype=np.int64) - np.repeat(starts, counts)


class Columns:
    """Claims on a byte map, and where their structures end, for the proof of what is padding."""

    __slots__ = ("claims", "parts")

    def __init__(self, claims: ByteMapBuilder) -> None:
        self.claims = claims
        self.parts: list[tuple[Positions, Positions]] = []

    def name(self, parents: NDArray[np.int32], names: list[str]) -> NDArray[np.int32]:
        """Name new paths below others."""
        first = self.claims.paths.add_many(
            array("i", np.ascontiguousarray(parents, dtype=np.int32).tobytes()), names
        )
        return np.arange(first, first + len(names), dtype=np.int32)

    def add_one(self, offset: int, size: int, kind: RegionKind, path: PathId) -> None:
        """Claim one span."""
        self.claims.claim(offset, size, kind, path)
        self.parts.append((np.array([offset]), np.array([size])))

    def add(
        self, offsets: Positions, sizes: Positions | int, kind: RegionKind, paths: NDArray[np.int32]
    ) -> None:
        """Claim a column of spans."""
        if len(offsets):
            self.claims.claim_many(offsets, sizes, kind.code, paths)
            self.skip(offsets, sizes)

    def add_tables(self, group: Group, runs: list[tuple[int, int, RegionKind, str]]) -> None:
        """Claim the same runs in every table of a group: place, size, kind and name each."""
        count = len(group.positions)
        if not count:
            return
        offsets = (group.positions[:, None] + np.array([run[0] for run in runs])).ravel()
        sizes = np.tile(np.array([run[1] for run in runs], dtype=np.int64), count)
        kinds = np.tile(np.array([run[2].code for run in runs], dtype=np.int8), count)
        paths = self.name(np.repeat(group.paths, len(runs)), [run[3] for run in runs] * count)
        self.claims.claim_many(offsets, sizes, kinds, paths)
        self.parts.append((offsets, sizes))

    def skip(self, offsets: Positions, sizes: Positions | int) -> None:
        """Remember spans that somebody else claims or nobody can name."""
        if len(offsets):
            self.parts.append((offsets, np.broadcast_to(np.asarray(sizes, dtype=np.int64), offsets.shape)))

    def spans(self) -> tuple[Positions, Positions]:
        """Return begins and ends of all that was claimed or skipped, each sorted by itself: every span before
        a gap ends before it, so nothing is between an end and the begin after it.

        The columns are forgotten: two million spans take 16 MB for each column that is kept.
        """
        count = sum(len(part[0]) for part in self.parts)
        begins, ends = np.empty(count, np.int64), np.empty(count, np.int64)
        while self.parts:
            offsets, sizes = self.parts.pop()
            count -= len(offsets)
            begins[count : count + len(offsets)] = offsets
            ends[count : count + len(offsets)] = offsets + sizes
        begins.sort()
        ends.sort()
        return begins, ends
