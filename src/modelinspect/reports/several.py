"""Reports on several locations, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelinspect.reports.base import Report, StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Lines, Note, Notes, Table
from modelinspect.reports.check import CheckReport
from modelinspect.reports.inspect import InspectReport
from modelinspect.reports.lint import LintProblem
from modelinspect.reports.tensors import TensorsReport
from modelinspect.reports.wording import plural


class InspectAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.inspect-all/1"):
    """Where the bytes of several locations go, in the order in which they were named; ``failed`` could not be
    inspected.
    """

    reports: tuple[InspectReport, ...]
    failed: tuple[LintProblem, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        return _blocks(self.reports, self.failed, top)

    def table(self) -> Table:
        return _table([(report.artifact.location, report.table()) for report in self.reports])


class TensorsAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.tensors-all/1"):
    """The tensors of several locations, in the order in which they were named; ``failed`` could not be
    inspected.
    """

    reports: tuple[TensorsReport, ...]
    failed: tuple[LintProblem, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        return _blocks(self.reports, self.failed, top)

    def table(self) -> Table:
        return _table([(report.artifact.location, report.table()) for report in self.reports])


class CheckAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.check-all/1"):
    """Several models against one budget; ``passed`` is whether all of them keep it.

    ``failed`` could not be inspected, or are patterns that no model matches; ``unlisted`` were asked for and
    are not in the budget.
    """

    passed: bool
    reports: tuple[CheckReport, ...]
    failed: tuple[LintProblem, ...]
    unlisted: tuple[str, ...] = ()

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        yield from _blocks(self.reports, self.failed, top)
        if self.unlisted:
            yield Lines((f"Not in the budget, so not checked: {', '.join(self.unlisted)}.",))
        if len(self.reports) < 2:
            return
        kept = sum(report.passed for report in self.reports)
        yield Lines((f"{kept:,} of {plural(len(self.reports), 'model')} within the budget.",))

    def table(self) -> Table:
        return _table([(report.artifact.location, report.table()) for report in self.reports])


def _blocks(reports: Sequence[Report], failed: Sequence[LintProblem], top: int | None) -> Iterator[Block]:
    for report in reports:
        yield from report.blocks(top)
    if failed:
        yield Notes(
            "Could not be inspected", tuple(Note("error", one.location, one.reason) for one in failed), 0
        )


def _table(tables: Sequence[tuple[str, Table]]) -> Table:
    """Return tables of the same columns as one, with the location first."""
    inner = tables[0][1].columns if tables else ()
    rows: list[tuple[Cell, ...]] = [(location, *row) for location, table in tables for row in table.rows]
    return Table("", (Column("location", "location"), *inner), rows)
