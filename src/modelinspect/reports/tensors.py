"""List the tensors of an artifact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Cell, Heading, Table
from modelinspect.reports.entries import (
    TENSOR_COLUMNS,
    ArtifactEntry,
    DiagnosticEntry,
    TensorEntry,
    diagnostic_notes,
    tensor_row,
    tensor_table,
)


class Remainder(Part, frozen=True, kw_only=True):
    """The tensors that ``--top`` left out."""

    count: int
    stored_size: int
    logical_size: int


class TensorsReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.tensors/1"):
    """Every tensor: role, dtype, shape, sizes, zeros; ``remainder`` sums up those that ``--top`` left out.

    ``helpers`` says what wraps the layers for training, as in `InspectReport`.
    """

    shows_paths: ClassVar[bool] = False
    artifact: ArtifactEntry
    measured: bool
    tensors: tuple[TensorEntry, ...]
    remainder: Remainder | None = None
    diagnostics: tuple[DiagnosticEntry, ...]
    diagnostic_count: int
    helpers: str = "none"

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        left_out = self.remainder.count if self.remainder else 0
        count = len(self.tensors) + left_out
        stored = sum(entry.stored_size for entry in self.tensors) + (
            self.remainder.stored_size if self.remainder else 0
        )
        details = (
            self.artifact.format,
            f"{count:,} tensor{'' if count == 1 else 's'}",
            f"{stored:,} bytes stored",
        )
        yield Heading(self.artifact.location, self.artifact.size, details)
        table = tensor_table("Tensors", self.tensors, None, paths=self.shows_paths, helpers=self.helpers)
        if self.remainder is not None:
            left = self.remainder
            rest: dict[str, Cell] = {
                "name": f"{left.count:,} more",
                "stored_size": left.stored_size,
                "logical_size": left.logical_size,
            }
            table = Table(
                table.title,
                table.columns,
                table.rows,
                tuple(rest.get(column.key) for column in TENSOR_COLUMNS),
            )
        yield table
        if self.diagnostics:
            yield diagnostic_notes(self.diagnostics, self.diagnostic_count, 10 if top is None else top)

    def table(self) -> Table:
        return Table("", TENSOR_COLUMNS, [tensor_row(entry) for entry in self.tensors])


class PathTensorsReport(TensorsReport, frozen=True, kw_only=True, tag="modelinspect.tensors/1"):
    """A `TensorsReport` whose text also shows where tensors are stored."""

    shows_paths: ClassVar[bool] = True


def with_tensor_paths(report: TensorsReport) -> TensorsReport:
    """Return the report with the stored paths in its text."""
    return PathTensorsReport(**{name: getattr(report, name) for name in TensorsReport.__struct_fields__})
