"""Describes what a report shows, without saying how it looks: headings, bars, tables, findings, dumps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelinspect.reports.categories import Category

Cell = str | int | float | None
"""A value of a table: text, a number in the unit of its column, or None where there is none."""


class Unit(StrEnum):
    """What a column's numbers count, so that a renderer can write them."""

    TEXT = "text"
    BYTES = "bytes"
    COUNT = "count"
    SHARE = "share"
    OFFSET = "offset"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    ``key`` names it for machines, ``title`` for people. ``rank`` 0 always shows; on a narrow screen the highest rank
    goes first. ``machine_only`` columns are for machines, ``quiet`` ones hide where they say the same in every row or
    nothing but zeros. ``widest`` is the widest value, known
    beforehand where the rows are too many to look at twice.
    """

    key: str
    title: str
    unit: Unit = Unit.TEXT
    rank: int = 0
    machine_only: bool = False
    quiet: bool = False
    widest: Cell = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; ``rest`` is a last row that sums up those left out."""

    title: str
    columns: tuple[Column, ...]
    rows: Iterable[tuple[Cell, ...]]
    rest: tuple[Cell, ...] | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """What is reported on, with its format and size."""

    subject: str
    size: int
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """A named part of a whole."""

    label: str
    size: int
    category: Category | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Parts of a whole with their shares; they sum to ``total``."""

    title: str
    bars: tuple[Bar, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Step:
    """A signed part of a difference."""

    label: str
    delta: int


@dataclass(frozen=True, slots=True)
class Steps:
    """The way from one size to another, step by step; the steps sum to ``end`` less ``start``."""

    title: str
    steps: tuple[Step, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know: how severe, which rule or place, what, and what to do about it: in words, and in lines of code to copy."""

    severity: str
    label: str
    text: str
    remedy: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """Things to know; ``left_out`` more were not kept."""

    title: str
    notes: tuple[Note, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """Plain sentences."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DumpRegion:
    """A labelled run of bytes; ``pieces`` are those of its bytes to show, as offset and bytes, in order."""

    offset: int
    size: int
    kind: str
    label: str
    pieces: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Dump:
    """An annotated hexdump of one member; ``end`` is the offset behind its last byte, ``mark`` a byte to point at."""

    title: str
    regions: Iterable[DumpRegion]
    end: int
    mark: int | None = None


Block = Heading | Bars | Steps | Table | Notes | Lines | Dump
"""Everything that a report can show."""


def by_title(blocks: Sequence[Block], title: str) -> Block:
    """Return the block with a title. Raises `KeyError`."""
    for block in blocks:
        if not isinstance(block, Heading | Lines) and block.title == title:
            return block
    raise KeyError(title)
