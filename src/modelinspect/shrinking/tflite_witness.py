"""Compare two TFLite models with the flatbuffers package: every field of every table, whatever its place and
number.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Callable, Mapping, Set
from typing import Any

from flatbuffers import packer
from flatbuffers.table import Table as PackageTable

from modelinspect.core.limits import KIB, MIB, Limits
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Field, Shape, TableType
from modelinspect.errors import InvariantError
from modelinspect.formats.tflite.schema import schema
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.sources.base import Source

_UNREADABLE = (IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError, struct.error)
"""What the flatbuffers package raises where a table leads nowhere; it checks nothing itself."""

_SMALL = 64 * KIB
"""Bytes up to this many are joined and hashed in one call; vectors of more are hashed as they are read, and
are not kept.
"""
_LENGTH = struct.Struct("<Q").pack
_LENGTHS = [_LENGTH(length) for length in range(256)]
"""The lengths of most parts."""
_PAGE = 16 * KIB
_AT_ONCE = 32 * MIB
"""Files up to here are read whole."""
_U32, _I32 = packer.uoffset.unpack_from, packer.soffset.unpack_from
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
        try:
            parts = model.describe()
            return {**parts, **model.describe_numbered()} if numbered else parts
        finally:
            model.forget()

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
        self._is_whole = source.size <= _AT_ONCE
        if self._is_whole:
            self.bytes[: source.size] = source.read_at(0, source.size)

    def need(self, start: int, size: int) -> None:
        """Read the pages of a range; what lies beyond the file is left to who reads it."""
        if start < 0:
            raise IndexError("a place before the beginning of the file")
        if self._is_whole:
            return
        first, last = start // _PAGE, (start + size - 1) // _PAGE
        if first == last < len(self._read) and self._read[first]:
            return
        for page in range(first, min(last + 1, len(self._read))):
            if not self._read[page]:
                self._read[page] = 1
                at = page * _PAGE
                data = self._source.read_at(at, min(_PAGE, self._source.size - at))
                self.bytes[at : at + len(data)] = data

    def offset(self, at: int) -> int:
        """Return the place that an offset leads to."""
        if not self._is_whole:
            self.need(at, 4)
        place: int = at + _U32(self.bytes, at)[0]
        return place

    def count(self, at: int) -> int:
        """Return the length of a vector."""
        if not self._is_whole:
            self.need(at, 4)
        length: int = _U32(self.bytes, at)[0]
        return length

    def vtable(self, at: int) -> int:
        """Return the place of a table's vtable."""
        if not self._is_whole:
            self.need(at, 4)
        place: int = at - _I32(self.bytes, at)[0]
        return place

    def get(self, start: int, size: int) -> bytes:
        """Return the bytes of a range, fewer at the end of the file."""
        if not self._is_whole or start < 0:
            self.need(start, size)
        return self.bytes[start : start + size]

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


Follow = Callable[[int], bytes]
"""Gives the digest of what a number names."""


@dataclass(slots=True, eq=False)
class _View:
    """How tables of one type are described: without the fields ``skipped``, numbers in ``follow`` replaced by
    what they name.

    ``known`` has the digests by the places of the tables, ``layouts`` the fields by the place of the vtable:
    each with its name as it is hashed, its place in the table, and its default. ``members`` has the place of
    the number that says what a union holds. ``head`` begins what is hashed.
    """

    type: TableType
    skipped: Set[str] = frozenset()
    follow: Mapping[str, Follow] = field(default_factory=dict)
    known: dict[int, bytes] = field(default_factory=dict)
    members: dict[tuple[int, str], tuple[int, Field]] = field(default_factory=dict)
    layouts: dict[int, list[tuple[Field, bytes, int, Follow | None, bytes | None]]] = field(
        default_factory=dict
    )
    head: bytes = b""

    def __post_init__(self) -> None:
        self.head = _framed(self.type.name.encode())


