"""Reports on several locations, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelinspect.reports.base import Report, StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Note, Notes, Table
from modelinspect.reports.check import CheckReport
from modelinspect.reports.inspect import InspectReport
from modelinspect.reports.lint import LintProblem
from modelinspect.reports.tensors import TensorsReport


class InspectAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.inspect-all/1"):
    """Where the bytes of several locations go, in the order in which they were named; ``failed`` could not be inspected."""

    reports: tuple[InspectReport, ...]
    failed: tuple[LintProblem, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        return _blocks(self.reports, self.failed, top)

    def table(self) -> Table:
        return _table([(report.artifact.location, report.table()) for report in self.reports])


class TensorsAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.tensors-all/1"):
    """The tensors of several locations, in the order in which they were named; ``failed`` could not be inspected."""

    reports: tuple[TensorsReport, ...]
    failed: tuple[LintProblem, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        return _blocks(self.reports, self.failed, top)

    def table(self) -> Table:
        return _table([(report.artifact.location, report.table()) for report in self.reports])


class CheckAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.check-all/1"):
    """Several locations against one budget; ``passed`` is whether all of them keep it, ``failed`` could not be inspected."""

    passed: bool
    reports: tuple[CheckReport, ...]
    failed: tuple[LintProblem, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        return _blocks(self.reports, self.failed, top)

    def table(self) -> Table:
        return _table([(report.artifact.location, report.table()) for report in self.reports])


def _blocks(reports: Sequence[Report], failed: Sequence[LintProblem], top: int | None) -> Iterator[Block]:
    for report in reports:
        yield from report.blocks(top)
    if failed:
        yield Notes("Could not be inspected", tuple(Note("error", one.location, one.problem) for one in failed), 0)


def _table(tables: Sequence[tuple[str, Table]]) -> Table:
    """Return tables of the same columns as one, with the location first."""
    inner = tables[0][1].columns if tables else ()
    rows: list[tuple[Cell, ...]] = [(location, *row) for location, table in tables for row in table.rows]
    return Table("", (Column("location", "location"), *inner), rows)
