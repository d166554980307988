"""The report of `MagnitudePruning` and `prune`: each kernel with its target and what was reached."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Literal

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Lines, Note, Notes, Table, Unit
from modelinspect.reports.inspect import share


class PrunedKernel(Part, frozen=True):
    """A kernel of the model: pruned, with the share of zeros that was wanted and the one that is there, or
    left out with the reason.

    ``zero_count`` counts the kernel's own zeros. ``note`` says what keeps the pattern from being used in
    full.
    """

    layer: str
    type: str
    weight: str
    shape: tuple[int, ...]
    pruned: bool
    pattern: str
    target: float | None
    zero_count: int
    sparsity: float
    reason: str = ""
    note: str = ""


class KernelsReport(StructReport, frozen=True, tag="modelinspect.pruning/1"):
    """What magnitude pruning did to every kernel of a Keras 3 model, after ``step`` training steps."""

    model: str
    backend: str
    keras_version: str
    schedule: Literal["constant", "polynomial", "one-shot"]
    pattern: str
    step: int
    kernels: tuple[PrunedKernel, ...]
    warnings: tuple[str, ...] = ()

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        pruned = [kernel for kernel in self.kernels if kernel.pruned]
        zeros, elements = (
            sum(kernel.zero_count for kernel in pruned),
            sum(prod(kernel.shape) for kernel in pruned),
        )
        reached = f"{100 * share(zeros, elements):.1f} %"
        yield Lines(
            (
                (
                    f"{self.model}: {len(pruned)} of {len(self.kernels)} kernels pruned, {reached} zeros"
                    f" ({self.pattern})"
                ),
            )
        )
        shown = pruned if top is None else pruned[:top]
        yield Table(
            "Pruned kernels", _COLUMNS, [_cells(kernel) for kernel in shown], _rest(pruned[len(shown) :])
        )
        rest = tuple(
            Note("note", f"{kernel.layer}/{kernel.weight}", kernel.reason)
            for kernel in self.kernels
            if not kernel.pruned
        )
        if rest:
            yield Notes(
                "Kernels not pruned",
                rest if top is None else rest[:top],
                0 if top is None else max(0, len(rest) - top),
            )
        notes = tuple(
            Note("note", f"{kernel.layer}/{kernel.weight}", kernel.note) for kernel in pruned if kernel.note
        )
        if notes:
            yield Notes(
                "Notes", notes if top is None else notes[:top], 0 if top is None else max(0, len(notes) - top)
            )
        if self.warnings:
            yield Notes("Warnings", tuple(Note("warning", "", text) for text in self.warnings))

    def table(self) -> Table:
        return Table(
            "",
            (*_COLUMNS, Column("reason", "reason"), Column("note", "note")),
            [(*_cells(kernel), kernel.reason, kernel.note) for kernel in self.kernels],
        )


_COLUMNS = (
    Column("kernel", "kernel"),
    Column("type", "type"),
    Column("shape", "shape"),
    Column("target", "target", Unit.SHARE),
    Column("sparsity", "zeros", Unit.SHARE),
    Column("zero_count", "zero elements", Unit.COUNT),
)


def _rest(kernels: list[PrunedKernel]) -> tuple[Cell, ...] | None:
    if not kernels:
        return None
    zeros, elements = (
        sum(kernel.zero_count for kernel in kernels),
        sum(prod(kernel.shape) for kernel in kernels),
    )
    return (f"{len(kernels)} more", None, None, None, share(zeros, elements), zeros)


def _cells(kernel: PrunedKernel) -> tuple[Cell, ...]:
    shape = "x".join(map(str, kernel.shape))
    return (
        f"{kernel.layer}/{kernel.weight}",
        kernel.type,
        shape,
        kernel.target,
        kernel.sparsity,
        kernel.zero_count,
    )
