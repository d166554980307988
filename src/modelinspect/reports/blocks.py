"""Blocks of a report: headings, bars, tables, findings, commands, dumps. Renderers decide how they look."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from modelinspect.core.records import dataclass
from modelinspect.reports.categories import Category

SHORT_CODE = 3
"""Lines of code that a finding shows; longer code is one command away."""

Cell = str | int | float | None
"""A value of a table: text, a number in the unit of its column, or None where there is none."""


class Unit(StrEnum):
    """What a column's numbers count, so a renderer can write them."""

    TEXT = "text"
    BYTES = "bytes"
    COUNT = "count"
    SHARE = "share"
    OFFSET = "offset"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    ``key`` names it for machines, ``title`` for people. ``rank`` 0 always shows; on a narrow screen the
    highest rank goes first. ``machine_only`` columns are for machines, ``quiet`` ones hide where they say the
    same in every row or nothing but zeros. ``widest`` is the widest value, known beforehand where the rows
    are too many to look at twice. ``bar``: a page draws each number also as a bar.
    """

    key: str
    title: str
    unit: Unit = Unit.TEXT
    rank: int = 0
    machine_only: bool = False
    quiet: bool = False
    widest: Cell = None
    bar: bool = False


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
    """A named part of a whole; ``words`` explain the name where its category's legend does not fit."""

    label: str
    size: int
    category: Category | None = None
    words: str = ""

    @property
    def legend(self) -> str:
        """What the bytes are, in a few words; empty where the label is not a category."""
        return self.words or ("" if self.category is None else self.category.legend)


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
    """Something to know: how severe, which rule or place, what, and what to do about it: in words, and in
    lines of code to copy.

    ``more`` is a command that prints the code. Text forms then show at most `SHORT_CODE` lines of code, and
    this command in place of longer code.
    """

    severity: str
    label: str
    text: str
    remedy: str = ""
    code: str = ""
    more: str = ""

    @property
    def short_code(self) -> tuple[str, ...]:
        """The lines of code that a text form shows; none where ``more`` replaces them."""
        lines = tuple(self.code.split("\n")) if self.code else ()
        return () if self.more and len(lines) > SHORT_CODE else lines

    @property
    def hidden_lines(self) -> int:
        """How many lines of code `short_code` leaves out."""
        return self.code.count("\n") + 1 if self.code and not self.short_code else 0


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
class Command:
    """A command line that works as it is, and what it shows."""

    line: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Commands:
    """What to run next."""

    title: str
    commands: tuple[Command, ...]


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
    """An annotated hexdump of one member; ``end`` is the offset after its last byte, ``mark`` a byte to point
    at.
    """

    title: str
    regions: Iterable[DumpRegion]
    end: int
    mark: int | None = None


Block = Heading | Bars | Steps | Table | Notes | Lines | Commands | Dump
"""Everything that a report can show."""
