"""Read a model's tables into rows: operator codes, subgraphs, tensors, operators, buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import unpack

from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.errors import FormatError, LimitError
from modelinspect.formats.tflite.schema import schema

CUSTOM = 32
"""BuiltinOperator CUSTOM: the operator is known by its name."""


@dataclass(frozen=True, slots=True)
class OperatorCode:
    """What an operator does: a builtin's name or a custom one's."""

    name: str
    version: int
    custom: bool


@dataclass(slots=True)
class TensorRow:
    """A tensor of a subgraph; ``table`` says the rest."""

    index: int
    table: Table
    type: int
    buffer: int
    external: int
    variable: bool

    @property
    def name(self) -> str:
        """The tensor's name, or its index where it has none."""
        return self.table.string("name") or f"tensor {self.index}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.table.numbers("shape")

    @property
    def is_sparse(self) -> bool:
        """Whether the tensor has a readable table of sparsity."""
        try:
            return self.table.table("sparsity") is not None
        except FormatError:  # the walk has reported it
            return False


@dataclass(slots=True)
class Operator:
    """An operator of a subgraph."""

    code: OperatorCode
    table: Table
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(slots=True)
class SubGraph:
    """A subgraph; a tensor that cannot be read is None, so the others keep their indices."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    tensors: list[TensorRow | None]
    operators: list[Operator]


@dataclass(frozen=True, slots=True)
class Buffer:
    """The bytes of a buffer; ``outside`` means that they are after the flatbuffer."""

    offset: int
    size: int
    outside: bool


@dataclass(frozen=True, slots=True)
class ExternalBuffer:
    """A slice of a file beside the model."""

    id: int
    group: str
    offset: int
    length: int
    packing: str


@dataclass(slots=True)
class Model:
    """All rows of a model."""

    table: Table
    version: int
    description: str
    codes: list[OperatorCode] = field(default_factory=list)
    subgraphs: list[SubGraph] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    metadata: list[tuple[str, int]] = field(default_factory=list)
    metadata_buffers: tuple[int, ...] = ()
    external: dict[int, ExternalBuffer] = field(default_factory=dict)

    def buffer(self, index: int) -> Buffer | None:
        """Return a buffer that holds bytes, None for one that does not or is not there."""
        found = self.buffers[index] if 0 <= index < len(self.buffers) else None
        return found if found is not None and found.size else None


Report = Callable[[FormatError], None]


def read_model(root: Table, report: Report) -> Model:
    """Read the rows of a model; what cannot be read is reported and left out."""
    model = Model(root, root.value("version"), _text(root, "description", report))
    model.codes = [_code(table) for table in _each(root, "operator_codes", report) if table is not None]
    model.buffers = list(_buffers(root, report))
    seen: set[int] = set()
    for index, table in enumerate(_each(root, "subgraphs", report)):
        if table is None or table.position in seen:
            report(FormatError(f"subgraph {index} cannot be read", root.reader.member, root.position))
            continue
        seen.add(table.position)
        model.subgraphs.append(_subgraph(index, table, model.codes, report))
    for table in _each(root, "metadata", report):
        if table is not None:
            model.metadata.append((_text(table, "name", report), table.value("buffer")))
    try:
        model.metadata_buffers = root.numbers("metadata_buffer")
    except FormatError as error:
        report(error)
    groups = [
        _text(table, "name", report) if table is not None else ""
        for table in _each(root, "external_buffer_groups", report)
    ]
    for table in _each(root, "external_buffers", report):
        if table is not None:
            place = table.value("group")
            group = groups[place] if place < len(groups) else ""
            offset, length = table.value("offset"), table.value("length")
            model.external[table.value("id")] = ExternalBuffer(
                table.value("id"), group, offset, length, _text(table, "packing", report)
            )
    return model


def _each(table: Table, name: str, report: Report) -> Iterator[Table | None]:
    """Yield the tables of a vector, None for those that cannot be read, and nothing where the vector itself
    cannot.
    """
    try:
        found = table.data(name)
    except FormatError as error:
        report(error)
        return
    if found is None:
        return
    start, count = found
    target = table.type.by_name[name].target
    reader = table.reader
    try:
        reader.spend(4 * count, start)
    except LimitError as error:
        report(error)
        return
    offsets = unpack(f"<{count}I", reader.sheet.bytes_at(start, 4 * count))
    for position, offset in zip(range(start, start + 4 * count, 4), offsets, strict=True):
        try:
            yield reader.table(position + offset, target)
        except FormatError:  # the walk has reported
            yield None


def _text(table: Table, name: str, report: Report) -> str:
    try:
        return table.string(name) or ""
    except FormatError as error:
        report(error)
        return ""


def _numbers(table: Table, name: str) -> tuple[int, ...]:
    try:
        return table.numbers(name)
    except FormatError:  # the walk has reported
        return ()


def _code(table: Table) -> OperatorCode:
    # schema_utils.cc, GetBuiltinCode: the larger one counts, as the old field is a byte and stays at 127 for
    # newer operators.
    code = max(table.value("builtin_code"), table.value("deprecated_builtin_code"))
    version = table.value("version")
    if code == CUSTOM:
        try:
            return OperatorCode(table.string("custom_code") or "(no name)", version, True)
        except FormatError:
            return OperatorCode("(no name)", version, True)
    return OperatorCode(schema("model").enum_name("BuiltinOperator", code), version, False)


def _buffers(root: Table, report: Report) -> Iterator[Buffer]:
    """Yield the buffers; a table that many entries refer to is read once."""
    known: dict[int, Buffer] = {}
    for table in _each(root, "buffers", report):
        found = known.get(table.position) if table is not None else None
        if found is None:
            found = _buffer(table, report)
            if table is not None:
                known[table.position] = found
        yield found


def _buffer(table: Table | None, report: Report) -> Buffer:
    if table is None:
        return Buffer(0, 0, False)
    # schema.fbs: an offset "is only valid if > 1"; 1 and 1 are the exporter's placeholders.
    offset, size = table.value("offset"), table.value("size")
    if offset > 1:
        return Buffer(offset, size, True)
    try:
        found = table.data("data")
    except FormatError as error:
        report(error)
        found = None
    return Buffer(*found, outside=False) if found is not None else Buffer(0, 0, False)


def _subgraph(index: int, table: Table, codes: list[OperatorCode], report: Report) -> SubGraph:
    unknown = OperatorCode("(unknown)", 0, False)
    tensors: list[TensorRow | None] = []
    for row, tensor in enumerate(_each(table, "tensors", report)):
        if tensor is None:
            tensors.append(None)
            continue
        value = tensor.value
        tensors.append(
            TensorRow(
                row, tensor, value("type"), value("buffer"), value("external_buffer"), value("is_variable")
            )
        )
    operators: list[Operator] = []
    for operator in _each(table, "operators", report):
        if operator is not None:
            code = operator.value("opcode_index")
            known = codes[code] if code < len(codes) else unknown
            operators.append(
                Operator(known, operator, _numbers(operator, "inputs"), _numbers(operator, "outputs"))
            )
    name = _text(table, "name", report)
    return SubGraph(index, name, _numbers(table, "inputs"), _numbers(table, "outputs"), tensors, operators)
