"""What the pruning stage made: every artifact with its sizes and categories, original against pruned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, Literal

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Lines, Note, Notes, Table, Unit
from modelinspect.reports.inspect import Categories, share

ORIGINAL, WRAPPED, STRIPPED, PRUNED = "original", "wrapped", "stripped", "pruned"
NEAR = 0.01
"""Sizes that differ by less of the larger one count as the same."""


class LayerDecision(Part, frozen=True):
    """A layer of the network: whether it was pruned, and why not."""

    name: str
    type: str
    pruned: bool
    reason: str


class WeightEntry(Part, frozen=True):
    """A weight that tfmot can prune, with its zeros; ``target`` is null where its layer was left out."""

    layer: str
    weight: str
    shape: tuple[int, ...]
    zero_count: int
    sparsity: float
    target: float | None


class StageEntry(Part, frozen=True):
    """How a stage's network does on the samples held back, and how sparse it is."""

    stage: str
    loss: float | None
    metric: float | None
    metric_name: str
    weights: tuple[WeightEntry, ...]


class LayerSparsity(Part, frozen=True):
    """The zeros that an artifact's own tensors hold, by layer."""

    layer: str
    element_count: int
    zero_count: int | None


class ArtifactRow(Part, frozen=True):
    """An artifact that was made, or the reason why not.

    ``gzip_size`` is that of ``gzip -9``; a directory counts as the tar of its files. ``sha256`` of a
    directory is that of the
    lines ``HASH  NAME`` of its files. ``categories`` are what `inspect` finds, and ``errors`` the rules of
    its findings that say that the
    artifact does not do what the network did.
    """

    stage: str
    method: str
    outcome: Literal["made", "failed"]
    reason: str = ""
    path: str | None = None
    size: int | None = None
    gzip_size: int | None = None
    sha256: str | None = None
    categories: Categories | None = None
    layers: tuple[LayerSparsity, ...] = ()
    diagnostic_count: int = 0
    errors: tuple[str, ...] = ()


class ScheduleEntry(Part, frozen=True):
    """tfmot's schedule with every parameter; those that the kind does not have are null."""

    kind: Literal["constant", "polynomial", "one-shot"]
    initial_sparsity: float | None
    final_sparsity: float
    begin_step: int | None
    end_step: int | None
    power: float | None
    frequency: int | None
    steps: int


class PruneReport(StructReport, frozen=True, tag="modelinspect.prune/1"):
    """Everything that one run of the pruning stage made, and how."""

    model: str
    command: tuple[str, ...]
    seed: int
    versions: Mapping[str, str]
    schedule: ScheduleEntry
    block_size: tuple[int, int]
    block_pooling: str
    sparsity_m_by_n: tuple[int, int] | None
    training: Mapping[str, Any]
    layers: tuple[LayerDecision, ...]
    stages: tuple[StageEntry, ...]
    artifacts: tuple[ArtifactRow, ...]
    warnings: tuple[str, ...]
    engine: str = "tfmot"
    engine_reason: str = ""

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        yield Lines(tuple(self._headlines()))
        pairs = [
            pair for pair in self.comparisons() if not pair[0].endswith(".gz")
        ]  # their sizes are in the columns `gzip`
        if any(row.stage == PRUNED for row in self.artifacts):
            yield Table(
                "Original against pruned",
                _COMPARISON_KERAS,
                [_compared(pair, with_wrapped=False) for pair in pairs],
            )
        else:
            yield Table("Original against pruned", _COMPARISON, [_compared(pair) for pair in pairs])
        failed = [row for row in self.artifacts if row.outcome == "failed"]
        if failed:
            yield Notes(
                "Not made", tuple(Note("note", f"{row.stage} {row.method}", row.reason) for row in failed)
            )
        left_out = [layer for layer in self.layers if not layer.pruned]
        if left_out:
            by_reason: dict[str, list[str]] = {}
            for layer in left_out:
                by_reason.setdefault(layer.reason, []).append(layer.name)
            notes = tuple(Note("note", _some(names), reason) for reason, names in by_reason.items())
            shown = notes if top is None else notes[:top]
            yield Notes("Layers not pruned", shown, len(notes) - len(shown))
        if self.warnings:
            yield Notes("Warnings", tuple(Note("warning", "", text) for text in self.warnings))

    def table(self) -> Table:
        return Table("", _ARTIFACT_COLUMNS, [_artifact_cells(row) for row in self.artifacts])

    def comparisons(self) -> Iterator[tuple[str, ArtifactRow | None, ArtifactRow | None, ArtifactRow | None]]:
        """Yield each method with its original, wrapped and stripped (or pruned) artifact, in the order in
        which they were made.
        """
        rows = {(row.stage, row.method): row for row in self.artifacts}
        for method in dict.fromkeys(row.method for row in self.artifacts):
            original, wrapped, stripped, pruned = (
                rows.get((stage, method)) for stage in (ORIGINAL, WRAPPED, STRIPPED, PRUNED)
            )
            yield method, original, wrapped, stripped or pruned

    def _headlines(self) -> Iterator[str]:
        pruned = [
            weight for stage in self.stages[-1:] for weight in stage.weights if weight.target is not None
        ]
        zeros, elements = (
            sum(weight.zero_count for weight in pruned),
            sum(prod(weight.shape) for weight in pruned),
        )
        reached = f"{100 * share(zeros, elements):.1f} %"
        target = (
            100 * pruned[0].target
            if pruned and pruned[0].target is not None
            else 100 * self.schedule.final_sparsity
        )
        yield f"{self.model}: {len(pruned)} weights pruned to {reached} zeros (target {target:.1f} %)"
        if self.engine_reason:
            yield f"engine: {self.engine}, because {self.engine_reason}"
        for stage in self.stages:
            if stage.loss is not None:
                metric = "" if stage.metric is None else f", {stage.metric_name} {stage.metric:.4f}"
                yield f"{stage.stage}: loss {stage.loss:.4f}{metric}"


