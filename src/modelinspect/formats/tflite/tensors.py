"""Turn tensors that have bytes in the artifact into facts, and claims those bytes."""

from __future__ import annotations

from collections import Counter

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    DType,
    ElementKind,
    Payload,
    Quantization,
    Role,
    Storage,
    Tensor,
    dense_size,
)
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.compiled import ETHOS_U, ethos_buffers, ethos_product
from modelinspect.formats.tflite.external import ExternalFiles
from modelinspect.formats.tflite.lookup import Decoders, Lookup, find_lookups, lookup_payload
from modelinspect.formats.tflite.metadata import Lookups
from modelinspect.formats.tflite.model import Model, SubGraph, TensorRow
from modelinspect.formats.tflite.roles import Layers, named_role, read_by_arithmetic, weight_tensors
from modelinspect.formats.tflite.schema import dtype_of
from modelinspect.formats.tflite.sparsity import Sparsity, read_sparsity

LARGEST_SHAPE = 1 << 62


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the bytes of a tensor are: in the model's file, or in one beside it."""

    site: Site
    offset: int
    size: int
    path: PathId
    packing: str = ""


@dataclass(slots=True)
class Users:
    """The tensors that share the same bytes."""

    rows: list[tuple[SubGraph, TensorRow]] = field(default_factory=list)
    buffer: int = 0


