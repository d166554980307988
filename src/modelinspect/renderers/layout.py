"""Fit tables into a width: which columns show, how wide they are, how text is cut and wrapped."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from modelinspect.reports.blocks import Cell, Column, Unit

_NARROWEST_TEXT = 8
_AFTER_NUMBER = re.compile(r"(?<=\d) (?=\S)")
_JOINT = "\x00"
"""In place of a space where no line may end; text for a terminal holds no control characters."""
_SHORT_TEXT = 13
"""Text this short is a word, not a name: it is cut last."""


def worthwhile(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    """Return the indices of the columns that say something to people: no column that is empty or ``quiet``
    and even.
    """
    return [
        index
        for index, column in enumerate(columns)
        if not column.machine_only and _speaks(column, [row[index] for row in rows])
    ]


def _speaks(column: Column, cells: list[Cell]) -> bool:
    if column.rank == 0:
        return True
    if all(cell is None for cell in cells):
        return False
    return not column.quiet or (len(set(cells)) > 1 if column.unit is Unit.TEXT else any(cells))


def fit(columns: Sequence[Column], natural: Sequence[int], width: int, gap: int) -> dict[int, int]:
    """Return the widths of the columns that show, by index: the highest ranks go first, then text is cut."""
    widths = dict(enumerate(natural))

    def total() -> int:
        return sum(widths.values()) + gap * (len(widths) - 1)

    def least() -> int:
        texts = (index for index in widths if columns[index].unit is Unit.TEXT and columns[index].rank == 0)
        return total() - sum(max(widths[index] - width * 3 // 8, 0) for index in texts)

    while least() > width and any(columns[index].rank for index in widths):
        del widths[max(widths, key=lambda index: (columns[index].rank, index))]
    while total() > width:
        texts = [
            index for index in widths if columns[index].unit is Unit.TEXT and widths[index] > _NARROWEST_TEXT
        ]
        texts = [index for index in texts if natural[index] > _SHORT_TEXT] or texts
        if not texts:
            break
        texts.sort(key=lambda index: -widths[index])
        below = widths[texts[1]] if len(texts) > 1 else _NARROWEST_TEXT
        cut = max(min(total() - width, widths[texts[0]] - below), 1)
        widths[texts[0]] -= cut
    return widths


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int, ellipsis: str) -> str:
    """Cut text to a width in cells; its beginning and most of its end stay."""
    if cells(text) <= width:
        return text
    if width <= len(ellipsis):
        return set_cell_size(text, width)
    left = (width - len(ellipsis)) // 3
    right = width - len(ellipsis) - left
    tail = text
    while cell_len(tail) > right:
        tail = tail[max((cell_len(tail) - right) // 2, 1) :]
    return set_cell_size(set_cell_size(text, left) + ellipsis + tail, width)


def pad(text: str, width: int, *, right: bool) -> str:
    """Fill text with spaces up to a width in cells, before it or after it."""
    space = " " * (width - cells(text))
    return space + text if right else text + space


def wrap(text: str, width: int, indent: str = "", first: str | None = None) -> list[str]:
    """Break text into lines of a width, never between a number and the word after it; long names break after
    one of their parts.
    """
    wrapper = _Wrapper(
        max(width, len(indent) + _NARROWEST_TEXT),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    lines = wrapper.wrap(_AFTER_NUMBER.sub(_JOINT, text)) or [indent]
    return [line.replace(_JOINT, " ") for line in lines]


def keep_numbers(text: str) -> str:
    """Return text in which a no-break space joins each number to the unit or noun after it."""
    return _AFTER_NUMBER.sub("\u00a0", text)


class _Wrapper(textwrap.TextWrapper):
    """Breaks long names where their parts end: ``a/b;c/d`` is not a word of one piece."""

    def _handle_long_word(
        self, reversed_chunks: list[str], cur_line: list[str], cur_len: int, width: int
    ) -> None:
        space = max(width - cur_len, 0)
        chunk = reversed_chunks[-1]
        end = max(chunk.rfind(separator, 0, space) for separator in "/;") + 1
        if not end and cur_line:  # it begins the next line
            return
        end = end or max(space, 1)
        cur_line.append(chunk[:end])
        reversed_chunks[-1] = chunk[end:]
