"""Compare two TFLite models with the flatbuffers package: every field of every table, whatever its place and
number.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Callable
from typing import Any

from flatbuffers import number_types
from flatbuffers.table import Table as PackageTable

from modelinspect.core.limits import KIB, MIB, Limits
from modelinspect.encodings.flatbuffers.schema import Field, Shape, TableType
from modelinspect.formats.tflite.schema import schema
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.sources.base import Source

_UNREADABLE = (IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError, struct.error)
"""What the flatbuffers package raises where a table leads nowhere; it checks nothing itself."""

_SMALL = 64 * KIB
"""Bytes up to this many are joined and hashed in one call; vectors of more are hashed as they are read, and
are not kept.
"""
_PAGE = 16 * KIB
_WIDEST = 8
"""The bytes of the widest number that the package reads at once."""


def compare_models(
    before: Source, after: Source, *, named: bool, limits: Limits, numbered: bool = False
) -> int:
    """Return how many operators and tensors are equal; numbers of buffers, tensors and codes are followed to
    what they name.

    Without ``named``, names may be gone. With ``numbered``, every tensor and buffer must also have its old
    number, because something that is not followed here (the metadata of tflite-micro's compression) may name
    them by it. Raises `UnprovedError`.
    """

    def described(source: Source) -> dict[str, list[bytes]]:
        model = _Model(source, named=named, limits=limits)  # one at a time: both together take twice as much
        parts = model.describe()
        return {**parts, **model.describe_numbered()} if numbered else parts

    try:
        first, second = described(before), described(after)
    except _UNREADABLE as error:
        raise UnprovedError(
            f"{before.name}: the flatbuffers package cannot read the model: {error}"
        ) from error
    for what in first:
        if first[what] != second[what]:
            raise UnprovedError(f"{before.name}: the {what} of the model differ in the result")
    return sum(len(parts) for parts in first.values())


class _Pages:
    """The bytes of a file in memory, read where they are needed: a model's weights are most of it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.bytes = mmap.mmap(-1, max(source.size, 1))  # takes no memory where nothing is written
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self.bytes.madvise(mmap.MADV_NOHUGEPAGE)
        self._read = bytearray(-(-source.size // _PAGE))

    def need(self, start: int, size: int) -> None:
        """Read the pages of a range; what lies beyond the file is left to who reads it."""
        if start < 0:
            raise IndexError("a place before the beginning of the file")
        for page in range(start // _PAGE, min(-(-(start + size) // _PAGE), len(self._read))):
            if not self._read[page]:
                self._read[page] = 1
                at = page * _PAGE
                data = self._source.read_at(at, min(_PAGE, self._source.size - at))
                self.bytes[at : at + len(data)] = data

    def get(self, start: int, size: int) -> bytes:
        """Return the bytes of a range, fewer at the end of the file."""
        self.need(start, size)
        return bytes(self.bytes[start : start + size])

    def digest(self, start: int, size: int, head: bytes) -> bytes:
        """Return the digest of ``head`` and a range, as `_hash` makes it, without keeping the range."""
        found = hashlib.sha256()
        size = min(size, max(self._source.size - start, 0))
        found.update(len(head).to_bytes(8, "little") + head + size.to_bytes(8, "little"))
        for at in range(start, start + size, MIB):
            found.update(self._source.read_at(at, min(MIB, start + size - at)))
        return found.digest()


class Table(PackageTable):  # type: ignore[misc]  # the package has no types
    """A table of the flatbuffers package whose bytes are read before the package looks at them."""

    def __init__(self, pages: _Pages, place: int) -> None:
        super().__init__(pages.bytes, place)
        self._pages = pages

    def Get(self, flags: Any, off: int) -> Any:  # noqa: N802  # the package's name
        """Return a number at a place; the package's other methods read through this one, but for two."""
        self._pages.need(off, _WIDEST)
        return super().Get(flags, off)

    def Indirect(self, off: int) -> Any:  # noqa: N802
        """Return the place that an offset leads to."""
        self._pages.need(off, _WIDEST)
        return super().Indirect(off)

    def VectorLen(self, off: int) -> Any:  # noqa: N802
        """Return the number of elements of a vector."""
        self._pages.need(self.Vector(off) - 4, _WIDEST)
        return super().VectorLen(off)


class _Model:
    """A model as digests: of its tensors by what they hold, of its operators by what they do to which
    tensors.
    """

    def __init__(self, source: Source, *, named: bool, limits: Limits) -> None:
        limits.allow("comparing a model", source.size, 1 << 31, source.name)
        self._data = _Pages(source)
        self._named = named
        self._schema = schema("model")
        self._known: dict[tuple[str, int], dict[int, bytes]] = {}
        self._layouts: dict[tuple[int, str], list[tuple[Field, int]]] = {}

    def describe(self) -> dict[str, list[bytes]]:
        """Return what must be equal: model, subgraphs in order, operators in order, signatures, metadata."""
        root = Table(self._data, int.from_bytes(self._data.get(0, 4), "little"))
        kind = self._schema.tables["Model"]
        self._buffers = self._vector(root, kind, "buffers")
        self._codes = self._vector(root, kind, "operator_codes")
        graphs = self._vector(root, kind, "subgraphs")
        self._tensors = [self._vector(graph, self._schema.tables["SubGraph"], "tensors") for graph in graphs]
        skipped = {"buffers", "operator_codes", "subgraphs", "metadata", "metadata_buffer", "signature_defs"}
        skipped |= set() if self._named else {"description"}
        found: dict[str, list[bytes]] = {"fields": [self._table(root, kind, skipped, {})]}
        found["subgraphs"] = [self._graph(graph, number) for number, graph in enumerate(graphs)]
        found["operators"] = [
            self._operator(operator, number)
            for number, graph in enumerate(graphs)
            for operator in self._vector(graph, self._schema.tables["SubGraph"], "operators")
        ]
        found["metadata"] = [
            self._table(entry, self._schema.tables["Metadata"], set(), {"buffer": self._buffer})
            for entry in self._vector(root, kind, "metadata")
        ]
        found["signatures"] = [self._signature(entry) for entry in self._vector(root, kind, "signature_defs")]
        return found

    def describe_numbered(self) -> dict[str, list[bytes]]:
        """Return all tensors and buffers by their numbers, used or not. `describe` comes first."""
        tensors = [
            _hash(*map(self._tensor_in(number), range(len(self._tensors[number]))))
            for number in range(len(self._tensors))
        ]
        return {"tensors": tensors, "buffers": [self._buffer(index) for index in range(len(self._buffers))]}

    def _graph(self, graph: Table, number: int) -> bytes:
        skipped = {"tensors", "operators"} | (set() if self._named else {"name"})
        return self._table(
            graph,
            self._schema.tables["SubGraph"],
            skipped,
            dict.fromkeys(("inputs", "outputs"), self._tensor_in(number)),
            number,
        )

    def _operator(self, operator: Table, number: int) -> bytes:
        follow = dict.fromkeys(("inputs", "outputs", "intermediates"), self._tensor_in(number))
        return self._table(
            operator, self._schema.tables["Operator"], set(), {**follow, "opcode_index": self._code}, number
        )

    def _signature(self, entry: Table) -> bytes:
        kind = self._schema.tables["SignatureDef"]
        number = int(self._number(entry, kind.by_name["subgraph_index"]))
        parts = [self._table(entry, kind, {"inputs", "outputs"}, {})]
        for key in ("inputs", "outputs"):
            for one in self._vector(entry, kind, key):
                parts.append(
                    self._table(
                        one,
                        self._schema.tables["TensorMap"],
                        set(),
                        {"tensor_index": self._tensor_in(number)},
                        number,
                    )
                )
        return _hash(*parts)

    def _tensor_in(self, number: int) -> Callable[[int], bytes]:
        tensors = self._tensors[number] if number < len(self._tensors) else []

        def follow(index: int) -> bytes:
            if index == -1:
                return b"none"
            skipped = set() if self._named else {"name"}
            return self._table(
                tensors[index], self._schema.tables["Tensor"], skipped, {"buffer": self._buffer}
            )

        return follow

    def _buffer(self, index: int) -> bytes:
        return self._table(self._buffers[index], self._schema.tables["Buffer"], set(), {})

    def _code(self, index: int) -> bytes:
        return self._table(self._codes[index], self._schema.tables["OperatorCode"], set(), {})

    def _table(
        self,
        table: Table,
        kind: TableType,
        skipped: set[str],
        follow: dict[str, Callable[[int], bytes]],
        scope: int = -1,
    ) -> bytes:
        """Return the digest of a table: fields by name, defaults left out, numbers in ``follow`` replaced by
        what they name.

        ``scope`` is the subgraph whose tensors are followed: subgraphs may share a table of equal numbers.
        """
        known = self._known.setdefault((kind.name, scope), {})
        if table.Pos in known:
            return known[table.Pos]
        parts: list[bytes] = [kind.name.encode()]
        for one, place in self._places(table, kind):
            if one.name in skipped or (not place and one.name not in follow):
                continue
            value = self._value(table, one, kind, table.Pos + place, follow.get(one.name)) if place else b""
            if not place and one.inline:
                value = follow[one.name](one.default)
            if value:
                parts += [one.name.encode(), value]
        digest = known[table.Pos] = _hash(*parts)
        return digest

    def _places(self, table: Table, kind: TableType) -> list[tuple[Field, int]]:
        """Return the place of each field in a table, 0 where it is not there: the vtable decides, and tables
        share vtables.
        """
        key = table.Pos - table.Get(number_types.SOffsetTFlags, table.Pos), kind.name
        found = self._layouts.get(key)
        if found is None:
            found = self._layouts[key] = [(one, table.Offset(4 + 2 * one.slot)) for one in kind.fields]
        return found

    def _value(
        self, table: Table, one: Field, kind: TableType, at: int, follow: Callable[[int], bytes] | None
    ) -> bytes:
        if one.inline:
            data = self._data.get(at, one.size)
            if follow is not None and one.scalar is not None:
                return follow(int(one.scalar.unpack(data)[0]))
            return b"" if one.scalar is not None and data == one.scalar.pack(one.default) else data
        target = at + table.Get(number_types.UOffsetTFlags, at)
        if one.shape is Shape.UNION:
            member = self._schema.unions[one.target][
                int(self._number(table, kind.by_name[f"{one.name}_type"]))
            ]
            return self._table(Table(self._data, target), self._schema.tables[member], set(), {})
        if not one.vector:
            return self._node(target, one)
        count = table.Get(number_types.UOffsetTFlags, target)
        if one.shape in (Shape.SCALAR, Shape.STRUCT):
            size = count * one.size
            if follow is None and size >= _SMALL:
                return self._data.digest(target + 4, size, count.to_bytes(4, "little"))
            raw = self._data.get(target + 4, size)
            if follow is None:
                return _hash(count.to_bytes(4, "little"), raw)
            return _hash(
                *(
                    follow(int.from_bytes(raw[place : place + 4], "little", signed=True))
                    for place in range(0, len(raw), 4)
                )
            )
        places = range(target + 4, target + 4 + 4 * count, 4)
        return _hash(
            *(self._node(place + table.Get(number_types.UOffsetTFlags, place), one) for place in places)
        )

    def _node(self, at: int, one: Field) -> bytes:
        if one.shape is Shape.TABLE:
            return self._table(Table(self._data, at), self._schema.tables[one.target], set(), {})
        size = int.from_bytes(self._data.get(at, 4), "little")
        return b"text:" + self._data.get(at + 4, size)

    def _vector(self, table: Table, kind: TableType, name: str) -> list[Table]:
        place = table.Offset(4 + 2 * kind.by_name[name].slot)
        if not place:
            return []
        start = table.Vector(place)
        return [
            Table(self._data, table.Indirect(start + 4 * number)) for number in range(table.VectorLen(place))
        ]

    def _number(self, table: Table, one: Field) -> Any:
        place = table.Offset(4 + 2 * one.slot)
        if not place or one.scalar is None:
            return one.default
        return one.scalar.unpack(self._data.get(table.Pos + place, one.size))[0]


def _hash(*parts: bytes | memoryview) -> bytes:
    if sum(map(len, parts)) < _SMALL:
        return hashlib.sha256(
            b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "little"), part)])
        ).digest()
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()