@dataclass(slots=True)
class TensorBuilder:
    """Adds the stored tensors of a model; ``used`` are the buffers that some tensor uses."""

    site: Site
    model: Model
    paths: dict[int, PathId]
    lookups: Lookups
    external: ExternalFiles
    used: set[int] = field(default_factory=set)
    shared: int = 0
    """Runs of bytes that several tensors use."""
    sparse: list[Fact] = field(default_factory=list)
    schemes: Counter[str] = field(default_factory=Counter)
    names: dict[tuple[int, int], str] = field(default_factory=dict)
    """The names of stored tensors by subgraph and index."""
    compressed: dict[str, Fact] = field(default_factory=dict)
    """Tensors stored as indices into tables: bits of an index, bytes of the tables."""
    decoders: Decoders | None = None
    _compiled: set[int] = field(default_factory=set)
    _taken: set[str] = field(default_factory=set)
    _weights: list[set[int]] = field(default_factory=list)
    _parameters: list[set[int]] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)
    _arithmetic: list[set[int]] = field(default_factory=list)
    _layers: Layers | None = None

    def run(self) -> None:
        """Add every tensor that has bytes, in the order of subgraphs and tensors."""
        self._weights = weight_tensors(self.model)
        self._parameters = [set() for _ in self.model.subgraphs]
        self._arithmetic = [read_by_arithmetic(graph) for graph in self.model.subgraphs]
        self._layers = Layers(self.model)
        self._places = {graph.index: place for place, graph in enumerate(self.model.subgraphs)}
        self.decoders = find_lookups(self.site, self.model, self.lookups.tables)
        self._compiled = ethos_buffers(self.model)
        for graph_index, index in self.decoders.ancillary:
            self._parameters[self._places[graph_index]].add(index)
        groups: dict[tuple[str, int, int], Users] = {}
        for graph in self.model.subgraphs:
            for row in graph.tensors:
                key = self._key(row) if row is not None else None
                if row is not None and key is not None:
                    users = groups.setdefault(key, Users())
                    users.rows.append((graph, row))
                    users.buffer = row.buffer
                elif row is not None:
                    self._note_empty(graph, row)
        schemes = {id(users): self._scheme(*users.rows[0]) for users in groups.values()}
        for users in groups.values():
            self._add(users, schemes[id(users)])

    def _key(self, row: TensorRow) -> tuple[str, int, int] | None:
        """Return what the tensors that share bytes have in common; None where a tensor has no bytes."""
        if row.external:
            return ("external", row.external, 0)
        self.used.add(row.buffer)
        buffer = self.model.buffer(row.buffer)
        return (
            None
            if buffer is None
            else ("outside" if buffer.outside else "buffer", buffer.offset, buffer.size)
        )

    def _note_empty(self, graph: SubGraph, row: TensorRow) -> None:
        """Report a sparse tensor that keeps no value at all: nothing of it is in the file but its index."""
        try:
            sparsity = self._sparsity(row)
            shape = tuple(max(length, 0) for length in row.shape) if sparsity is not None else ()
        except FormatError as error:
            self.site.survive(error)
            return
        dtype = dtype_of(row.type)
        if sparsity is not None and dense_size(dtype, shape) <= LARGEST_SHAPE:
            self.sparse.append(
                sparsity.facts(self._name(graph, row), dtype, shape, 0, dense_size(dtype, shape))
            )

    def _scheme(self, graph: SubGraph, row: TensorRow) -> _Scheme | None:
        try:
            scheme = _read_quantization(row)
        except FormatError as error:
            self.site.survive(error)
            return None
        if scheme is not None:
            self.schemes[scheme.form] += 1
            self._parameters[self._place(graph)].update((scheme.scales, scheme.zero_points))
        return scheme

    def _place(self, graph: SubGraph) -> int:
        return self._places[graph.index]

    def _stored(self, row: TensorRow) -> Stored | None:
        if row.external:
            return self._stored_beside(row)
        buffer = self.model.buffers[row.buffer]
        if buffer.outside:
            if buffer.offset + buffer.size > self.site.source.size:
                left = max(self.site.source.size - buffer.offset, 0)
                problem = (
                    f"buffer {row.buffer} needs {buffer.size:,} bytes at byte {buffer.offset:,} but {left:,}"
                    " are left"
                )
                self.site.diagnose(problem, min(buffer.offset, self.site.source.size))
                return None
            path = self.site.claims.path(f"buffers[{row.buffer}]", "data outside the flatbuffer")
        else:
            path = self.paths.get(buffer.offset, self.site.claims.root)
        return Stored(self.site, buffer.offset, buffer.size, path)

    def _stored_beside(self, row: TensorRow) -> Stored | None:
        found = self.external.find(row.external)
        if found is None:
            return None
        site, entry = found
        path = site.claims.path(f"external_buffers[{entry.id:#x}]")
        return Stored(site, entry.offset, entry.length, path, entry.packing)

    def _add(self, users: Users, scheme: _Scheme | None) -> None:
        graph, row = users.rows[0]
        self.shared += len(users.rows) > 1
        stored = self._stored(row)
        if stored is None:
            return
        if not row.external and row.buffer in self._compiled:
            self._claim_program(stored)
            return
        lookup = self.decoders.lookups.get((graph.index, row.index)) if self.decoders is not None else None
        described = lookup.output if lookup is not None and lookup.output is not None else row
        if described is not row:
            scheme = self._scheme(graph, described)
        dtype = dtype_of(described.type)
        try:
            shape = tuple(max(length, 0) for length in described.shape)
            sparsity = self._sparsity(row)
        except FormatError as error:
            self.site.survive(error)
            shape, sparsity = (), None
        name = self._name(graph, row)
        logical = dense_size(dtype, shape) if dtype.bits else stored.size
        if logical > LARGEST_SHAPE:
            self.site.diagnose(f"tensor {name} has the shape {shape}", row.table.position)
            shape, logical = (), stored.size
        storage = (
            Storage.SPARSE
            if sparsity is not None
            else Storage.COMPRESSED
            if lookup is not None
            else Storage.DENSE
        )
        affine: Quantization | None = scheme.affine if scheme is not None else None
        payload, note = self._payload(stored, dtype, logical, sparsity, lookup, shape, affine)
        if scheme is not None and scheme.affine is None and scheme.zero_points >= 0:
            payload, note = None, f"its zero points are in tensor {scheme.zero_points} and are not applied"
        tensor = Tensor(
            name,
            dtype,
            shape,
            self._role(users),
            storage,
            (
                stored.site.extent(
                    stored.offset, stored.size, "sparse-values" if sparsity is not None else "raw"
                ),
            ),
            logical,
            self._layers.of(graph, row.index, name) if self._layers is not None else None,
            payload,
            note,
            affine,
            tuple(dict.fromkeys(other for pair in users.rows[1:] if (other := self._name(*pair)) != name)),
        )
        identity = self.site.parsing.add_tensor(tensor)
        self._claim(stored, identity)
        if sparsity is not None:
            self.sparse.append(sparsity.facts(name, dtype, shape, stored.size, logical))
        if lookup is not None:
            self._claim_lookup(lookup, identity)

    def _claim(self, stored: Stored, identity: TensorId) -> None:
        stored.site.claims.claim(stored.offset, stored.size, RegionKind.TENSOR_DATA, stored.path, identity)

    def _claim_program(self, stored: Stored) -> None:
        """Claim a buffer that Vela's operator reads as its program: what it holds is not a tensor."""
        stored.site.claims.claim(stored.offset, stored.size, RegionKind.COMPILED, stored.path)
        self.lookups.programs.add(ETHOS_U, stored.size)
        self.lookups.programs.ethos = self.lookups.programs.ethos or ethos_product(
            stored.site, stored.offset, stored.size
        )

    def _claim_lookup(self, lookup: Lookup, identity: TensorId) -> None:
        """Claim the table of values of a compressed tensor, unless a tensor has it for its own, and note both
        sizes.
        """
        index = lookup.buffer
        values = self.model.buffer(index)
        tensor = self.site.parsing.tensor(identity)
        self.compressed[tensor.name] = {
            "index_bits": lookup.bits,
            "table_bytes": values.size if values is not None else 0,
        }
        if values is not None and not values.outside and index not in self.used:
            self.used.add(index)
            path = self.site.claims.paths.child(
                self.paths.get(values.offset, self.site.claims.root), "lookup table"
            )
            self.site.claims.claim(values.offset, values.size, RegionKind.QUANTIZATION, path, identity)
            extents = (*tensor.extents, self.site.extent(values.offset, values.size, "lookup-table"))
            self.site.parsing.replace_tensor(identity, replace(tensor, extents=extents))

    def _sparsity(self, row: TensorRow) -> Sparsity | None:
        table = row.table.table("sparsity")
        return read_sparsity(table) if table is not None else None

    def _payload(
        self,
        stored: Stored,
        dtype: DType,
        logical: int,
        sparsity: Sparsity | None,
        lookup: Lookup | None,
        shape: tuple[int, ...],
        affine: Quantization | None,
    ) -> tuple[Payload | None, str]:
        if stored.packing:
            return None, f"its elements are packed as {stored.packing}"
        span = Span(stored.offset, stored.size)
        if lookup is not None:
            if stored.site is not self.site:
                return None, "its lookup table is in another file"
            return lookup_payload(self.site, self.model, lookup, span, dtype, shape, affine)
        if sparsity is not None:
            return sparsity.payload(stored.site.stream, span), ""
        if dtype.kind in (ElementKind.STRING, ElementKind.OPAQUE):
            return None, f"{dtype} elements are not numbers"
        if stored.size < logical:
            problem = f"a tensor of {logical:,} bytes has {stored.size:,} stored"
            stored.site.diagnose(problem, stored.offset, Severity.NOTE)
            return None, problem
        return stored.site.raw((span,)), ""

    def _role(self, users: Users) -> Role:
        roles = set()
        for graph, row in users.rows:
            place = self._place(graph)
            lookup = (
                self.decoders.lookups.get((graph.index, row.index)) if self.decoders is not None else None
            )
            used = lookup.output.index if lookup is not None and lookup.output is not None else row.index
            if row.index in self._parameters[place]:
                roles.add(Role.QUANTIZATION)
            elif used in self._weights[place]:
                roles.add(Role.WEIGHT)
            elif used in self._arithmetic[place] and (role := named_role(graph, used)) is not None:
                roles.add(role)
        return next(
            (role for role in (Role.WEIGHT, Role.STATISTIC, Role.QUANTIZATION) if role in roles),
            Role.CONSTANT,
        )

    def _name(self, graph: SubGraph, row: TensorRow) -> str:
        known = self.names.get((graph.index, row.index))
        if known is None:
            try:
                known = row.name
            except FormatError as error:
                self.site.survive(error)
                known = f"tensor {row.index}"
            if known in self._taken:
                known = f"{known} (tensor {row.index} of {graph.name or f'subgraph {graph.index}'})"
            self._taken.add(known)
            self.names[graph.index, row.index] = known
        return known


