"""The tree of a map's paths in columns, so what depends on names is found once for each name and not for each
path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from modelinspect.core.paths import PathTable
from modelinspect.core.records import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PathTree:
    """Paths by number: their parents, how many parts they have, and the place of their last part in
    ``names``.
    """

    names: list[str]
    name_codes: NDArray[np.int32]
    parents: NDArray[np.int32]
    depths: NDArray[np.int32]

    def levels(self) -> Iterator[NDArray[np.int32]]:
        """Yield the paths of one part, of two parts and so on."""
        depths = (
            self.depths.astype(np.int16) if self.depths.max() < 1 << 15 else self.depths
        )  # short numbers are sorted by digits
        order = np.argsort(depths, kind="stable").astype(np.int32)
        borders = np.cumsum(np.bincount(self.depths))
        for begin, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            yield order[begin:end]

    def ancestors(self, depth: int) -> NDArray[np.int32]:
        """Return for each path its ancestor of at most ``depth`` parts."""
        ancestors = np.arange(len(self.parents), dtype=np.int32)
        for level in self.levels():
            if len(level) and self.depths[level[0]] > depth:
                ancestors[level] = ancestors[self.parents[level]]
        return ancestors


def path_tree(table: PathTable) -> PathTree:
    """Return a table of paths as columns."""
    known: dict[str, int] = {}
    codes = np.fromiter(
        (known.setdefault(name, len(known)) for name in table.names), dtype=np.int32, count=len(table)
    )
    parents = np.array(table.parents, dtype=np.int32)
    return PathTree(list(known), codes, parents, _depths(parents))


def _depths(parents: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return how many steps lead from each path to the root; each round doubles the steps that are known."""
    depths = np.ones(len(parents), dtype=np.int32)
    depths[0] = 0
    above = parents
    while above.any():
        depths += depths[above]
        above = above[above]
    return depths
