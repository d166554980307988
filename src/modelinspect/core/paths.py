"""Keep the paths of regions as a tree, so a million of them stay cheap."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NewType

PathId = NewType("PathId", int)
ROOT = PathId(0)
"""The empty path."""


class PathTable:
    """A tree of path parts; a path is known by the id of its last part."""

    __slots__ = ("_interned", "names", "parents")

    def __init__(self) -> None:
        self.parents = array("i", [0])
        self.names: list[str] = [""]
        self._interned: dict[tuple[int, str], PathId] = {}

    def __len__(self) -> int:
        return len(self.names)

    def add(self, parent: PathId, name: str) -> PathId:
        """Add a part that the caller knows to be new; cheaper than `child`."""
        self.parents.append(parent)
        self.names.append(name)
        return PathId(len(self.names) - 1)

    def add_many(self, parents: array[int], names: Sequence[str]) -> PathId:
        """Add parts that the caller knows to be new, one after another; return the id of the first."""
        first = len(self.names)
        self.parents.extend(parents)
        self.names.extend(names)
        return PathId(first)

    def add_below(self, parent: PathId, name: str, names: tuple[str, ...]) -> PathId:
        """Add a part and parts below it that the caller knows to be new; return its id, which those of the
        others follow.
        """
        path = PathId(len(self.names))
        self.parents.append(parent)
        self.names.append(name)
        if names:
            self.parents.extend([path] * len(names))
            self.names.extend(names)
        return path

    def child(self, parent: PathId, *names: str) -> PathId:
        """Return the path that ``names`` lead to from ``parent``, and add what is missing of it."""
        for name in names:
            known = self._interned.get((parent, name))
            if known is None:
                known = self._interned[parent, name] = self.add(parent, name)
            parent = known
        return parent

    def parts(self, path: PathId) -> tuple[str, ...]:
        """Return the parts of a path, outermost first."""
        parts: list[str] = []
        while path != ROOT:
            parts.append(self.names[path])
            path = PathId(self.parents[path])
        parts.reverse()
        return tuple(parts)

    def __getstate__(self) -> tuple[array[int], list[str]]:
        return self.parents, self.names

    def __setstate__(self, state: tuple[array[int], list[str]]) -> None:
        self.parents, self.names = state
        self._interned = {}