@dataclass(frozen=True, slots=True)
class _Scheme:
    """A tensor's quantization.

    ``affine`` is set where scales and zero points are in the tensor itself. ``form`` says which way
    (``tensor``, ``channel``, or the table of the details); ``scales`` and ``zero_points`` are indices of the
    tensors that hold them, -1 where there are none.
    """

    form: str
    affine: Quantization | None = None
    scales: int = -1
    zero_points: int = -1
    block_size: int = 0


def _read_quantization(row: TensorRow) -> _Scheme | None:
    """Return how a tensor is quantized, None where it is not. Raises `FormatError`."""
    table = row.table.table("quantization")
    if table is None:
        return None
    if table.value("details_type"):
        return _details(table)
    scales, zero_points = table.numbers("scale"), table.numbers("zero_point")
    if not scales:
        return None
    points = tuple(zero_points) or (0,) * len(scales)
    if len(scales) == 1:
        return _Scheme("tensor", Quantization(tuple(scales), points[:1], None))
    axis = table.value("quantized_dimension")
    if len(points) == 1:
        points = points * len(scales)
    return _Scheme("channel", Quantization(tuple(scales), points, axis))


def _details(table: Table) -> _Scheme:
    details = table.table("details")
    if details is None:
        return _Scheme("unknown")
    fields = details.type.by_name
    form = {"BlockwiseQuantization": "block", "MultiAxisQuantization": "multi-axis"}.get(
        details.type.name, "custom"
    )
    if "scales" not in fields:
        return _Scheme(form)
    return _Scheme(
        form, None, details.value("scales"), details.value("zero_points"), details.value("block_size")
    )