def verdict(before: ArtifactRow | None, after: ArtifactRow | None) -> str:
    """Say in one word what pruning did to a method's artifact."""
    if before is None or after is None or before.size is None or after.size is None:
        return "failed" if any(row is not None and row.outcome == "failed" for row in (before, after)) else ""
    if before.errors or after.errors:
        return "broken"
    if _near(before.size, after.size):
        smaller = (after.gzip_size or 0) < (1 - NEAR) * (before.gzip_size or 0)
        return "zeros" if smaller else "unchanged"
    if after.size > before.size:
        return "larger"
    return _biggest_loss(before, after) or "smaller"


_LOSSES = {
    "optimizer_state": "optimizer",
    "pruning_state": "masks",
    "compressed_weights": "compressed",
    "graph": "graph",
    "metadata": "metadata",
    "container": "container",
}


def _biggest_loss(before: ArtifactRow, after: ArtifactRow) -> str:
    if before.categories is None or after.categories is None:
        return ""
    if after.categories.sparse_values and not before.categories.sparse_values:
        return "sparse"
    names = Categories.__struct_fields__
    deltas = {name: getattr(after.categories, name) - getattr(before.categories, name) for name in names}
    deltas["dense_weights"] += deltas.pop("zero_weights")  # zeros take the place of what was there
    return _LOSSES.get(min(deltas, key=lambda name: deltas[name]), "")


def _some(names: list[str]) -> str:
    """Name up to three and count the others; the manifest has all."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= NEAR * max(one, other)


def _compared(
    pair: tuple[str, ArtifactRow | None, ArtifactRow | None, ArtifactRow | None], *, with_wrapped: bool = True
) -> tuple[Cell, ...]:
    method, original, wrapped, stripped = pair

    def sizes(row: ArtifactRow | None) -> tuple[Cell, Cell]:
        return (None, None) if row is None else (row.size, row.gzip_size)

    middle = sizes(wrapped) if with_wrapped else ()
    return (method, *sizes(original), *middle, *sizes(stripped), verdict(original, stripped))


_COMPARISON = (
    Column("method", "method"),
    Column("original", "original", Unit.BYTES),
    Column("original_gzip", "gzip", Unit.BYTES, rank=1),
    Column("wrapped", "wrapped", Unit.BYTES, rank=3),
    Column("wrapped_gzip", "gzip", Unit.BYTES, rank=4),
    Column("stripped", "stripped", Unit.BYTES),
    Column("stripped_gzip", "gzip", Unit.BYTES),
    Column("verdict", "what happened"),
)

_COMPARISON_KERAS = (
    Column("method", "method"),
    Column("original", "original", Unit.BYTES),
    Column("original_gzip", "gzip", Unit.BYTES, rank=1),
    Column("pruned", "pruned", Unit.BYTES),
    Column("pruned_gzip", "gzip", Unit.BYTES),
    Column("verdict", "what happened"),
)

_ARTIFACT_COLUMNS = (
    Column("stage", "stage"),
    Column("method", "method"),
    Column("outcome", "outcome"),
    Column("path", "path"),
    Column("size", "size", Unit.BYTES),
    Column("gzip_size", "gzip", Unit.BYTES),
    *(Column(name, name.replace("_", "-"), Unit.BYTES) for name in Categories.__struct_fields__),
    Column("reason", "reason"),
)


def _artifact_cells(row: ArtifactRow) -> tuple[Cell, ...]:
    categories = [
        None if row.categories is None else getattr(row.categories, name)
        for name in Categories.__struct_fields__
    ]
    return (row.stage, row.method, row.outcome, row.path, row.size, row.gzip_size, *categories, row.reason)
