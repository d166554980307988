"""Read the heads of many nodes at once, in columns: where their names, ops and attributes are.

A node's length says where the next one begins, so lengths are read one after another; everything in the nodes
is then looked at for all of them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelinspect.core.records import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME, OP, INPUT, DEVICE, ATTR, DEBUG_INFO = 0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x32
"""The tags of a NodeDef's fields."""
SHORT = 0x80
"""Lengths below this are one byte."""
PASSED = (INPUT, DEVICE)
"""The tags that may be between a node's op and its attributes."""
_FEW = 8
_MOST_INPUTS = 64


@dataclass(frozen=True, slots=True)
class Heads:
    """Nodes in a row, by indexes into the data that they were read from."""

    bytes: NDArray[np.uint8]
    starts: NDArray[np.int64]
    """Where the tag of each is."""
    begins: NDArray[np.int64]
    """Where its first field is, the name."""
    ops: NDArray[np.int64]
    """Where its second field is, the op."""
    fields: NDArray[np.int64]
    """Where what follows the op is."""
    endings: NDArray[np.int64]
    """Where its attributes begin."""
    stops: NDArray[np.int64]
    is_whole: bool
    """Whether no node in the row had fields that are longer or in another order."""

    def __len__(self) -> int:
        return len(self.starts)

    def first(self, count: int) -> Heads:
        """Return the first of them."""
        return Heads(
            self.bytes,
            self.starts[:count],
            self.begins[:count],
            self.ops[:count],
            self.fields[:count],
            self.endings[:count],
            self.stops[:count],
            self.is_whole and count == len(self),
        )


def read_heads(data: bytes, index: int, last: int, tag: int, most: int) -> Heads:
    """Return the nodes with that tag from ``index`` on that end before ``last``, ``most`` at most."""
    import numpy as np

    starts: list[int] = []
    add = starts.append
    room = last - 3
    for _ in range(most):  # the one loop over nodes: it does as little as it can
        if index >= room or data[index] != tag:
            break
        size = data[index + 1]
        if size < SHORT:
            end = index + 2 + size
        else:
            high = data[index + 2]
            if high >= SHORT:
                break
            end = index + 3 + (size & 0x7F | high << 7)
        if end > last:
            break
        add(index)
        index = end
    column = np.frombuffer(data, dtype=np.uint8)
    start = np.array(starts, dtype=np.int64)
    begin_of = start + 2 + (column[start + 1] >= SHORT)
    stops = np.append(start[1:], index)
    sound, ops = _step(column, begin_of, stops, begin_of >= 0, (NAME,))
    sound, fields = _step(column, ops, stops, sound, (OP,))
    endings, more = fields.copy(), sound & (fields < stops)
    for _ in range(_MOST_INPUTS):
        rows = np.flatnonzero(more)
        if not len(rows):
            break
        here, until = endings[rows], stops[rows]
        at_attributes = column[here] == ATTR
        passed, behind = _step(column, here, until, ~at_attributes, PASSED)
        endings[rows] = np.where(passed, behind, here)
        sound[rows] &= passed | at_attributes
        more[rows] = passed & (behind < until)
    sound &= ~more
    count = len(sound) if sound.all() else int(np.argmin(sound))
    heads = Heads(column, start, begin_of, ops, fields, endings, stops, True)
    return heads if count == len(sound) else heads.first(count)


def _step(
    column: NDArray[np.uint8],
    places: NDArray[np.int64],
    stops: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    tags: tuple[int, ...],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Pass over a short field of one of ``tags`` at each place; return where there was one, and the places
    after it.
    """
    import numpy as np

    sound = wanted & (places + 2 <= stops)
    here = np.where(sound, places, 0)
    found = column[here]
    sound &= np.logical_or.reduce([found == tag for tag in tags]) & (column[here + 1] < SHORT)
    behind = here + 2 + column[here + 1]
    sound &= behind <= stops
    return sound, np.where(sound, behind, places)


def distinct(
    data: bytes, column: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[list[bytes], NDArray[np.int32]]:
    """Return the distinct values of ``data[begin:end]``, and for each span the number of its value."""
    import numpy as np

    values: list[bytes] = []
    numbers: dict[bytes, int] = {}
    codes = np.empty(len(begins), dtype=np.int32)
    lengths = ends - begins
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        rows = np.flatnonzero(lengths == length)
        table = np.lib.stride_tricks.sliding_window_view(column, length)[begins[rows]] if length else None
        while table is not None and len(rows):
            same = (table == table[0]).all(axis=1)
            begin = int(begins[rows[0]])
            value = data[begin : begin + length]
            codes[rows[same]] = numbers[value] = len(values)
            values.append(value)
            few = int(same.sum()) * _FEW < len(rows)
            rows, table = rows[~same], table[~same]
            if few:  # they all differ: a look at each costs less
                break
        for row, begin in zip(rows.tolist(), begins[rows].tolist(), strict=True):
            value = data[begin : begin + length]
            number = numbers.setdefault(value, len(values))
            if number == len(values):
                values.append(value)
            codes[row] = number
    return values, codes


def joined(
    column: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[bytes, NDArray[np.int64]]:
    """Return the bytes of spans one after another, and where each ends."""
    import numpy as np

    lengths = ends - begins
    until = np.cumsum(lengths)
    places = np.repeat(begins - (until - lengths), lengths) + np.arange(int(until[-1]) if len(until) else 0)
    return column[places].tobytes(), until
