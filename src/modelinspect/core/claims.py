"""The claims on one member, in columns; where two overlap, the first holds."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from modelinspect.core.bytemap import NO_TENSOR, ByteMap, Columns, RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.paths import ROOT, PathId, PathTable
from modelinspect.core.records import dataclass
from modelinspect.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Collision:
    """A claim on bytes that an earlier claim holds; the earlier one keeps them."""

    offset: int
    size: int
    path: tuple[str, ...]
    holder: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuiltMap:
    """A byte map, and what went wrong when the claims were put together."""

    map: ByteMap
    collisions: tuple[Collision, ...]
    collision_count: int


def as_column(values: ArrayLike, count: int, dtype: Any) -> NDArray[Any]:
    """Return a column of ``count`` values; a single value stands for all of them."""
    import numpy as np

    given = np.asarray(values, dtype=dtype)
    return given if given.ndim and given.size == count else np.full(count, given, dtype)


class Store:
    """The growing columns that a builder and its windows share."""

    __slots__ = (
        "fills",
        "kinds",
        "limits",
        "member",
        "offsets",
        "parts",
        "path_ids",
        "paths",
        "size",
        "sizes",
        "tensors",
    )

    def __init__(self, member: str, size: int, limits: Limits) -> None:
        self.member = member
        self.size = size
        self.limits = limits
        self.offsets = array("q")
        self.sizes = array("q")
        self.kinds = array("b")
        self.path_ids = array("i")
        self.tensors = array("i")
        self.paths = PathTable()
        self.fills: list[tuple[int, int, int, PathId]] = []
        self.parts: list[tuple[int, int, tuple[str, ...]]] = []

    def build(self) -> BuiltMap:
        import numpy as np

        if len(self.offsets) > self.limits.regions:
            raise LimitError(
                f"its map needs {len(self.offsets):,} regions but the limit is {self.limits.regions:,}",
                self.member,
            )
        starts, sizes = np.frombuffer(self.offsets, dtype=np.int64), np.frombuffer(self.sizes, dtype=np.int64)
        ends = starts + sizes
        is_within = not len(starts) or (bool((starts >= 0).all()) and bool((ends <= self.size).all()))
        order = (
            None
            if is_within and not bool((starts[1:] < ends[:-1]).any())
            else np.argsort(starts, kind="stable").astype(np.int32)  # regions are limited to less than 2**31
        )
        del starts, sizes, ends
        columns = self._columns(order)
        collisions: list[Collision] = []
        count = 0
        if order is not None and not (
            is_within and not bool((columns[0][1:] < columns[0][:-1] + columns[1][:-1]).any())
        ):
            columns, collisions, count = self._resolve(columns, order)
        del order
        columns = self._fill_gaps(columns)
        if self.parts:
            columns = self._divide(columns)
        return BuiltMap(ByteMap(self.size, Columns(*columns), self.paths), tuple(collisions), count)

    def _columns(self, order: NDArray[np.int32] | None) -> list[NDArray[Any]]:
        """Return the claims as columns in that order; each column is emptied here, as two of them all would
        be the most that a large file takes.
        """
        import numpy as np

        columns: list[NDArray[Any]] = []
        for held, dtype in (
            (self.offsets, np.int64),
            (self.sizes, np.int64),
            (self.kinds, np.int8),
            (self.path_ids, np.int32),
            (self.tensors, np.int32),
        ):
            view: NDArray[Any] = np.frombuffer(held, dtype=dtype)
            columns.append(view.copy() if order is None else view[order])
            del view  # an array whose buffer is in use cannot be emptied
            with suppress(BufferError):  # a profiler (Dask has one) keeps what it sees in a frame for a while
                del held[:]
        return columns

    def _divide(self, columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Cut the parts out of the regions that hold them; the first of parts that overlap is taken."""
        import numpy as np

        starts, sizes = columns[0], columns[1]
        cuts: dict[int, list[tuple[int, int, tuple[str, ...]]]] = {}
        reached = -1
        for offset, size, names in sorted(self.parts):
            row = int(np.searchsorted(starts, offset, side="right")) - 1
            if row >= 0 and offset >= reached and offset + size <= int(starts[row] + sizes[row]):
                cuts.setdefault(row, []).append((offset, size, names))
                reached = offset + size
        rows: list[tuple[int, int, int, int, int]] = []
        for row, parts in cuts.items():
            begin, end = int(starts[row]), int(starts[row] + sizes[row])
            kind, path, tensor = (int(columns[index][row]) for index in (2, 3, 4))
            for offset, size, names in parts:
                rows.append((begin, offset - begin, kind, path, tensor))
                rows.append((offset, size, kind, self.paths.child(PathId(path), *names), tensor))
                begin = offset + size
            rows.append((begin, end - begin, kind, path, tensor))
        kept = np.ones(len(starts), dtype=np.bool_)
        kept[list(cuts)] = False
        added = np.array([row for row in rows if row[1]], dtype=np.int64).reshape(-1, 5)
        joined = [
            np.concatenate((column[kept], added[:, index].astype(column.dtype)))
            for index, column in enumerate(columns)
        ]
        order = np.argsort(joined[0], kind="stable")
        return [column[order] for column in joined]

    def _resolve(
        self, columns: list[NDArray[Any]], order: NDArray[np.int32]
    ) -> tuple[list[NDArray[Any]], list[Collision], int]:
        """Give every byte to its first claim.

        ``columns`` are sorted by offset, ``order`` is the order of claiming.
        """
        import numpy as np

        starts, sizes = columns[0], columns[1]
        reach = np.maximum.accumulate(starts + sizes)
        borders = np.flatnonzero(starts[1:] >= reach[:-1]) + 1
        edges = np.concatenate(([0], borders, [len(starts)]))
        pieces: list[tuple[int, int, int]] = []  # offset, size, row
        collisions: list[Collision] = []
        count = 0
        single = np.flatnonzero(
            (np.diff(edges) == 1)
            & (starts[edges[:-1]] >= 0)
            & (starts[edges[:-1]] + sizes[edges[:-1]] <= self.size)
        )
        single_rows = edges[:-1][single]
        is_crowded = np.ones(len(edges) - 1, dtype=np.bool_)
        is_crowded[single] = False
        for cluster in np.flatnonzero(is_crowded).tolist():
            rows = range(int(edges[cluster]), int(edges[cluster + 1]))
            held = _Held()
            for row in sorted(rows, key=lambda index: int(order[index])):
                begin, size = int(starts[row]), int(sizes[row])
                end = begin + size
                granted = 0
                for piece_begin, piece_end in held.take(max(begin, 0), min(end, self.size), row):
                    pieces.append((piece_begin, piece_end - piece_begin, row))
                    granted += piece_end - piece_begin
                if granted < size:
                    count += 1
                    if len(collisions) < self.limits.diagnostics:
                        holder = held.holder(begin, end, row)
                        holder_path = (
                            self.paths.parts(PathId(int(columns[3][holder])))
                            if holder is not None
                            else ("the end of the member",)
                        )
                        collisions.append(
                            Collision(
                                begin,
                                size - granted,
                                self.paths.parts(PathId(int(columns[3][row]))),
                                holder_path,
                            )
                        )
        rows_array = np.concatenate((single_rows, np.array([piece[2] for piece in pieces], dtype=np.int64)))
        resolved = [column[rows_array] for column in columns]
        if pieces:
            resolved[0][len(single_rows) :] = [piece[0] for piece in pieces]
            resolved[1][len(single_rows) :] = [piece[1] for piece in pieces]
        again = np.argsort(resolved[0], kind="stable")
        return [column[again] for column in resolved], collisions, count

    def _fill_gaps(self, columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Label what nobody claimed. ``columns`` are sorted and disjoint."""
        import numpy as np

        starts, ends = columns[0], columns[0] + columns[1]
        if not len(starts):
            ends, starts = np.zeros(1, dtype=np.int64), np.full(1, self.size)
        else:
            inner = np.flatnonzero(ends[:-1] < starts[1:])
            ends, starts = (
                np.concatenate(([0], ends[inner], ends[-1:])),
                np.concatenate((starts[:1], starts[inner + 1], [self.size])),
            )
        gaps = [
            (begin, end) for begin, end in zip(ends.tolist(), starts.tolist(), strict=True) if begin < end
        ]
        if not gaps:
            return columns
        rows: list[tuple[int, int, int, int]] = []
        paint = _Paint(self.fills)
        for begin, end in gaps:
            rows += paint.over(begin, end)
        added: list[NDArray[Any]] = [
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.int8),
            np.array([row[3] for row in rows], dtype=np.int32),
            np.full(len(rows), NO_TENSOR, dtype=np.int32),
        ]
        merged: list[NDArray[Any]] = [
            np.concatenate((column, extra)) for column, extra in zip(columns, added, strict=True)
        ]
        order = np.argsort(merged[0], kind="stable")
        return [column[order] for column in merged]


class _Held:
    """Disjoint spans that are taken, sorted by offset."""

    __slots__ = ("begins", "ends", "rows")

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []
        self.rows: list[int] = []

    def take(self, begin: int, end: int, row: int) -> list[tuple[int, int]]:
        """Take what is still free of ``[begin, end)`` and return it."""
        taken: list[tuple[int, int]] = []
        index = bisect_right(self.begins, begin)
        if index and self.ends[index - 1] > begin:
            begin = self.ends[index - 1]
        while begin < end:
            until = min(end, self.begins[index]) if index < len(self.begins) else end
            if begin < until:
                taken.append((begin, until))
                self.begins.insert(index, begin)
                self.ends.insert(index, until)
                self.rows.insert(index, row)
                index += 1
            if index >= len(self.begins) or until == end:
                break
            begin = self.ends[index]
            index += 1
        return taken

    def holder(self, begin: int, end: int, row: int) -> int | None:
        """Return the row of another claim that holds a byte of ``[begin, end)``."""
        index = max(bisect_right(self.begins, begin) - 1, 0)
        while index < len(self.begins) and self.begins[index] < end:
            if self.rows[index] != row and self.ends[index] > begin:
                return self.rows[index]
            index += 1
        return None


class _Paint:
    """Fills flattened to disjoint spans: where they nest, the smallest shows."""

    __slots__ = ("begins", "spans")

    def __init__(self, fills: list[tuple[int, int, int, PathId]]) -> None:
        held = _Held()
        spans: list[tuple[int, int, int, int]] = []
        for row, (offset, size, kind, path) in enumerate(sorted(fills, key=lambda fill: fill[1])):
            spans += [(begin, end, kind, path) for begin, end in held.take(offset, offset + size, row)]
        self.spans = sorted(spans)
        self.begins = [span[0] for span in self.spans]

    def over(self, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield offset, size, kind code and path id of the pieces of an unclaimed span."""
        index = max(bisect_right(self.begins, begin) - 1, 0)
        while begin < end:
            while index < len(self.spans) and self.spans[index][1] <= begin:
                index += 1
            if index == len(self.spans) or self.spans[index][0] >= end:
                yield begin, end - begin, RegionKind.UNATTRIBUTED.code, ROOT
                return
            span_begin, span_end, kind, path = self.spans[index]
            if begin < span_begin:
                yield begin, span_begin - begin, RegionKind.UNATTRIBUTED.code, ROOT
                begin = span_begin
            until = min(end, span_end)
            yield begin, until - begin, kind, path
            begin = until
