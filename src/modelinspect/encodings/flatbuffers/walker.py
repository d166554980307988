"""Claim a flatbuffer, type by type: all tables of one type and vtable in one go.

A flatbuffer of a hundred thousand tables has a few dozen vtables, so the walk works on columns of positions
and not on single tables. Each position is claimed once for each type that leads there; what is reached again
is shared and not claimed again. A claim that meets another one is a collision, which the byte map reports.

The layout is that of "FlatBuffers Internals" (flatbuffers.dev): a table begins with a signed offset back to
its vtable; a vtable holds its own size, the table's size and a place for each slot; vectors and strings begin
with a count; strings end with a zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.encodings.flatbuffers.columns import Group, spread
from modelinspect.encodings.flatbuffers.padding import claim_padding
from modelinspect.encodings.flatbuffers.schema import Field, Schema, Shape, TableType
from modelinspect.encodings.flatbuffers.sheet import Positions, Sheet
from modelinspect.encodings.flatbuffers.state import MOST_REPORTED, Content, Labels, State
from modelinspect.encodings.flatbuffers.tables import Reader, Table
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, TruncatedError
from modelinspect.sources.base import Source


@dataclass(frozen=True, slots=True)
class Document:
    """A flatbuffer that was walked: its root, where its structures end, and the vectors of bytes that it
    carries.

    ``sound`` is False where structures overlap so far that what they hold must not be followed again;
    ``complete`` where nothing at all went wrong.
    """

    root: Table
    end: int
    sound: bool
    complete: bool
    contents: tuple[Content, ...]


def walk_flatbuffer(
    walk: Walk, schema: Schema, labels: Labels, *, end: int | None = None, sheet: Sheet | None = None
) -> Document:
    """Claim a flatbuffer that begins at byte 0 and has all of ``[0, end)`` to itself, its padding included.

    ``end`` is None where other things may follow; the document says where it ends. Raises `FormatError` where
    there is no root table.
    """
    return _Walker(walk, schema, labels, sheet or Sheet(walk.source)).run(end)


def root_table(source: Source, schema: Schema) -> Table:
    """Return the root table of a flatbuffer that was walked before and is sound. Raises `FormatError`."""
    sheet = Sheet(source)
    return Reader(sheet, schema, source.name, walked=False).table(
        int.from_bytes(sheet.bytes_at(0, 4), "little"), schema.root
    )


class _Walker(State):
    """One walk, from the root table on."""

    def run(self, end: int | None) -> Document:
        root = self._header()
        self._queue(
            self.schema.root, Group(np.array([root]), np.array([self.walk.claims.root], dtype=np.int32))
        )
        sound = True
        try:
            while self.order:
                name = self.order.popleft()
                self._tables(self.schema.tables[name], Group.joined(self.pending.pop(name)))
        except FormatError as error:
            sound = False
            self.troubles += 1
            self.walk.report(error)
        for what, count in self.listed.items():
            if count > MOST_REPORTED:
                self.walk.report(
                    FormatError(f"{count - MOST_REPORTED:,} more: {what}", self.walk.source.name)
                )
        used = None if self.troubles else self.seen_vtables
        last = claim_padding(self.walk, self.sheet, self.columns, self.schema.alignment, end, used)
        reader = Reader(self.sheet, self.schema, self.walk.source.name)
        return Document(
            reader.table(root, self.schema.root), last, sound, not self.troubles, tuple(self.contents)
        )

    def _header(self) -> int:
        """Claim the offset of the root table, and the file identifier where there is room for one."""
        root = int.from_bytes(self.sheet.bytes_at(0, 4), "little")
        if not 4 <= root <= self.sheet.size - 4:
            raise FormatError(
                f"the root table is at byte {root:,} of {self.sheet.size:,}", self.walk.source.name, 0
            )
        self.columns.add_one(0, 4, RegionKind.CONTAINER, self.walk.claims.path("root offset"))
        identifier = self.sheet.bytes_at(4, 4) if root >= 8 else b""
        if identifier and identifier == self.schema.identifier:
            self.columns.add_one(4, 4, RegionKind.CONTAINER, self.walk.claims.path("file identifier"))
        return root

    def _queue(self, name: str, group: Group) -> None:
        if not len(group.positions):
            return
        if name not in self.pending:
            self.pending[name] = []
            self.order.append(name)
        self.pending[name].append(group)

    def _tables(self, type: TableType, group: Group) -> None:
        """Claim all tables of a type that are new, and queue what they point to."""
        group = self.fresh(type.name, group)
        inside = (group.positions >= 0) & (group.positions <= self.sheet.size - 4)
        self.trouble(f"a table {type.name} is outside the buffer", group.positions[~inside])
        group = group.where(inside)
        vtables = group.positions - self.sheet.gather(group.positions, "<i4")
        inside = (vtables >= 0) & (vtables <= self.sheet.size - 4)
        self.trouble(f"the vtable of a table {type.name} is outside the buffer", group.positions[~inside])
        group, vtables = group.where(inside), vtables[inside]
        places, inverse = np.unique(vtables, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        borders = np.cumsum(np.bincount(inverse, minlength=len(places)))
        begin = 0
        for vtable, border in zip(places.tolist(), borders.tolist(), strict=True):
            self._tables_of_vtable(type, vtable, group.where(order[begin:border]))
            begin = border

    def _tables_of_vtable(self, type: TableType, vtable: int, group: Group) -> None:
        layout = self._layout(type, vtable, group)
        if layout is None:
            return
        size, found, unknown = layout
        outside = group.positions > self.sheet.size - size
        self.trouble(f"a table {type.name} needs {size:,} bytes and fewer are left", group.positions[outside])
        group = group.where(~outside)
        if not len(group.positions):
            return
        self.spend(size * len(group.positions), int(group.positions[0]))
        self.sheet.need_many(group.positions, size)
        self._claim_inline(type, size, found, unknown, group)
        for item, place in found:
            if not item.inline:
                self._follow(type, item, place, found, group)

    def _layout(
        self, type: TableType, vtable: int, group: Group
    ) -> tuple[int, list[tuple[Field, int]], list[int]] | None:
        """Claim a vtable once; return the size of its tables, the fields in them with their places, and
        places not known.
        """
        length, declared = self.sheet.gather(np.array([vtable, vtable + 2]), "<u2").tolist()
        where = group.positions[:1]
        if length < 4 or length % 2 or vtable + length > self.sheet.size or declared < 4:
            self.trouble(
                f"the vtable of a table {type.name} is {length} bytes long and gives its table {declared}",
                where,
            )
            return None
        if vtable not in self.seen_vtables:
            self.seen_vtables.add(vtable)
            self.spend(length, vtable)
            self.columns.add_one(
                vtable, length, RegionKind.CONTAINER, self.paths.child(PathId(int(group.paths[0])), "vtable")
            )
        slots = np.frombuffer(self.sheet.bytes_at(vtable + 4, length - 4), dtype="<u2").tolist()
        found: list[tuple[Field, int]] = []
        for item, place in zip(type.fields, slots, strict=False):
            if place >= 4:
                found.append((item, place))
            elif place:
                self.trouble(
                    f"the field {item.name} of a table {type.name} is at {place} in a table of {declared}"
                    " bytes",
                    where,
                )
        unknown = [place for place in slots[len(type.fields) :] if place]
        if unknown:
            slot = next(slot for slot, place in enumerate(slots) if place and slot >= len(type.fields))
            self.trouble(
                f"a table {type.name} has a field in slot {slot} that the schema does not know", where
            )
            unknown = [place for place in unknown if 4 <= place < declared]
        # Python's builder shares a vtable between tables that differ in size, so the size says little: take
        # what the fields need.
        size = max([4, *(place + item.inline_size for item, place in found)])
        return size, found, unknown

    def _claim_inline(
        self, type: TableType, size: int, found: list[tuple[Field, int]], unknown: list[int], group: Group
    ) -> None:
        """Claim what is in the tables themselves: the offset of the vtable, numbers, offsets, and the zeros
        between them.
        """
        runs: list[tuple[int, int, RegionKind, str]] = [(0, 4, RegionKind.CONTAINER, "vtable offset")]
        for item, place in found:
            kind = self.labels.kind(type.name, item.name) if item.inline else RegionKind.CONTAINER
            runs.append((place, item.inline_size, kind, item.name if item.inline else f"{item.name} offset"))
        used = np.zeros(size, dtype=np.bool_)
        for place, length, _, _ in runs:
            used[place : place + length] = True
        self.columns.add_tables(group, runs)
        gaps = np.flatnonzero(~used)
        for run in np.split(gaps, np.flatnonzero(np.diff(gaps) > 1) + 1) if len(gaps) else ():
            begin, length = int(run[0]), len(run)
            if any(begin <= place < begin + length for place in unknown):
                self.columns.skip(group.positions + begin, length)
                continue
            zero = np.full(len(group.positions), length < 8)
            for index in range(length if length < 8 else 0):
                zero &= self.sheet.gather(group.positions + begin + index, "u1") == 0
            self.columns.add_tables(group.where(zero), [(begin, length, RegionKind.FREE, "padding")])
            self.trouble(
                f"{length} bytes of a table {type.name} belong to no field", group.positions[~zero] + begin
            )
            self.columns.skip(group.positions[~zero] + begin, length)

    def _follow(
        self, type: TableType, item: Field, place: int, found: list[tuple[Field, int]], group: Group
    ) -> None:
        """Claim or queue what a field's offsets point to."""
        holders = group.positions + place
        targets = holders + self.sheet.gather(holders, "<u4")
        inside = (targets > holders) & (targets <= self.sheet.size - 4)
        self.outside(f"the offset of {type.name}.{item.name}", holders[~inside], targets[~inside])
        kind = self.labels.kind(type.name, item.name)
        if item.vector and item.shape is not Shape.UNION:
            self._vectors(type, item, kind, Group(targets, group.paths).where(inside))
        elif item.vector:
            types = self._place_of(type, item, found)
            places = np.zeros_like(holders) if types is None else group.positions + types
            self._union_vectors(type, item, Group(targets, group.paths, places).where(inside))
        elif item.shape is Shape.UNION:
            types = self._place_of(type, item, found)
            chosen = (
                self.sheet.gather(group.positions + types, "u1")
                if types is not None
                else np.zeros_like(targets)
            )
            self._union(
                item, Group(targets, self.named(group.paths, item.name)).where(inside), chosen[inside]
            )
        elif item.shape is Shape.STRING:
            self._strings(kind, Group(targets, self.named(group.paths, item.name)).where(inside))
        else:
            self._queue(item.target, Group(targets, self.named(group.paths, item.name)).where(inside))

    def _place_of(self, type: TableType, item: Field, found: list[tuple[Field, int]]) -> int | None:
        """Return the place of a union's type, which is in the slot before."""
        return next((place for other, place in found if other.slot == item.slot - 1), None)

    def _union(self, item: Field, group: Group, chosen: Positions) -> None:
        members = self.schema.unions[item.target]
        for code in np.unique(chosen).tolist():
            part = group.where(chosen == code)
            if 0 < code < len(members) and members[code] in self.schema.structs:
                self._struct(members[code], part)
            elif 0 < code < len(members):
                self._queue(members[code], part)
            else:
                self.trouble(
                    f"the union {item.target} has no member {code} that the schema knows", part.positions
                )

    def _struct(self, name: str, group: Group) -> None:
        """Claim structs that a union's offsets point to."""
        size = self.schema.structs[name]
        group = self.fresh(f"struct {name}", group)
        inside = group.positions + size <= self.sheet.size
        self.trouble(f"a struct {name} is outside the buffer", group.positions[~inside], TruncatedError)
        group = group.where(inside)
        self.spend(size * len(group.positions), 0)
        self.sheet.need_many(group.positions, size)
        self.columns.add(group.positions, size, self.labels.default, group.paths)

    def _strings(self, kind: RegionKind, group: Group) -> None:
        """Claim strings: the count, the text and the zero after it."""
        self.spend(4 * len(group.positions), 0)
        group = self.fresh("string", group)
        inside = (group.positions >= 0) & (group.positions <= self.sheet.size - 4)
        self.trouble("a string is outside the buffer", group.positions[~inside])
        group = group.where(inside)
        sizes = self.sheet.gather(group.positions, "<u4")
        ends = group.positions + 4 + sizes
        inside = ends < self.sheet.size
        self.trouble("a string is longer than what is left of the buffer", group.positions[~inside])
        group, sizes, ends = group.where(inside), sizes[inside], ends[inside]
        self.spend(int(sizes.sum()), 0)
        self.sheet.need_many(group.positions, sizes + 5)
        ended = self.sheet.gather(ends, "u1") == 0
        self.trouble("a string does not end with a zero byte", ends[~ended])
        lengths, terminators = self.named(group.paths, "length"), self.named(group.paths, "terminator")
        self.columns.add(group.positions, 4, RegionKind.CONTAINER, lengths)
        self.columns.add(group.positions + 4, sizes, kind, group.paths)
        self.columns.add(ends[ended], 1, RegionKind.CONTAINER, terminators[ended])

    def _vectors(self, type: TableType, item: Field, kind: RegionKind, group: Group) -> None:
        """Claim vectors; ``group.paths`` are the tables'. Elements that are offsets are followed."""
        key = (
            item.target
            if item.shape in (Shape.TABLE, Shape.STRUCT)
            else f"{item.size} bytes"
            if item.shape is Shape.SCALAR
            else "strings"
        )
        self.spend(4 * len(group.positions), 0)
        group, counts = self._counted(type, item, self.fresh(f"[{key}]", group))
        sizes = counts * item.size
        names = self.named(group.paths, item.name)
        starts = group.positions + 4
        self.columns.add(group.positions, 4, RegionKind.CONTAINER, self.named(names, "length"))
        if (type.name, item.name) in self.labels.opaque:
            self.columns.skip(starts, sizes)
            columns = zip(starts.tolist(), sizes.tolist(), names.tolist(), strict=True)
            self.contents += [
                Content(type.name, item.name, start, size, PathId(path)) for start, size, path in columns
            ]
            return
        self.sheet.need_many(starts, sizes)
        if item.shape in (Shape.SCALAR, Shape.STRUCT):
            self.columns.add(starts, sizes, kind, names)
            return
        self.columns.add(starts, sizes, RegionKind.CONTAINER, self.named(names, "offsets"))
        self._follow_elements(type, item, kind, group, counts)

    def _counted(self, type: TableType, item: Field, group: Group) -> tuple[Group, Positions]:
        """Return the vectors that end within the buffer, with their counts."""
        counts = self.sheet.gather(group.positions, "<u4")
        inside = group.positions + 4 + counts * item.size <= self.sheet.size
        what = f"the vector {type.name}.{item.name} is longer than what is left of the buffer"
        self.trouble(what, group.positions[~inside], TruncatedError)
        group, counts = group.where(inside), counts[inside]
        if (type.name, item.name) not in self.labels.opaque:
            self.spend(int((counts * item.size).sum()), 0)
        return group, counts

    def _elements(
        self, type: TableType, item: Field, group: Group, counts: Positions
    ) -> tuple[Group, NDArray[np.bool_]]:
        """Return what the offsets of vectors point to, named ``field[index]``, and which of them lead inside
        the buffer.
        """
        indices = spread(counts)
        holders = np.repeat(group.positions + 4, counts) + 4 * indices
        targets = holders + self.sheet.gather(holders, "<u4")
        inside = (targets > holders) & (targets <= self.sheet.size - 4)
        self.outside(f"an offset in the vector {type.name}.{item.name}", holders[~inside], targets[~inside])
        parents = np.repeat(group.paths, counts)
        names = [f"{item.name}[{index}]" for index in indices.tolist()]
        return Group(targets, self.columns.name(parents, names)), inside

    def _follow_elements(
        self, type: TableType, item: Field, kind: RegionKind, group: Group, counts: Positions
    ) -> None:
        elements, inside = self._elements(type, item, group, counts)
        if item.shape is Shape.STRING:
            self._strings(kind, elements.where(inside))
        else:
            self._queue(item.target, elements.where(inside))

    def _union_vectors(self, type: TableType, item: Field, group: Group) -> None:
        """Claim vectors of unions, whose types are in their own vector (`Group.types`, 0 where there is
        none).
        """
        self.spend(4 * len(group.positions), 0)
        group, counts = self._counted(type, item, self.fresh(f"[union {item.target}]", group))
        names = self.named(group.paths, item.name)
        self.sheet.need_many(group.positions + 4, counts * 4)
        self.columns.add(group.positions, 4, RegionKind.CONTAINER, self.named(names, "length"))
        self.columns.add(group.positions + 4, counts * 4, RegionKind.CONTAINER, self.named(names, "offsets"))
        elements, inside = self._elements(type, item, group, counts)
        holders = group.types if group.types is not None else np.zeros_like(group.positions)
        codes = np.repeat(holders + self.sheet.gather(holders, "<u4") + 4, counts) + spread(counts)
        within = (codes < self.sheet.size) & (np.repeat(holders, counts) > 0)
        chosen = np.zeros(len(codes), dtype=np.int64)
        chosen[within] = self.sheet.gather(codes[within], "u1")
        self._union(item, elements.where(inside), chosen[inside])
