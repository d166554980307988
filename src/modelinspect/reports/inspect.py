"""Where the bytes of an artifact go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelinspect.reports.answer import Advisor, answer, finding_command, next_commands
from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Bar, Bars, Block, Cell, Column, Heading, Lines, Notes, Table, Unit
from modelinspect.reports.categories import AROUND, CATEGORIES, HELPER_STATE, Category
from modelinspect.reports.entries import (
    ArtifactEntry,
    DiagnosticEntry,
    FindingEntry,
    LosslessSaving,
    TensorEntry,
    WeightsPart,
    diagnostic_notes,
    tensor_table,
)
from modelinspect.reports.pictures import Picture, Pictures
from modelinspect.reports.sections import section_table
from modelinspect.reports.wording import percent, plural

DEFAULT_TOP = 10
_WEIGHT_ROLES = ("weight", "statistic")
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_STRUCTURES = 5
_USUAL = ("float32", "int32", "int64", "bool")
"""Types of weights that nobody narrowed."""
_WORTH_SHOWING = 0.1
_SHRINK = ("shrink {} --dry-run", "prove the saving")
_NEXT = (("plan {}", "how small it gets"), ("explain {}", "causes of its size"))
_VERSION_FACTS = ("keras_version", "backend", "tensorflow_version", "producer", "version", "runtime_version")


class Categories(Part, frozen=True, kw_only=True, rename="kebab", omit_defaults=True):
    """The bytes of every category; they sum to the artifact's size.

    ``compiled`` is left out where there is nothing of it.
    """

    graph: int
    metadata: int
    dense_weights: int
    zero_weights: int
    compressed_weights: int
    sparse_values: int
    sparse_index: int
    quantization: int
    optimizer_state: int
    pruning_state: int
    compiled: int = 0
    assets: int
    debug: int
    container: int
    free: int
    unattributed: int


class RollupRow(Part, frozen=True, kw_only=True):
    """Bytes that share the values of the keys; ``values`` is null in the row of those that ``--top`` left
    out.

    ``rows`` counts regions (one that is split between zero and other elements counts twice), ``merged`` the
    rows that this one stands for.
    """

    values: tuple[str | None, ...] | None
    size: int
    rows: int
    merged: int = 1


class Rollup(Part, frozen=True, kw_only=True):
    """The artifact's bytes by any keys; the rows sum to its size."""

    by: tuple[str, ...]
    rows: tuple[RollupRow, ...]


class StructureRow(Part, frozen=True, kw_only=True):
    """Structures other than tensors, of one kind: ``count`` regions of it, ``size`` bytes in all."""

    structure: str
    category: str
    size: int
    count: int


class InspectReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.inspect/1"):
    """Where the bytes go: categories, tensors, facts, findings, diagnostics.

    ``helpers`` says what wraps the layers for training: ``none``, ``pruning``, ``clustering`` or
    ``quantization``; their variables are the category ``pruning-state``. ``lossless_saving`` is null where
    nothing of it is known without writing the file again.
    """

    artifact: ArtifactEntry
    measured: bool
    categories: Categories
    rollup: Rollup | None = None
    tensors: tuple[TensorEntry, ...]
    weights: WeightsPart
    lossless_saving: LosslessSaving | None = None
    facts: Mapping[str, Any]
    structures: tuple[StructureRow, ...]
    findings: tuple[FindingEntry, ...]
    diagnostics: tuple[DiagnosticEntry, ...]
    diagnostic_count: int
    helpers: str = "none"

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        top = DEFAULT_TOP if top is None else top
        yield self._heading()
        yield self._answer()
        if self.diagnostics:
            yield diagnostic_notes(self.diagnostics, self.diagnostic_count, top)
        if self.rollup is None:
            yield self._findings()
        if self.rollup is None:
            yield Bars("Where the bytes go", category_bars(self.categories, self.helpers), self.artifact.size)
        else:
            yield self._rollup_table(self.rollup)
        if len(self.artifact.members) > 1 and self.rollup is None:
            yield self._member_bars(top)
        sections = section_table(self.facts, self.artifact.size)
        if sections is not None and self.rollup is None:
            yield sections
        if self.tensors:
            if any(each.dtype not in _USUAL for each in self.weights.types) and self.rollup is None:
                yield self._weights_table()
            if self.rollup is None:
                yield tensor_table("Largest tensors", self.tensors, top, helpers=self.helpers)
        if self.structures and self.rollup is None and self._overhead() > _WORTH_SHOWING * self.artifact.size:
            yield self._structure_table()
        location = self.artifact.location
        shrinks = self.lossless_saving is not None and "://" not in location  # only files here are rewritten
        following = next_commands(location, *([_SHRINK] if shrinks else []), *_NEXT)
        if following is not None:
            yield following

    def table(self) -> Table:
        size = self.artifact.size
        if self.rollup is not None:
            columns = (
                *(Column(key, key) for key in self.rollup.by),
                Column("size", "size", Unit.BYTES),
                Column("share", "share", Unit.SHARE),
            )
            blank: tuple[Cell, ...] = tuple(None for _ in self.rollup.by)
            return Table(
                "",
                columns,
                [(*(row.values or blank), row.size, share(row.size, size)) for row in self.rollup.rows],
            )
        columns = (
            Column("category", "category"),
            Column("size", "size", Unit.BYTES),
            Column("share", "share", Unit.SHARE),
        )
        sizes = category_sizes(self.categories)
        shown = [category for category in CATEGORIES if category is not Category.COMPILED or sizes[category]]
        return Table(
            "",
            columns,
            [(str(category), sizes[category], share(sizes[category], size)) for category in shown],
        )

    def _answer(self) -> Lines:
        saving = self.lossless_saving.size if self.lossless_saving is not None else 0
        sizes = category_sizes(self.categories)
        sentence = answer(self.artifact.format, self.artifact.size, sizes, saving, self.helpers)
        return Lines((sentence, self._sparsity()) if self.tensors else (sentence,))

    def _findings(self) -> Block:
        if not self.findings:
            return Lines(
                (
                    (
                        "No findings in the structure, zeros and free bytes; lint counts distinct values too."
                        if self.measured
                        else "No findings in the structure; the weights were not read."
                    ),
                )
            )
        advisor = Advisor(more=lambda rule: finding_command(rule, self.artifact.location))
        notes = (
            advisor.note(entry.severity, entry.rule, entry.message, entry.remedy) for entry in self.findings
        )
        return Notes("Findings", tuple(notes))

    def _overhead(self) -> int:
        sizes = category_sizes(self.categories)
        return sum(sizes[category] for category in AROUND)

    def _structure_table(self) -> Table:
        columns = (
            Column("structure", "structure"),
            Column("category", "category", rank=2),
            Column("count", "places", Unit.COUNT, rank=3),
            Column("size", "bytes", Unit.BYTES),
            Column("share", "share", Unit.SHARE, rank=1),
        )
        rows = [
            (row.structure, row.category, row.count, row.size, share(row.size, self.artifact.size))
            for row in self.structures
        ]
        left = self._overhead() - sum(row.size for row in self.structures[:_STRUCTURES])
        rest = ("everything else", None, None, left, share(left, self.artifact.size)) if left else None
        return Table("Largest structures other than tensors", columns, rows[:_STRUCTURES], rest)

    def _weights_table(self) -> Table:
        columns = (
            Column("dtype", "type"),
            Column("tensors", "tensors", Unit.COUNT, rank=3),
            Column("element_count", "weights", Unit.COUNT, rank=1),
            Column("stored_size", "bytes", Unit.BYTES),
            Column("share", "share", Unit.SHARE, rank=2),
            Column("read_by", "read by", rank=4),
        )
        whole = self.weights.stored_size
        rows = [
            (
                each.dtype,
                each.tensors,
                each.element_count,
                each.stored_size,
                share(each.stored_size, whole),
                ", ".join(each.read_by),
            )
            for each in self.weights.types
        ]
        return Table(
            f"Weights by type, {self.weights.bits_per_weight or 0:.2f} bits per weight with scales and"
            " indices",
            columns,
            rows,
        )

    def _heading(self) -> Heading:
        members, regions = len(self.artifact.members), sum(member.regions for member in self.artifact.members)
        versions = [
            f"{key.removesuffix('_version')} {self.facts[key]}"
            for key in _VERSION_FACTS
            if isinstance(self.facts.get(key), str | int)
        ]
        counts = [
            f"{count:,} {noun}{'' if count == 1 else 's'}"
            for count, noun in ((len(self.tensors), "tensor"), (regions, "region"))
        ]
        if members != 1:
            counts.insert(0, f"{members:,} files")
        return Heading(self.artifact.location, self.artifact.size, (self.artifact.format, *versions, *counts))

    def parameters(self) -> list[TensorEntry]:
        """Return the tensors that are the model's parameters: weights and statistics, each variable once."""
        copies = frozenset(self.weights.copies)
        return [
            entry
            for index, entry in enumerate(self.tensors)
            if entry.role in _WEIGHT_ROLES and entry.dtype != "string" and index not in copies
        ]

    def _sparsity(self) -> str:
        """Count the parameters: weights only, each variable once.

        Float constants are counted, and called so, where there are no weights.
        """
        model = self.parameters()
        noun = "parameter"
        if not model:
            model = [entry for entry in self.tensors if entry.role == "constant" and entry.dtype in _FLOATS]
            noun = "float constant"
        if not model:
            return "No weights in it."
        elements = sum(entry.element_count for entry in model)
        text = f"{plural(elements, noun)} in {plural(len(model), 'tensor')}"
        if self.weights.copies:
            text += f" and {plural(len(self.weights.copies), 'copy', 'copies')} of them"
        counted = [entry for entry in model if entry.zero_count is not None]
        if not self.measured:
            return f"{text}; zeros were not counted."
        known = sum(entry.element_count for entry in counted)
        zeros = sum(entry.zero_count or 0 for entry in counted)
        negative = sum(entry.negative_zero_count or 0 for entry in counted)
        if known:
            text += f", {plural(zeros, 'zero')} ({percent(zeros, known)})" if zeros else ", no zeros"
        if negative:
            text += f", {negative:,} of them -0.0"
        if len(counted) < len(model):
            text += f"; {plural(len(model) - len(counted), 'tensor')} could not be measured"
        return f"{text}."

    def _member_bars(self, top: int) -> Bars:
        members = sorted(self.artifact.members, key=lambda member: (-member.size, member.name))
        bars = [Bar(member.name, member.size) for member in members[:top]]
        if len(members) > top:
            bars.append(
                Bar(f"{len(members) - top:,} more files", sum(member.size for member in members[top:]))
            )
        return Bars("Files", tuple(bars), self.artifact.size)

    def _rollup_table(self, rollup: Rollup) -> Table:
        rest: tuple[Cell, ...] | None = None
        rows: list[tuple[Cell, ...]] = []
        for row in rollup.rows:
            cells = (row.size, share(row.size, self.artifact.size))
            if row.values is None:
                rest = (f"{row.merged:,} more", *(None for _ in rollup.by[1:]), *cells)
            else:
                rows.append((*(value or "-" for value in row.values), *cells))
        columns = (
            *(Column(key, key) for key in rollup.by),
            Column("size", "bytes", Unit.BYTES),
            Column("share", "share", Unit.SHARE, rank=1),
        )
        return Table(f"Where the bytes go, by {' and '.join(rollup.by)}", columns, rows, rest)


