"""What differs between two artifacts, category by category and tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import (
    Block,
    Cell,
    Column,
    Heading,
    Lines,
    Note,
    Notes,
    Step,
    Steps,
    Table,
    Unit,
)
from modelinspect.reports.categories import CATEGORIES, Category
from modelinspect.reports.entries import DiagnosticEntry
from modelinspect.reports.pictures import Picture

DEFAULT_TOP = 15
DAMAGE_SHOWN = 5


class Status(StrEnum):
    """What became of a tensor."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"


class Content(StrEnum):
    """Whether the elements of two tensors are equal; transposed ones are equal but for their order."""

    EQUAL = "equal"
    TRANSPOSED = "transposed"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


class SideEntry(Part, frozen=True, kw_only=True):
    """One of the two artifacts."""

    location: str
    format: str
    size: int


class TensorDelta(Part, frozen=True, kw_only=True):
    """A tensor before and after; the names are null where it has no counterpart.

    ``matched_by`` says how the two were found to be one: name, content, layer or order.
    """

    before: str | None
    after: str | None
    status: str
    stored_delta: int
    role: str
    layer: str | None
    content: str
    matched_by: str | None
    before_form: str | None
    after_form: str | None
    zero_delta: int | None


class LayerDelta(Part, frozen=True, kw_only=True):
    """The stored bytes of a layer's tensors; ``layer`` is null for every byte that is in no layer's
    tensor.
    """

    layer: str | None
    before: int
    after: int
    delta: int


class DiffReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.diff/1"):
    """What differs: ``delta``, ``categories`` and ``layers`` are after less before, and each sums to
    ``delta``.
    """

    before: SideEntry
    after: SideEntry
    measured: bool
    delta: int
    categories: Mapping[str, int]
    layers: tuple[LayerDelta, ...]
    tensors: tuple[TensorDelta, ...]
    notes: tuple[str, ...] = ()
    diagnostics: tuple[DiagnosticEntry, ...] = ()

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        top = DEFAULT_TOP if top is None else top
        yield Heading(
            f"{self.before.location} → {self.after.location}",
            self.after.size,
            (
                f"{self.before.format} → {self.after.format}",
                f"{self.before.size:,} → {self.after.size:,} bytes",
                f"{signed(self.delta)} bytes",
            ),
        )
        if self.notes:
            yield Lines(self.notes)
        if self.diagnostics:
            yield Notes(
                "Damaged",
                tuple(
                    Note(entry.severity, entry.member, entry.problem)
                    for entry in self.diagnostics[:DAMAGE_SHOWN]
                ),
            )
        if not self.has_difference:
            yield Lines(("No difference: every category has as many bytes and every tensor is the same.",))
            return
        rows: list[tuple[Cell, ...]] = [(name, delta) for name, delta in self.categories.items() if delta]
        if rows:
            yield Table(
                "By category",
                (Column("category", "category"), Column("delta", "change in bytes", Unit.CHANGE)),
                rows,
            )
        layers = sorted(
            (layer for layer in self.layers if layer.delta),
            key=lambda layer: (-abs(layer.delta), layer.layer or ""),
        )
        if layers:
            yield Table(
                "By layer",
                (
                    Column("layer", "layer"),
                    Column("before", "before", Unit.BYTES, rank=1),
                    Column("after", "after", Unit.BYTES, rank=1),
                    Column("delta", "change in bytes", Unit.CHANGE),
                ),
                [
                    (layer.layer or "(no layer)", layer.before, layer.after, layer.delta)
                    for layer in layers[:top]
                ],
                _rest(layers[top:]),
            )
        yield from self._tensor_blocks(top)

    def pictures(self) -> Iterator[Picture]:
        """Yield the way from one size to the other, by category."""
        steps = tuple(Step(name, delta) for name, delta in self.categories.items() if delta)
        if steps:
            yield Steps("From before to after, by category", steps, self.before.size, self.after.size)

    @property
    def has_difference(self) -> bool:
        """Return whether anything differs."""
        return (
            bool(self.delta)
            or any(self.categories.values())
            or any(entry.status != Status.SAME for entry in self.tensors)
        )

    def _tensor_blocks(self, top: int) -> Iterator[Block]:
        counts = {status: sum(entry.status == status for entry in self.tensors) for status in Status}
        yield Lines(
            (
                ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
                + " of all tensors",
            )
        )
        different = sorted(
            (entry for entry in self.tensors if entry.status != Status.SAME),
            key=lambda entry: (-abs(entry.stored_delta), entry.before or "", entry.after or ""),
        )
        if not different:
            return
        rows: list[tuple[Cell, ...]] = [
            (_names(entry), entry.status, entry.stored_delta, _form(entry), entry.matched_by or "-")
            for entry in different[:top]
        ]
        columns = (
            Column("tensor", "tensor"),
            Column("status", "status"),
            Column("delta", "bytes", Unit.CHANGE),
            Column("form", "form", rank=1),
            Column("matched_by", "by", rank=2),
        )
        rest = different[top:]
        last: tuple[Cell, ...] | None = None
        if rest:
            last = (f"{len(rest):,} more", None, sum(entry.stored_delta for entry in rest), None, None)
        yield Table("Tensors that differ", columns, rows, last)

    def table(self) -> Table:
        columns = (
            Column("before", "before"),
            Column("after", "after"),
            Column("status", "status"),
            Column("stored_delta", "stored_delta", Unit.BYTES),
            Column("role", "role"),
            Column("layer", "layer"),
            Column("content", "content"),
            Column("matched_by", "matched_by"),
        )
        return Table(
            "",
            columns,
            [
                (e.before, e.after, e.status, e.stored_delta, e.role, e.layer, e.content, e.matched_by)
                for e in self.tensors
            ],
        )


def signed(size: int) -> str:
    """Return a difference in bytes with its sign; none is 0."""
    return f"{size:+,}" if size else "0"


def category_deltas(before: Mapping[Category, int], after: Mapping[Category, int]) -> dict[str, int]:
    """Return after less before for the fifteen categories, and for ``compiled`` where either side has some of
    it.
    """
    shown = [one for one in CATEGORIES if one is not Category.COMPILED or before[one] or after[one]]
    return {str(category): after[category] - before[category] for category in shown}


def _names(entry: TensorDelta) -> str:
    return entry.after or entry.before or ""


def _form(entry: TensorDelta) -> str:
    if entry.before_form is None or entry.after_form is None or entry.before_form == entry.after_form:
        return entry.after_form or entry.before_form or ""
    return f"{entry.before_form} → {entry.after_form}"


def _rest(layers: list[LayerDelta]) -> tuple[Cell, ...] | None:
    if not layers:
        return None
    return (
        f"{len(layers):,} more",
        sum(layer.before for layer in layers),
        sum(layer.after for layer in layers),
        sum(layer.delta for layer in layers),
    )
