"""Draw the bytes of an artifact as columns: a tree of categories, layers and tensors, and a ribbon of its
regions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import NO_TENSOR
from modelinspect.core.names import KEY_END
from modelinspect.ledger.attribution import Ledger, attribute, label
from modelinspect.ledger.rollup import Key, roll_up
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.pictures import Pictures, Ribbon, Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_NODES = 1_500
"""Nodes of a tree that are drawn one by one; smaller ones are drawn as one in each parent."""
MOST_RUNS = 150_000
"""Runs of a ribbon; where there are more regions, small neighbours of one category are drawn as one."""

TreePath = tuple[str, ...]
"""A category, then a layer and a tensor, or a structure."""

_BY_NAME = {str(category): category for category in CATEGORIES}


def draw(artifact: Artifact, zeros: Mapping[int, int] | None = None) -> Pictures:
    """Draw an artifact. ``zeros`` are the counted zero elements by tensor id."""
    return Pictures(draw_tree(attribute(artifact, zeros)), draw_ribbon(artifact, zeros))


def draw_tree(ledger: Ledger) -> Tree:
    """Return the tree: categories; in them layers, or structures for what is in no tensor; in layers,
    tensors.
    """
    sizes: dict[TreePath, int] = defaultdict(int)
    for row in roll_up(ledger, (Key.CATEGORY, Key.LAYER, Key.TENSOR, Key.STRUCTURE)):
        category, layer, tensor, structure = row.values or (None, None, None, None)
        place = (
            (layer or "(no layer)", tensor.removesuffix(KEY_END)) if tensor else (structure or "(no name)",)
        )
        path = (category or "", *place)
        for depth in range(len(path) + 1):
            sizes[path[:depth]] += row.size
    return make_tree(sizes)[0]


def make_tree(sizes: Mapping[TreePath, int]) -> tuple[Tree, tuple[TreePath | None, ...]]:
    """Return a tree of at most about `MOST_NODES` nodes, and the path of each; None for a node that sums up
    smaller ones.

    ``sizes`` holds every path with the sum of what is below it; the empty path is the whole.
    """
    kept = {()} | set(sorted(sizes, key=lambda path: (len(path) > 1, -sizes[path], path))[:MOST_NODES])
    kept |= {path[:depth] for path in kept for depth in range(len(path))}
    left: dict[TreePath, list[int]] = defaultdict(list)
    for path, size in sizes.items():
        if path not in kept and path[:-1] in kept:
            left[path[:-1]].append(size)
    nodes = [(path, sizes[path]) for path in kept] + [
        ((*path, f"{len(rest):,} smaller"), sum(rest)) for path, rest in left.items()
    ]
    nodes.sort(key=lambda node: (len(node[0]), -node[1], node[0]))
    index = {path: place for place, (path, _) in enumerate(nodes)}
    tree = Tree(
        "Bytes by category, layer and tensor",
        ("category", "layer or structure", "tensor"),
        labels=tuple(path[-1] if path else "all bytes" for path, _ in nodes),
        parents=tuple(index[path[:-1]] if path else -1 for path, _ in nodes),
        sizes=tuple(size for _, size in nodes),
        categories=tuple(_BY_NAME[path[0]] if path else None for path, _ in nodes),
    )
    return tree, tuple(path if path in kept else None for path, _ in nodes)


def draw_ribbon(artifact: Artifact, zeros: Mapping[int, int] | None = None) -> Ribbon:
    """Return the ribbon: one run for each region, or fewer where there are more than `MOST_RUNS`."""
    rows, zero_sizes = label(artifact, zeros)
    order, starts = _runs(rows)
    counts = np.diff(starts, append=len(order))
    firsts = order[starts]
    used, tensors = np.unique(rows.tensors[firsts], return_inverse=True)
    has_none = bool(len(used)) and used[0] == NO_TENSOR
    per_member = np.bincount(rows.members[firsts], minlength=len(artifact.members)).tolist()
    paths = _Paths(artifact)
    places = [
        paths.place(*row)
        for row in zip(
            rows.members[firsts].tolist(), rows.paths[firsts].tolist(), counts.tolist(), strict=True
        )
    ]
    return Ribbon(
        (
            "The file from its first byte to its last"
            if len(artifact.members) == 1
            else "The files from first byte to last"
        ),
        tuple(
            (member.name, member.size, runs)
            for member, runs in zip(artifact.members, per_member, strict=True)
        ),
        sizes=_sums(rows.sizes[order], starts).astype("<f8").tobytes(),
        zeros=_sums(zero_sizes[order], starts).astype("<f8").tobytes(),
        categories=rows.categories[firsts].astype("u1").tobytes(),
        paths=np.array(places).astype("<i4").tobytes(),
        tensors=(tensors - has_none).astype("<i4").tobytes(),
        counts=counts.astype("<i4").tobytes(),
        path_parents=np.array(paths.parents).astype("<i4").tobytes(),
        path_names=tuple(paths.names),
        tensor_names=tuple(artifact.tensors[tensor].name for tensor in used.tolist() if tensor != NO_TENSOR),
    )


def _runs(rows: Ledger) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the order in which regions are drawn and where in it each run begins.

    The file is cut into buckets too narrow to see. Where there are too many regions, those that lie in one
    bucket are drawn by category, as one run each; a region longer than a bucket begins before all others that
    end where it does, so it keeps its place and stays its own run.
    """
    count = len(rows.sizes)
    every = np.arange(count)
    if count <= MOST_RUNS:
        return every, every
    reached = np.cumsum(rows.sizes)
    width = int(reached[-1]) // (MOST_RUNS // len(CATEGORIES)) + 1
    buckets, long = (reached - 1) // width, rows.sizes > width
    order = np.lexsort((every, rows.categories, ~long, buckets, rows.members))
    begins = long[order]
    begins[0] = True
    for column in (rows.members, buckets, rows.categories, long):
        begins[1:] |= column[order][1:] != column[order][:-1]
    return order, np.flatnonzero(begins)


def _sums(column: NDArray[np.int64], starts: NDArray[np.intp]) -> NDArray[np.int64]:
    return np.add.reduceat(column, starts) if len(starts) else column


class _Paths:
    """The paths that a ribbon names, of all members in one table."""

    def __init__(self, artifact: Artifact) -> None:
        self._tables = [member.map.path_table for member in artifact.members]
        self._places: dict[tuple[int, int], int] = {}
        self.parents = [0]
        self.names = [""]

    def place(self, member: int, path: int, regions: int) -> int:
        """Return where a path is; of a run of several regions, that of the structure around the first."""
        table = self._tables[member]
        if regions > 1:
            path = table.parents[path]
        missing = []
        while path and (member, path) not in self._places:
            missing.append(path)
            path = table.parents[path]
        place = self._places.get((member, path), 0)
        for part in reversed(missing):
            self.parents.append(place)
            self.names.append(table.names[part])
            place = self._places[member, part] = len(self.names) - 1
        return place