class DrawnInspectReport(InspectReport, frozen=True, kw_only=True, tag="modelinspect.inspect/1"):
    """An `InspectReport` with pictures; they are in no JSON."""

    drawn: Pictures

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, without the pictures."""
        return InspectReport(
            **{name: getattr(self, name) for name in InspectReport.__struct_fields__}
        ).to_dict()

    def pictures(self) -> Iterator[Picture]:
        """Yield the ribbon and the tree."""
        yield self.drawn.ribbon
        yield self.drawn.tree


def with_pictures(report: InspectReport, drawn: Pictures) -> DrawnInspectReport:
    """Return the report with pictures."""
    return DrawnInspectReport(
        **{name: getattr(report, name) for name in InspectReport.__struct_fields__}, drawn=drawn
    )


def categories_part(sizes: Mapping[Category, int]) -> Categories:
    """Return the sizes of all categories as a part of a report."""
    return Categories(**{category.replace("-", "_"): sizes[category] for category in CATEGORIES})


def category_sizes(categories: Categories) -> dict[Category, int]:
    """Return the sizes of a report's categories."""
    return {category: getattr(categories, category.replace("-", "_")) for category in CATEGORIES}


def category_bars(categories: Categories, helpers: str = "") -> tuple[Bar, ...]:
    """Return the categories that hold any bytes, largest first; unattributed bytes come last.

    ``helpers`` is what wraps the layers, as the report says it.
    """
    sizes = category_sizes(categories)
    some = [category for category in CATEGORIES if sizes[category]]
    some.sort(key=lambda category: (category is Category.UNATTRIBUTED, -sizes[category], category.code))
    _, words = HELPER_STATE.get(helpers, ("", ""))
    return tuple(
        Bar(str(category), sizes[category], category, words if category is Category.PRUNING_STATE else "")
        for category in some
    )


def share(part: int, whole: int) -> float:
    """Return a part's share of a whole; nothing of nothing is 0."""
    return part / whole if whole else 0.0
