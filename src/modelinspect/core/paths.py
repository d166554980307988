"""Keep the paths of regions as a tree, so a million of them stay cheap."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NewType, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PathId = NewType("PathId", int)
ROOT = PathId(0)
"""The empty path."""


class PathNames(Sequence[str]):
    """The last part of each path, by the path's id.

    Names of objects, of which there may be a million that all differ, are kept as UTF-8 in one buffer.
    """

    __slots__ = ("_bytes", "_ends", "_objects", "plain")

    def __init__(self) -> None:
        self.plain: list[str | None] = [""]
        """The names; None where one is in the buffer."""
        self._objects = array("i")
        self._ends = array("q", [0])
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self.plain)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self.plain)))]
        name = self.plain[index]
        return self._object(bisect_left(self._objects, index % len(self.plain))) if name is None else name

    def __iter__(self) -> Iterator[str]:
        objects = 0
        for name in self.plain:
            if name is None:
                name = self._object(objects)
                objects += 1
            yield name

    def extend_objects(
        self, names: bytes, ends: NDArray[np.int64], plain: Sequence[str | None], places: NDArray[np.int64]
    ) -> None:
        """Add ``plain``; at ``places`` it is None, and ``names`` has the UTF-8 of each, up to one of
        ``ends``.
        """
        self._objects.frombytes((places + len(self.plain)).astype("i").tobytes())
        self._ends.frombytes((ends + len(self._bytes)).astype("q").tobytes())
        self._bytes += names
        self.plain.extend(plain)

    def _object(self, number: int) -> str:
        return self._bytes[self._ends[number] : self._ends[number + 1]].decode(errors="replace")

    def __getstate__(self) -> tuple[list[str | None], array[int], array[int], bytearray]:
        return self.plain, self._objects, self._ends, self._bytes

    def __setstate__(self, state: tuple[list[str | None], array[int], array[int], bytearray]) -> None:
        self.plain, self._objects, self._ends, self._bytes = state


class PathTable:
    """A tree of path parts; a path is known by the id of its last part."""

    __slots__ = ("_interned", "_plain", "names", "parents")

    def __init__(self) -> None:
        self.parents = array("i", [0])
        self.names = PathNames()
        self._plain = self.names.plain
        self._interned: dict[tuple[int, str], PathId] = {}

    def __len__(self) -> int:
        return len(self._plain)

    def add(self, parent: PathId, name: str) -> PathId:
        """Add a part that the caller knows to be new; cheaper than `child`."""
        self.parents.append(parent)
        self._plain.append(name)
        return PathId(len(self._plain) - 1)

    def add_many(self, parents: array[int], names: Sequence[str]) -> PathId:
        """Add parts that the caller knows to be new, one after another; return the id of the first."""
        first = len(self._plain)
        self.parents.extend(parents)
        self._plain.extend(names)
        return PathId(first)

    def add_below(self, parent: PathId, name: str, names: tuple[str, ...]) -> PathId:
        """Add a part and parts below it that the caller knows to be new; return its id, which those of the
        others follow.
        """
        path = PathId(len(self._plain))
        self.parents.append(parent)
        self._plain.append(name)
        if names:
            self.parents.extend([path] * len(names))
            self._plain.extend(names)
        return path

    def add_objects(
        self,
        parents: array[int],
        names: bytes,
        ends: NDArray[np.int64],
        plain: Sequence[str | None],
        places: NDArray[np.int64],
    ) -> PathId:
        """Add parts that the caller knows to be new, in columns; return the id of the first.

        At ``places`` ``plain`` is None: the part is the name of one object among many, and its UTF-8 is in
        ``names`` up to the next of ``ends``.
        """
        first = len(self._plain)
        self.parents.extend(parents)
        self.names.extend_objects(names, ends, plain, places)
        return PathId(first)

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

    def __getstate__(self) -> tuple[array[int], PathNames]:
        return self.parents, self.names

    def __setstate__(self, state: tuple[array[int], PathNames]) -> None:
        self.parents, self.names = state
        self._plain = self.names.plain
        self._interned = {}
