"""Describe artifacts, tensors, findings and diagnostics as reports list them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from modelinspect.core.artifact import Artifact, Diagnostic, Severity
from modelinspect.core.facts import Fact, Facts
from modelinspect.core.tensors import LookupPayload, Tensor, dense_size
from modelinspect.reports.base import Part, encode_quickly
from modelinspect.reports.blocks import Cell, Column, Note, Notes, Table, Unit
from modelinspect.reports.categories import HELPER_ROLE

_DEEPEST = 32


class WeightType(Part, frozen=True, kw_only=True):
    """The weights of one element type, with their scales and indices; ``read_by`` are operators (TFLite) or
    layers, the largest first.
    """

    dtype: str
    tensors: int
    element_count: int
    stored_size: int
    read_by: tuple[str, ...]


class WeightsPart(Part, frozen=True, kw_only=True):
    """What the weights take with their scales, zero points and indices, by element type.

    ``copies`` are the positions in ``tensors`` of those that repeat a variable of the model, as exports and
    wrappers write them; no count of parameters includes them.
    """

    element_count: int
    stored_size: int
    bits_per_weight: float | None
    types: tuple[WeightType, ...]
    copies: tuple[int, ...] = ()


class LosslessSaving(Part, frozen=True, kw_only=True):
    """What `modelinspect shrink` saves at least while every tensor and document stays the same, in bytes.

    ``basis`` is ``estimate``: it follows from what was measured already, and nothing was written. The
    result is usually smaller.
    """

    size: int
    basis: str


class MemberEntry(Part, frozen=True, kw_only=True):
    """A file of the artifact."""

    name: str
    size: int
    regions: int


class ArtifactEntry(Part, frozen=True, kw_only=True):
    """The artifact that a report is on."""

    location: str
    format: str
    size: int
    members: tuple[MemberEntry, ...]


class ExtentEntry(Part, frozen=True, kw_only=True):
    """Stored bytes of a tensor."""

    member: str
    offset: int
    size: int
    encoding: str


class PatternEntry(Part, frozen=True, kw_only=True):
    """Where the zeros of a tensor are: each is [slices or blocks that hold only zeros, all of them].

    Channels are the kernel's outputs, and blocks of 4 and 16 lie along its inputs, on whichever axes the
    format stores them: TFLite has outputs first and inputs last, Keras has outputs last.
    """

    dead_rows: tuple[int, int]
    dead_channels: tuple[int, int]
    dead_inputs: tuple[int, int] | None
    blocks_4: tuple[int, int] | None
    blocks_16: tuple[int, int] | None


class TensorEntry(Part, frozen=True, kw_only=True):
    """A tensor: ``name`` is what people called it, ``path`` where the artifact stores it.

    ``bits`` is the size of one stored value (0 where values differ), ``packed`` how many share a byte,
    ``bits_per_weight`` the stored bits with scales, zero points and indices over the elements, null where
    there are none. Counts are null where nothing was measured, and ``note`` says why if its elements cannot
    be read.
    """

    name: str
    path: str
    layer: str | None
    role: str
    dtype: str
    bits: int
    packed: int
    shape: tuple[int, ...]
    storage: str
    stored_size: int
    logical_size: int
    element_count: int
    bits_per_weight: float | None
    zero_count: int | None
    negative_zero_count: int | None
    extents: tuple[ExtentEntry, ...]
    aliases: tuple[str, ...] = ()
    note: str = ""
    pattern: PatternEntry | None = None

    def to_json(self) -> str:
        """Return the object as one line of JSON."""
        return encode_quickly(self, self.bits_per_weight)

    @property
    def zero_share(self) -> float | None:
        """The share of elements that are zero, None where nothing was counted."""
        return (
            None
            if self.zero_count is None or not self.element_count
            else self.zero_count / self.element_count
        )


class FindingEntry(Part, frozen=True, kw_only=True):
    """What a rule found: how many bytes it is about, and what to do.

    ``remedy`` is a line of words; lines after it are code to run, of a shell or of Python. It is empty where
    nothing can be done.
    """

    rule: str
    severity: str
    message: str
    bytes: int
    remedy: str


class DiagnosticEntry(Part, frozen=True, kw_only=True):
    """Trouble that the parser survived."""

    severity: str
    problem: str
    member: str
    offset: int | None


def artifact_entry(artifact: Artifact) -> ArtifactEntry:
    """Describe an artifact."""
    members = tuple(
        MemberEntry(name=member.name, size=member.size, regions=len(member.map))
        for member in artifact.members
    )
    return ArtifactEntry(
        location=artifact.location, format=str(artifact.format), size=artifact.size, members=members
    )


def tensor_entry(
    tensor: Tensor,
    zero_count: int | None = None,
    negative_zero_count: int | None = None,
    note: str = "",
    pattern: PatternEntry | None = None,
    *,
    packed: int = 1,
    size: int | None = None,
) -> TensorEntry:
    """Describe a tensor and what was measured of it; ``size`` are its bytes with those of its scales and
    index.
    """
    stored = tensor.stored_size
    held = stored if size is None else size
    count = tensor.element_count
    return TensorEntry(
        name=tensor.name,
        path=tensor.path,
        layer=tensor.layer,
        role=str(tensor.role),
        dtype=tensor.dtype.name,
        bits=tensor.payload.bits if isinstance(tensor.payload, LookupPayload) else tensor.dtype.bits,
        packed=packed,
        shape=tensor.shape,
        storage=str(tensor.storage),
        stored_size=stored,
        logical_size=(
            tensor.logical_size if tensor.loaded_as is None else dense_size(tensor.loaded_as, tensor.shape)
        ),
        element_count=count,
        bits_per_weight=round(8 * held / count, 4) if count and tensor.dtype.bits else None,
        zero_count=zero_count,
        negative_zero_count=negative_zero_count,
        extents=tuple(
            ExtentEntry(
                member=extent.member,
                offset=extent.span.offset,
                size=extent.span.size,
                encoding=extent.encoding,
            )
            for extent in tensor.extents
        ),
        aliases=tensor.aliases,
        note=note or tensor.payload_note,
        pattern=pattern,
    )


def diagnostic_entry(diagnostic: Diagnostic) -> DiagnosticEntry:
    """Describe a diagnostic."""
    return DiagnosticEntry(
        severity=str(diagnostic.severity),
        problem=diagnostic.problem,
        member=diagnostic.member,
        offset=diagnostic.offset,
    )


def shown_facts(facts: Facts) -> dict[str, object]:
    """Return facts as a report has them, sorted; each text of ``metadata_texts`` is a fact
    ``metadata.NAME``.
    """
    shown = {key: plain_fact(cast("Fact", fact)) for key, fact in facts.items() if key != "metadata_texts"}
    shown |= {f"metadata.{name}": plain_fact(text) for name, text in facts.get("metadata_texts", {}).items()}
    return dict(sorted(shown.items()))


def plain_fact(fact: Fact, depth: int = 0) -> object:
    """Return a fact as JSON can hold it: tuples as lists, numbers that JSON has no word for as text, nothing
    nested too deeply.
    """
    if depth > _DEEPEST:
        return "..."
    match fact:
        case float() if not math.isfinite(fact):
            return str(fact)
        case tuple():
            return [plain_fact(item, depth + 1) for item in fact]
        case Mapping():
            return {str(key): plain_fact(item, depth + 1) for key, item in sorted(fact.items())}
        case _:
            return fact


def diagnostic_notes(diagnostics: tuple[DiagnosticEntry, ...], count: int, top: int | None = None) -> Notes:
    """Return diagnostics as notes, the severest first, ``top`` of them; ``count`` are all there were.

    The same trouble at several places of a member is one note, at the first of them.
    """
    order = list(Severity)
    same: dict[tuple[str, str, str], list[DiagnosticEntry]] = {}
    for entry in sorted(diagnostics, key=lambda entry: order.index(Severity(entry.severity))):
        same.setdefault((entry.severity, entry.member, entry.problem), []).append(entry)
    notes = []
    told = 0
    for (severity, member, problem), entries in list(same.items())[:top]:
        offset = entries[0].offset
        place = member if offset is None else f"{member} at byte {offset:,} ({offset:#x})"
        more = len({entry.offset for entry in entries}) - 1
        told += len(entries)
        notes.append(
            Note(severity, f"{place} and {more:,} more place{'s'[: more > 1]}" if more else place, problem)
        )
    return Notes("Trouble while reading", tuple(notes), max(count - told, 0))


TENSOR_COLUMNS = (
    Column("name", "tensor"),
    Column("path", "path", rank=8, machine_only=True),
    Column("layer", "layer", rank=8, machine_only=True),
    Column("role", "role", rank=3),
    Column("dtype", "dtype", rank=2),
    Column("shape", "shape", rank=4),
    Column("storage", "storage", rank=6, quiet=True),
    Column("stored_size", "stored", Unit.BYTES),
    Column("logical_size", "in memory", Unit.BYTES, rank=7, quiet=True),
    Column("element_count", "elements", Unit.COUNT, rank=9, machine_only=True),
    Column("zero_count", "zeros", Unit.COUNT, rank=5),
    Column("zero_share", "zero", Unit.SHARE, rank=1),
    Column("negative_zero_count", "-0.0", Unit.COUNT, rank=6, quiet=True),
)


def tensor_row(entry: TensorEntry) -> tuple[Cell, ...]:
    """Return a tensor as a row of `TENSOR_COLUMNS`."""
    return (
        entry.name,
        entry.path,
        entry.layer,
        entry.role,
        entry.dtype,
        "x".join(map(str, entry.shape)) or "scalar",
        entry.storage,
        entry.stored_size,
        entry.logical_size,
        entry.element_count,
        entry.zero_count,
        entry.zero_share,
        entry.negative_zero_count,
    )


def tensor_table(
    title: str,
    entries: tuple[TensorEntry, ...],
    top: int | None,
    *,
    paths: bool = False,
    helpers: str = "",
) -> Table:
    """Return tensors as a table, largest first, with the sum of those left out.

    ``paths`` shows where they are stored; ``helpers`` is what wraps the layers, by which the role ``pruning``
    has its name where that is something else.
    """
    ordered = sorted(entries, key=lambda entry: (-entry.stored_size, -entry.logical_size, entry.name))
    shown = ordered if top is None else ordered[:top]
    rest: tuple[Cell, ...] | None = None
    if len(shown) < len(ordered):
        rest = _rest_row(ordered[len(shown) :])
    columns = tuple(
        replace(column, rank=0, machine_only=False) if paths and column.key == "path" else column
        for column in TENSOR_COLUMNS
    )
    rows = [tensor_row(entry) for entry in shown]
    word = HELPER_ROLE.get(helpers)
    if word is not None:
        place = [column.key for column in columns].index("role")
        rows = [
            (*row[:place], word if row[place] == "pruning" else row[place], *row[place + 1 :]) for row in rows
        ]
    return Table(title, columns, rows, rest)


def _rest_row(entries: list[TensorEntry]) -> tuple[Cell, ...]:
    counted = [entry for entry in entries if entry.zero_count is not None]
    zeros = sum(entry.zero_count or 0 for entry in counted)
    elements = sum(entry.element_count for entry in counted)
    return (
        f"{len(entries):,} more",
        None,
        None,
        None,
        None,
        None,
        None,
        sum(entry.stored_size for entry in entries),
        sum(entry.logical_size for entry in entries),
        sum(entry.element_count for entry in entries),
        zeros if counted else None,
        zeros / elements if elements else None,
        sum(entry.negative_zero_count or 0 for entry in counted) if counted else None,
    )
