"""The tree of a map's paths in columns, so what depends on names is found once for each name and not for each
path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from modelinspect.core.paths import PathTable
from modelinspect.core.records import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBJECT = "\0"
"""Stands for the name of one object among many, which no structure says."""
_FEW_LEVELS = 32
"""So many levels are looked for one after another, which takes less memory than an order of all paths."""


@dataclass(frozen=True, slots=True)
class PathTree:
    """Paths by number: their parents, how many parts they have, and the place of their last part in
    ``names``.
    """

    names: list[str]
    name_codes: NDArray[np.int32]
    parents: NDArray[np.int32]
    depths: NDArray[np.int16] | NDArray[np.int32]

    def levels(self) -> Iterator[NDArray[np.int32]]:
        """Yield the paths of one part, of two parts and so on."""
        counts = np.bincount(self.depths)
        if len(counts) <= _FEW_LEVELS:
            for depth in range(1, len(counts)):
                yield np.flatnonzero(self.depths == depth).astype(np.int32)
            return
        order = np.argsort(self.depths, kind="stable").astype(np.int32)
        borders = np.cumsum(counts)
        for begin, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            yield order[begin:end]

    def ancestors(self, depth: int) -> NDArray[np.int32]:
        """Return for each path its ancestor of at most ``depth`` parts."""
        ancestors = np.arange(len(self.parents), dtype=np.int32)
        for level in self.levels():
            if len(level) and self.depths[level[0]] > depth:
                ancestors[level] = ancestors[self.parents[level]]
        return ancestors


def path_tree(table: PathTable, *, of_objects: bool = True) -> PathTree:
    """Return a table of paths as columns; without ``of_objects`` all names of objects are one, ``OBJECT``."""
    names: Iterable[str | None] = table.names if of_objects else table.names.plain
    known = {name: code for code, name in enumerate(dict.fromkeys(names))}
    codes = np.fromiter(map(known.__getitem__, names), dtype=np.int32, count=len(table))
    parents = np.array(table.parents, dtype=np.int32)
    return PathTree([OBJECT if name is None else name for name in known], codes, parents, _depths(parents))


def _depths(parents: NDArray[np.int32]) -> NDArray[np.int16] | NDArray[np.int32]:
    """Return how many steps lead from each path to the root; each round doubles the steps that are known."""
    depths = np.ones(len(parents), dtype=np.int32)
    depths[0] = 0
    above = parents
    while above.any():
        depths += depths[above]
        above = above[above]
    return depths.astype(np.int16) if depths.max() < 1 << 15 else depths  # short numbers are sorted by digits