class _Model:
    """A model as digests: of its tensors by what they hold, of its operators by what they do to which
    tensors.
    """

    def __init__(self, source: Source, *, named: bool, limits: Limits) -> None:
        limits.allow("comparing a model", source.size, 1 << 31, source.name)
        self._data = _Pages(source)
        self._named = named
        self._schema = schema("model")
        self._views: dict[str, _View] = {}
        self._tensor_view: _View | None = None
        self._digests: dict[bytes, bytes] = {}

    def forget(self) -> None:
        """Let go of what leads back here, which would otherwise stay until the collector runs."""
        self._tensor_view = None
        self._views.clear()

    def describe(self) -> dict[str, list[bytes]]:
        """Return what must be equal: model, subgraphs in order, operators in order, signatures, metadata."""
        tables = self._schema.tables
        root = int.from_bytes(self._data.get(0, 4), "little")
        kind, graph_kind = tables["Model"], tables["SubGraph"]
        self._buffers = self._vector(root, kind, "buffers")
        self._codes = self._vector(root, kind, "operator_codes")
        graphs = self._vector(root, kind, "subgraphs")
        self._tensors = [self._vector(graph, graph_kind, "tensors") for graph in graphs]
        unnamed: set[str] = set() if self._named else {"name"}
        self._tensor_view = _View(tables["Tensor"], unnamed, {"buffer": self._buffer})
        skipped = {"buffers", "operator_codes", "subgraphs", "metadata", "metadata_buffer", "signature_defs"}
        skipped |= set() if self._named else {"description"}
        found: dict[str, list[bytes]] = {"fields": [self._table(root, _View(kind, skipped))]}
        found["subgraphs"] = []
        found["operators"] = []
        for number, graph in enumerate(graphs):
            tensor = self._tensor_in(number)
            ends = dict.fromkeys(("inputs", "outputs"), tensor)
            view = _View(graph_kind, {"tensors", "operators"} | unnamed, ends)
            found["subgraphs"].append(self._table(graph, view))
            view = _View(
                tables["Operator"],
                frozenset(),
                {**ends, "intermediates": tensor, "opcode_index": self._code},
            )
            operators = self._vector(graph, graph_kind, "operators")
            found["operators"] += [self._table(operator, view) for operator in operators]
        view = _View(tables["Metadata"], frozenset(), {"buffer": self._buffer})
        found["metadata"] = [self._table(entry, view) for entry in self._vector(root, kind, "metadata")]
        found["signatures"] = [self._signature(entry) for entry in self._vector(root, kind, "signature_defs")]
        return found

    def describe_numbered(self) -> dict[str, list[bytes]]:
        """Return all tensors and buffers by their numbers, used or not. `describe` comes first."""
        tensors = [
            _hash(*map(self._tensor_in(number), range(len(self._tensors[number]))))
            for number in range(len(self._tensors))
        ]
        return {"tensors": tensors, "buffers": [self._buffer(index) for index in range(len(self._buffers))]}

    def _signature(self, entry: int) -> bytes:
        kind = self._schema.tables["SignatureDef"]
        number = int(self._number(entry, kind.by_name["subgraph_index"]))
        parts = [self._table(entry, _View(kind, {"inputs", "outputs"}))]
        view = _View(
            self._schema.tables["TensorMap"], frozenset(), {"tensor_index": self._tensor_in(number)}
        )  # one for each signature: subgraphs may share a table of equal numbers
        for key in ("inputs", "outputs"):
            parts += [self._table(one, view) for one in self._vector(entry, kind, key)]
        return _hash(*parts)

    def _tensor_in(self, number: int) -> Follow:
        tensors = self._tensors[number] if number < len(self._tensors) else []
        view = self._tensor_view
        if view is None:
            raise InvariantError("tensors are described before the model is")

        def follow(index: int) -> bytes:
            return b"none" if index == -1 else self._table(tensors[index], view)

        return follow

    def _buffer(self, index: int) -> bytes:
        return self._plain(self._buffers[index], "Buffer")

    def _code(self, index: int) -> bytes:
        return self._plain(self._codes[index], "OperatorCode")

    def _plain(self, at: int, name: str) -> bytes:
        """Return the digest of a table of which nothing is skipped or followed."""
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = _View(self._schema.tables[name])
        return self._table(at, view)

    def _table(self, at: int, view: _View) -> bytes:
        """Return the digest of a table: fields by name, defaults left out."""
        known = view.known.get(at)
        if known is not None:
            return known
        vtable = self._data.vtable(at)
        layout = view.layouts.get(vtable)
        if layout is None:
            layout = view.layouts[vtable] = self._layout(at, vtable, view)
        parts = [view.head]
        for one, name, place, follow, default in layout:
            if not place:
                value = follow(one.default) if follow is not None and one.inline else b""
            elif one.inline:
                data = self._data.get(at + place, one.size)
                if follow is not None and one.scalar is not None:
                    value = follow(int(one.scalar.unpack(data)[0]))
                else:
                    value = b"" if data == default else data
            else:
                value = self._value(at, one, at + place, follow, view.members.get((vtable, one.name)))
            if value:
                parts += (name, _length(len(value)), value)
        digest = hashlib.sha256(b"".join(parts)).digest()
        if not view.follow:  # most settings of operators are equal
            digest = self._digests.setdefault(digest, digest)
        view.known[at] = digest
        return digest

    def _layout(
        self, at: int, vtable: int, view: _View
    ) -> list[tuple[Field, bytes, int, Follow | None, bytes | None]]:
        """Return the fields of the tables of a vtable: the package reads where they are."""
        table = Table(self._data, at)
        found: list[tuple[Field, bytes, int, Follow | None, bytes | None]] = []
        for one in view.type.fields:
            place, follow = table.Offset(4 + 2 * one.slot), view.follow.get(one.name)
            if one.name in view.skipped or (not place and follow is None):
                continue
            default = one.scalar.pack(one.default) if one.inline and one.scalar is not None else None
            if one.shape is Shape.UNION:
                number = view.type.by_name[f"{one.name}_type"]
                view.members[vtable, one.name] = table.Offset(4 + 2 * number.slot), number
            found.append((one, _framed(one.name.encode()), place, follow, default))
        return found

    def _value(
        self, table: int, one: Field, at: int, follow: Follow | None, member: tuple[int, Field] | None
    ) -> bytes:
        """Return what describes the target of an offset."""
        target = self._data.offset(at)
        if one.shape is Shape.UNION:
            place, number = member or (0, one)
            held = self._data.get(table + place, number.size) if place else None
            kind = number.default if held is None or number.scalar is None else number.scalar.unpack(held)[0]
            return self._plain(target, self._schema.unions[one.target][int(kind)])
        if not one.vector:
            return self._node(target, one)
        count = self._data.count(target)
        if one.shape in (Shape.SCALAR, Shape.STRUCT):
            size = count * one.size
            if follow is None and size >= _SMALL:
                return self._data.digest(target + 4, size, count.to_bytes(4, "little"))
            raw = self._data.get(target + 4, size)
            if follow is None:
                return _hash(count.to_bytes(4, "little"), raw)
            return _hash(*[follow(number) for (number,) in struct.iter_unpack("<i", raw)])
        places = range(target + 4, target + 4 + 4 * count, 4)
        return _hash(*[self._node(self._data.offset(place), one) for place in places])

    def _node(self, at: int, one: Field) -> bytes:
        if one.shape is Shape.TABLE:
            return self._plain(at, one.target)
        return b"text:" + self._data.get(at + 4, self._data.count(at))

    def _vector(self, table: int, kind: TableType, name: str) -> list[int]:
        """Return the places of the tables of a vector."""
        package = Table(self._data, table)
        place = package.Offset(4 + 2 * kind.by_name[name].slot)
        if not place:
            return []
        start = package.Vector(place)
        return [self._data.offset(start + 4 * number) for number in range(package.VectorLen(place))]

    def _number(self, table: int, one: Field) -> Any:
        place = Table(self._data, table).Offset(4 + 2 * one.slot)
        if not place or one.scalar is None:
            return one.default
        return one.scalar.unpack(self._data.get(table + place, one.size))[0]


def _hash(*parts: bytes) -> bytes:
    if sum(map(len, parts)) < _SMALL:
        return hashlib.sha256(
            b"".join([piece for part in parts for piece in (_length(len(part)), part)])
        ).digest()
    found = hashlib.sha256()
    for part in parts:
        found.update(_LENGTH(len(part)))
        found.update(part)
    return found.digest()


def _framed(part: bytes) -> bytes:
    """Return a part as `_hash` takes it in."""
    return _length(len(part)) + part


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < len(_LENGTHS) else _LENGTH(size)
