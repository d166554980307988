"""Read values out of tables, by the names of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error, unpack_from
from typing import Any

from modelinspect.encodings.flatbuffers.schema import Schema, Shape, TableType
from modelinspect.encodings.flatbuffers.sheet import Sheet
from modelinspect.errors import FormatError, LimitError

_U32 = Struct("<I")
_I32 = Struct("<i")
_U16 = Struct("<H")
_LARGEST = 8
"""Bytes of the largest number in a table; structs are not read here."""
_LETTERS = {"bool": "?", "byte": "b", "ubyte": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I"} | {
    "long": "q",
    "ulong": "Q",
    "float": "f",
    "double": "d",
}


class Reader:
    """What the tables of one flatbuffer share: its bytes, its schema, and the vtables read so far.

    Tables may share what they point to; ``left`` is how many bytes may still be read of vectors and strings,
    so a small file that shares a long vector a thousandfold does not take a thousand times as long. Where the
    flatbuffer was not ``walked``, its tables are not on the sheet, and each is read when it is reached.
    """

    __slots__ = ("left", "member", "schema", "sheet", "vtables", "walked")

    def __init__(self, sheet: Sheet, schema: Schema, member: str = "", *, walked: bool = True) -> None:
        self.walked = walked
        self.sheet = sheet
        self.schema = schema
        self.member = member
        self.left = 16 * sheet.size + (4 << 20)
        self.vtables: dict[int, tuple[int, ...]] = {}

    def spend(self, size: int, position: int) -> None:
        """Count bytes that are read. Raises `LimitError` where structures are shared too often."""
        self.left -= size
        if self.left < 0:
            raise LimitError("its structures share so much that they are not all read", self.member, position)

    def slots(self, position: int) -> tuple[int, ...]:
        """Return the places of a table's fields, by slot; 0 where a field is not there.

        Raises `FormatError`.
        """
        if not self.walked:
            self.sheet.need(position, 4)
        try:
            vtable = position - _I32.unpack_from(self.sheet.buffer, position)[0]
            known = self.vtables.get(vtable)
            if known is None:
                if vtable < 0:
                    raise FormatError("a table's vtable is before the buffer", self.member, position)
                self.sheet.need(vtable, 4)
                size = _U16.unpack_from(self.sheet.buffer, vtable)[0] & ~1
                self.sheet.need(vtable, size)
                known = unpack_from(f"<{max(size - 4, 0) // 2}H", self.sheet.buffer, vtable + 4)
                self.vtables[vtable] = known
        except error as problem:
            raise FormatError("a table is beyond the end", self.member, position) from problem
        if not self.walked:
            self.sheet.need(position, min(max(known, default=0) + _LARGEST, self.sheet.size - position))
        return known

    def table(self, position: int, name: str) -> Table:
        """Return the table of that type at a position. Raises `FormatError`."""
        self.sheet.need(position, 4)
        return Table(self, position, self.schema.tables[name])


class Table:
    """A table; its fields are read when asked for.

    Every method raises `FormatError` where the bytes lead outside the buffer.
    """

    __slots__ = ("position", "reader", "slots", "type")

    def __init__(self, reader: Reader, position: int, type: TableType) -> None:
        self.reader = reader
        self.position = position
        self.type = type
        self.slots = reader.slots(position)

    def has(self, name: str) -> bool:
        """Return whether the field is there."""
        return self._place(name) != 0

    def _place(self, name: str) -> int:
        slot = self.type.by_name[name].slot
        place = self.slots[slot] if slot < len(self.slots) else 0
        return self.position + place if place else 0

    def _target(self, place: int) -> int:
        try:
            target: int = place + _U32.unpack_from(self.reader.sheet.buffer, place)[0]
        except error as problem:
            raise FormatError("an offset is beyond the end", self.reader.member, place) from problem
        return target

    def value(self, name: str) -> Any:
        """Return a number, its default where the field is not there."""
        field = self.type.by_name[name]
        slot = field.slot
        place = self.slots[slot] if slot < len(self.slots) else 0
        if not place or field.scalar is None:
            return field.default
        try:
            return field.scalar.unpack_from(self.reader.sheet.buffer, self.position + place)[0]
        except error as problem:
            raise FormatError(
                f"the field {name} is beyond the end", self.reader.member, self.position
            ) from problem

    def data(self, name: str) -> tuple[int, int] | None:
        """Return where a vector's elements are and how many they are."""
        place = self._place(name)
        if not place:
            return None
        position = self._target(place)
        self.reader.sheet.need(position, 4)
        count: int = _U32.unpack_from(self.reader.sheet.buffer, position)[0]
        size = count * self.type.by_name[name].size
        if position + 4 + size > self.reader.sheet.size:
            left = self.reader.sheet.size - position - 4
            problem = f"the vector {self.type.name}.{name} needs {size:,} bytes but {left:,} are left"
            raise FormatError(problem, self.reader.member, position)
        return position + 4, count

    def numbers(self, name: str) -> tuple[Any, ...]:
        """Return a vector of numbers, empty where it is not there."""
        found = self.data(name)
        if found is None:
            return ()
        start, count = found
        size = count * self.type.by_name[name].size
        self.reader.spend(size, start)
        self.reader.sheet.need(start, size)
        return unpack_from(
            f"<{count}{_LETTERS[self.type.by_name[name].target]}", self.reader.sheet.buffer, start
        )

    def string(self, name: str) -> str | None:
        """Return a string, None where it is not there; bytes that are not UTF-8 show as U+FFFD."""
        place = self._place(name)
        return self._string(self._target(place)) if place else None

    def _string(self, position: int) -> str:
        sheet = self.reader.sheet
        sheet.need(position, 4)
        size = _U32.unpack_from(sheet.buffer, position)[0]
        self.reader.spend(size, position)
        return sheet.bytes_at(position + 4, size).decode("utf-8", "replace")

    def table(self, name: str) -> Table | None:
        """Return a table that the field points to; of a union, the one that its type field names, None for a
        type not known.
        """
        place = self._place(name)
        if not place:
            return None
        field = self.type.by_name[name]
        target = field.target
        if field.shape is Shape.UNION:
            members = self.reader.schema.unions[target]
            chosen = self.value(name + "_type")
            if not 0 < chosen < len(members):
                return None
            target = members[chosen]
            if target in self.reader.schema.structs:
                return None
        return self.reader.table(self._target(place), target)

    def place(self, name: str) -> int | None:
        """Return the position that an offset leads to, None where the field is not there."""
        place = self._place(name)
        return self._target(place) if place else None

    def tables(self, name: str) -> Iterator[Table]:
        """Yield the tables of a vector."""
        found = self.data(name)
        if found is None:
            return
        start, count = found
        reader, target = self.reader, self.reader.schema.tables[self.type.by_name[name].target]
        reader.spend(count * 4, start)
        reader.sheet.need(start, count * 4)
        offsets = unpack_from(f"<{count}I", reader.sheet.buffer, start)
        for index, offset in enumerate(offsets):
            yield Table(reader, start + 4 * index + offset, target)

    def strings(self, name: str) -> list[str]:
        """Return the strings of a vector."""
        found = self.data(name)
        if found is None:
            return []
        start, count = found
        self.reader.spend(count * 4, start)
        self.reader.sheet.need(start, count * 4)
        offsets = unpack_from(f"<{count}I", self.reader.sheet.buffer, start)
        return [self._string(start + 4 * index + offset) for index, offset in enumerate(offsets)]
