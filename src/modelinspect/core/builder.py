"""Collect the claims of parsers and make a `ByteMap` of them."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.claims import BuiltMap, Store, as_column
from modelinspect.core.limits import Limits
from modelinspect.core.paths import ROOT, PathId
from modelinspect.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Stencil:
    """Regions of no tensor that are in the same way in many places, one after the other, each with its own
    path part.
    """

    starts: tuple[int, ...]
    sizes: array[int]
    kinds: array[int]
    tensors: array[int]
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, RegionKind, str]]) -> Stencil:
        """Make one of sizes (not 0), kinds and path parts."""
        sizes = array("q", [size for size, _, _ in rows])
        starts = tuple(accumulate(sizes[:-1], initial=0)) if rows else ()
        kinds = array("b", [kind.code for _, kind, _ in rows])
        return cls(
            starts, sizes, kinds, array("i", [NO_TENSOR] * len(rows)), tuple(name for _, _, name in rows)
        )


class ByteMapBuilder:
    """Claims on the bytes of one member, in any order.

    Claim leaves, never parents; claim shared bytes once. The first claim on a byte holds it; a later one is
    cut and reported as a `Collision`. What nobody claims becomes ``unattributed``, unless `fill` says that it
    is known. A window (`window`) claims on the same map with its own zero.
    """

    __slots__ = (
        "_add_kind",
        "_add_offset",
        "_add_path",
        "_add_size",
        "_add_tensor",
        "_base",
        "_store",
        "member",
        "paths",
        "root",
        "size",
    )

    def __init__(self, member: str, size: int, limits: Limits | None = None) -> None:
        self._attach(Store(member, size, limits or Limits()), member, 0, size, ROOT)

    def _attach(self, store: Store, member: str, base: int, size: int, root: PathId) -> None:
        self._store = store
        self._base = base
        self.member = member
        self.size = size
        self.root = root
        self.paths = store.paths
        self._add_offset = store.offsets.append
        self._add_size = store.sizes.append
        self._add_kind = store.kinds.append
        self._add_path = store.path_ids.append
        self._add_tensor = store.tensors.append

    def window(self, offset: int, size: int, path: PathId) -> ByteMapBuilder:
        """Return a builder whose byte 0 is byte ``offset`` of this one and whose root path is ``path``."""
        inner = ByteMapBuilder.__new__(ByteMapBuilder)
        inner._attach(self._store, self.member, self._base + offset, size, path)
        return inner

    @property
    def base(self) -> int:
        """The offset of this builder's byte 0 in its member."""
        return self._base

    def __len__(self) -> int:
        return len(self._store.offsets)

    def path(self, *names: str) -> PathId:
        """Return the path of ``names`` below this builder's root."""
        return self.paths.child(self.root, *names)

    def claim(
        self, offset: int, size: int, kind: RegionKind, path: PathId, tensor: TensorId = NO_TENSOR
    ) -> None:
        """Label ``[offset, offset + size)``; a claim of no bytes says nothing."""
        if size <= 0:
            return
        self._add_offset(self._base + offset)
        self._add_size(size)
        self._add_kind(kind.code)
        self._add_path(path)
        self._add_tensor(tensor)

    def stamp(self, stencil: Stencil, offset: int, parent: PathId) -> None:
        """Claim the regions of a stencil from ``offset`` on, each with a new path below ``parent``; cheaper
        than `claim`.
        """
        store = self._store
        offset += self._base
        store.offsets.extend([offset + start for start in stencil.starts])
        store.sizes.extend(stencil.sizes)
        store.kinds.extend(stencil.kinds)
        store.tensors.extend(stencil.tensors)
        count = len(stencil.names)
        first = self.paths.add_many(array("i", [parent]) * count, stencil.names)
        store.path_ids.extend(range(first, first + count))

    def claim_many(
        self,
        offsets: ArrayLike,
        sizes: ArrayLike,
        kinds: ArrayLike,
        paths: ArrayLike,
        tensors: ArrayLike = NO_TENSOR,
    ) -> None:
        """Claim columns of spans at once; ``kinds`` are `RegionKind.code`, single values stand for whole
        columns.
        """
        import numpy as np

        starts = np.asarray(offsets, dtype=np.int64) + self._base
        lengths = as_column(sizes, starts.size, np.int64)
        keep = lengths > 0
        every = bool(keep.all())
        count = starts.size if every else int(keep.sum())
        store = self._store
        for column, values, dtype in (
            (store.offsets, starts, np.int64),
            (store.sizes, lengths, np.int64),
            (store.kinds, kinds, np.int8),
            (store.path_ids, paths, np.int32),
            (store.tensors, tensors, np.int32),
        ):
            given = np.asarray(values, dtype=dtype)
            if given.size != starts.size or not given.ndim:  # one value for the whole column
                column.frombytes(np.full(count, given, dtype).tobytes())
            else:
                column.frombytes((given if every else given[keep]).tobytes())

    def fill(self, offset: int, size: int, kind: RegionKind, path: PathId) -> None:
        """Say what the bytes of a span are that nobody claims, as a complete walk proves; the smallest span
        wins.
        """
        if size > 0:
            self._store.fills.append((self._base + offset, size, kind.code, path))

    def divide(self, offset: int, size: int, names: tuple[str, ...]) -> None:
        """Give a part of a region its own region, of the same kind and below its path; parts that straddle
        regions stay.
        """
        if size > 0:
            self._store.parts.append((self._base + offset, size, names))

    def build(self) -> BuiltMap:
        """Make the map. Raises `LimitError` where there are more regions than the limits allow."""
        return self._store.build()
