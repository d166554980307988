"""What a scan wrote into a dataset of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.reports.base import StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Heading, Lines, Table, Unit
from modelinspect.reports.lint import reaches
from modelinspect.reports.scan import Failure
from modelinspect.reports.wording import plural


class DatasetReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.scan-dataset/1"):
    """A dataset after a scan.

    ``artifacts``, ``size`` (bytes), ``formats`` and ``errors`` count what the dataset holds, all scans
    together; so do ``lint``, its findings by severity, and ``exceeded``, the artifacts that exceed their
    budget, both null where this scan did not ask for them. ``scanned`` artifacts were inspected by this scan,
    of which ``failed`` could not be. ``unchanged`` ones were in the dataset already, ``skipped`` files are
    not models.
    """

    dataset: str
    roots: tuple[str, ...]
    measured: bool
    artifacts: int
    size: int
    parts: int
    scanned: int
    failed: int
    unchanged: int
    skipped: int
    formats: Mapping[str, int]
    errors: Mapping[str, int]
    lint: Mapping[str, int] | None = None
    exceeded: int | None = None

    def failures(self, error: Failure | None = None) -> int:
        """Return how many artifacts could not be inspected, for one reason or any."""
        return sum(self.errors.values()) if error is None else self.errors.get(error, 0)

    def exceeds(self, least: Severity | None) -> bool:
        """Return whether there is a finding of lint at or above a severity, or an artifact above its
        budget.
        """
        return reaches((severity for severity, count in (self.lint or {}).items() if count), least) or bool(
            self.exceeded
        )

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        yield Heading(self.dataset, self.size, (plural(self.artifacts, "model"), plural(self.parts, "part")))
        lines = [
            f"{plural(self.scanned, 'model')} inspected, {self.unchanged:,} unchanged since an earlier scan."
        ]
        if self.skipped:
            lines.append(f"{plural(self.skipped, 'other file')} not recognized as a model.")
        if self.lint is not None:
            lines.append(", ".join(plural(count, severity) for severity, count in self.lint.items()) + ".")
        if self.exceeded is not None:
            lines.append(f"{plural(self.exceeded, 'model')} above the budget.")
        yield Lines(tuple(lines))
        if self.formats:
            yield Table(
                "Formats",
                (Column("format", "format"), Column("artifacts", "models", Unit.COUNT)),
                _counts(self.formats),
            )
        if self.errors:
            columns = (Column("error", "error"), Column("artifacts", "models", Unit.COUNT))
            yield Table("Could not be inspected", columns, _counts(self.errors))

    def table(self) -> Table:
        columns = (
            Column("kind", "kind"),
            Column("name", "name"),
            Column("artifacts", "artifacts", Unit.COUNT),
        )
        rows: list[tuple[Cell, ...]] = [("format", *row) for row in _counts(self.formats)]
        return Table("", columns, [*rows, *(("error", *row) for row in _counts(self.errors))])


def _counts(counts: Mapping[str, int]) -> list[tuple[Cell, ...]]:
    return [(name, count) for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
