"""Describe what can be drawn of an artifact as compact columns: its bytes as a tree, and its files as a
ribbon.
"""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.reports.blocks import Steps
from modelinspect.reports.categories import Category


@dataclass(frozen=True, slots=True)
class Tree:
    """Sizes as a tree, in columns of one length; each node is the sum of those below it.

    The first node is the whole; a parent is the index of a node before it, -1 for the whole. ``levels`` names
    what is on each level below the whole.
    """

    title: str
    levels: tuple[str, ...]
    labels: tuple[str, ...]
    parents: tuple[int, ...]
    sizes: tuple[int, ...]
    categories: tuple[Category | None, ...]


@dataclass(frozen=True, slots=True)
class Ribbon:
    """Files from left to right as runs of bytes, in columns of one length, packed as little-endian numbers.

    ``sizes`` and ``zeros`` (bytes of the run that are zero weights) are float64, ``categories`` uint8 (the
    place in `CATEGORIES`), ``paths`` int32 (a place in ``path_names``), ``tensors`` int32 (a place in
    ``tensor_names``, -1 for none), ``counts`` int32 (the regions that the run stands for). ``path_parents``
    are int32; the first path is the empty one.
    """

    title: str
    files: tuple[tuple[str, int, int], ...]
    """Name, size and number of runs of every file."""
    sizes: bytes
    zeros: bytes
    categories: bytes
    paths: bytes
    tensors: bytes
    counts: bytes
    path_parents: bytes
    path_names: tuple[str, ...]
    tensor_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.categories)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of one artifact."""

    tree: Tree
    ribbon: Ribbon


@dataclass(frozen=True, slots=True)
class Counterparts:
    """What two artifacts may have in common, in columns of one length: categories, layers, tensors and
    structures.

    ``before`` and ``after`` are bytes on either side, 0 where one side has none. ``leaf`` marks tensors and
    structures: their bytes sum to the size of each artifact.
    """

    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    layers: tuple[str | None, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    leaf: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two trees side by side; ``before_keys`` and ``after_keys`` give each node's place in ``counterparts``,
    -1 for none.
    """

    title: str
    names: tuple[str, str]
    before: Tree
    after: Tree
    before_keys: tuple[int, ...]
    after_keys: tuple[int, ...]
    counterparts: Counterparts


Picture = Tree | Ribbon | Steps | Comparison
"""What a page draws beside the blocks; its numbers also are in the blocks or the table of the report."""
