"""What every step of a flatbuffer's walk shares: labels, positions seen, bytes spent, trouble."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.columns import Columns, Group, shared_once
from modelinspect.encodings.flatbuffers.schema import Schema
from modelinspect.encodings.flatbuffers.sheet import Positions, Sheet
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, TruncatedError

MOST_REPORTED = 20
"""Troubles of one kind and type that are given one by one."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the values of tables are: by table and field, by table, or ``default``.

    Vectors of bytes in ``opaque`` are left to the caller, who claims what they hold: all but their length.
    """

    default: RegionKind
    tables: Mapping[str, RegionKind] = field(default_factory=dict)
    fields: Mapping[tuple[str, str], RegionKind] = field(default_factory=dict)
    opaque: frozenset[tuple[str, str]] = frozenset()

    def kind(self, table: str, name: str) -> RegionKind:
        """Return the kind of a field's value."""
        return self.fields.get((table, name)) or self.tables.get(table, self.default)


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an opaque vector, with its path, for the caller to claim."""

    table: str
    field: str
    offset: int
    size: int
    path: PathId


class State:
    """The state of one walk: types to visit, positions seen, bytes spent."""

    def __init__(self, walk: Walk, schema: Schema, labels: Labels, sheet: Sheet) -> None:
        self.walk = walk
        self.schema = schema
        self.labels = labels
        self.sheet = sheet
        self.columns = Columns(walk.claims)
        self.paths = walk.claims.paths
        self.pending: dict[str, list[Group]] = {}
        self.order: deque[str] = deque()
        self.seen: dict[str, Positions] = {}
        self.seen_vtables: set[int] = set()
        self.budget = 4 * sheet.size + (1 << 20)
        self.contents: list[Content] = []
        self.troubles = 0
        self.listed: dict[str, int] = {}

    def trouble(self, what: str, positions: Positions, error: type[FormatError] = FormatError) -> None:
        """Count what is wrong at positions, and report the first of each kind."""
        self.troubles += len(positions)
        listed = self.listed.get(what, 0)
        self.listed[what] = listed + len(positions)
        for position in positions[: max(MOST_REPORTED - listed, 0)].tolist():
            self.walk.report(error(what, self.walk.source.name, position))

    def outside(self, what: str, holders: Positions, targets: Positions) -> None:
        """Report offsets that lead out of the buffer.

        It says no separate size: an offset past its end is how truncation shows.
        """
        past = targets > self.sheet.size - 4
        self.trouble(
            f"{what} leads past the end: the file is truncated or damaged", holders[past], TruncatedError
        )
        self.trouble(f"{what} leads outside the buffer", holders[~past])

    def spend(self, size: int, position: int) -> None:
        """Take bytes from the budget. Raises `FormatError` where the budget is used up."""
        self.budget -= size
        if self.budget < 0:
            raise FormatError(
                "its structures need more bytes than the file holds: they overlap",
                self.walk.source.name,
                position,
            )

    def fresh(self, key: str, group: Group) -> Group:
        """Return what was not reached before under that key, once each."""
        group = shared_once(group, self.seen.get(key))
        known = self.seen.get(key)
        self.seen[key] = group.positions if known is None else np.concatenate((known, group.positions))
        return group

    def named(self, parents: NDArray[np.int32], name: str) -> NDArray[np.int32]:
        """Return the paths of a name below parents."""
        return self.columns.name(parents, [name] * len(parents))
