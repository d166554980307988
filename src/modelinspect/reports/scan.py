"""What a scan found: many artifacts in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from modelinspect.core.artifact import Severity
from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Heading, Lines, Note, Notes, Table, Unit
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.check import CheckEntry
from modelinspect.reports.inspect import Categories, category_sizes
from modelinspect.reports.lint import LintFinding, reaches
from modelinspect.reports.wording import plural

DEFAULT_TOP = 20
_ROOTS_NAMED = 3
"""Folders and files that the title names; a shell may pass hundreds."""


class Failure(StrEnum):
    """Why an artifact could not be inspected: the ``error`` of its row."""

    LOCATION = "location"
    """Nothing can be opened there."""
    SYSTEM = "system"
    """The operating system refused to read it."""
    CHANGED = "changed"
    """It changed while it was read."""
    UNKNOWN_FORMAT = "unknown-format"
    FORMAT = "format"
    """Its bytes do not follow their specification."""
    TRUNCATED = "truncated"
    UNSUPPORTED = "unsupported"
    LIMIT = "limit"
    """It asks for more than `Limits` allows."""
    MEMORY = "memory"
    TIMEOUT = "timeout"
    KILLED = "killed"
    """The process that inspected it ended, twice."""
    MISSING_EXTRA = "missing-extra"
    """A package that reads it is not installed."""
    BUG = "bug"
    """A mistake in modelinspect."""


class ScanRow(Part, frozen=True, kw_only=True):
    """An artifact of the scan; where it could not be inspected, ``problem`` says why, ``error`` is its
    `Failure`, and the rest is null.

    ``lint`` and ``checks`` are null where the scan did not ask for them.
    """

    location: str
    format: str | None = None
    size: int | None = None
    members: int | None = None
    tensors: int | None = None
    parameters: int | None = None
    zero_parameters: int | None = None
    categories: Categories | None = None
    findings: tuple[str, ...] = ()
    diagnostics: int | None = None
    problem: str | None = None
    error: str | None = None
    lint: tuple[LintFinding, ...] | None = None
    checks: tuple[CheckEntry, ...] | None = None

    @property
    def passed(self) -> bool | None:
        """Whether it keeps the budget, None where it was not compared with one."""
        return None if self.checks is None else all(check.ok for check in self.checks)

    @property
    def sparsity(self) -> float | None:
        """The share of the model's parameters that are zero, None where nothing was counted."""
        return (
            None
            if self.zero_parameters is None or not self.parameters
            else self.zero_parameters / self.parameters
        )


class ScanReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.scan/1"):
    """Many artifacts, one row each, in the order of their locations; ``skipped`` files looked like no
    artifact.
    """

    roots: tuple[str, ...]
    measured: bool
    size: int
    artifacts: tuple[ScanRow, ...]
    skipped: int

    def failures(self, error: Failure | None = None) -> int:
        """Return how many artifacts could not be inspected, for one reason or any."""
        return sum(row.error is not None and error in (None, row.error) for row in self.artifacts)

    def exceeds(self, least: Severity | None) -> bool:
        """Return whether there is a finding of lint at or above a severity, or an artifact above its
        budget.
        """
        found = {finding.severity for row in self.artifacts for finding in row.lint or ()}
        return reaches(found, least) or any(row.passed is False for row in self.artifacts)

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        inspected = [row for row in self.artifacts if row.problem is None]
        failed = [row for row in self.artifacts if row.problem is not None]
        formats = Counter(row.format for row in inspected)
        text = ", ".join(
            f"{count:,} {name}"
            for name, count in sorted(formats.items(), key=lambda item: (-item[1], item[0] or ""))
        )
        named = ", ".join(self.roots[:_ROOTS_NAMED])
        more = len(self.roots) - _ROOTS_NAMED
        yield Heading(
            f"{named} and {more:,} more" if more > 0 else named,
            self.size,
            (plural(len(inspected), "model"), *([text] if text else ())),
        )
        largest = sorted(inspected, key=lambda row: (-(row.size or 0), row.location))
        top = DEFAULT_TOP if top is None else top
        rest = largest[top:]
        columns = (
            Column("location", "model"),
            Column("format", "format", rank=1),
            Column("size", "bytes", Unit.BYTES, bar=True),
            Column("sparsity", "zero", Unit.SHARE, rank=2),
            Column("optimizer-state", "optimizer", Unit.BYTES, rank=3, quiet=True),
            Column("findings", "findings", Unit.COUNT, rank=2, quiet=True),
        )
        rows: list[tuple[Cell, ...]] = [
            (
                row.location,
                row.format,
                row.size,
                row.sparsity,
                row.categories.optimizer_state if row.categories else None,
                len(row.findings),
            )
            for row in largest[:top]
        ]
        last: tuple[Cell, ...] | None = (
            (f"{len(rest):,} more", None, sum(row.size or 0 for row in rest), None, None, None)
            if rest
            else None
        )
        if rows:
            yield Table("Largest models", columns, rows, last)
        common = Counter(rule for row in inspected for rule in set(row.findings))
        if common:
            ordered = sorted(common.items(), key=lambda item: (-item[1], item[0]))
            counts: list[tuple[Cell, ...]] = [(rule, count) for rule, count in ordered]
            yield Table(
                "Findings", (Column("rule", "rule"), Column("artifacts", "models", Unit.COUNT)), counts
            )
        yield from self._verdicts(top)
        if self.skipped:
            yield Lines((f"{plural(self.skipped, 'other file')} not recognized as a model.",))
        if failed:
            notes = tuple(Note("error", row.location, row.problem or "") for row in failed[:top])
            yield Notes("Could not be inspected", notes, len(failed) - len(notes))

    def _verdicts(self, top: int) -> Iterator[Block]:
        """Yield what lint found in all artifacts, the severest first, and which exceed the budget."""
        if any(row.lint is not None for row in self.artifacts):
            rank = list(Severity)
            notes = [
                (
                    rank.index(Severity(found.severity)),
                    Note(found.severity, f"{row.location}: {found.rule}", found.message),
                )
                for row in self.artifacts
                for found in row.lint or ()
            ]
            notes.sort(key=lambda one: one[0])
            yield Notes("Findings of lint", tuple(note for _, note in notes[:top]), max(0, len(notes) - top))
        compared = [row for row in self.artifacts if row.checks is not None]
        if compared:
            above = [
                Note("error", f"{row.location}: {check.check} {check.subject}".rstrip(), check.message)
                for row in compared
                for check in row.checks or ()
                if not check.ok
            ]
            if above:
                yield Notes("Above the budget", tuple(above[:top]), max(0, len(above) - top))
            kept = sum(row.passed is True for row in compared)
            yield Lines((f"{kept:,} of {plural(len(compared), 'model')} within the budget.",))

    def table(self) -> Table:
        columns = (
            Column("location", "location"),
            Column("format", "format"),
            Column("size", "size", Unit.BYTES),
            Column("members", "members", Unit.COUNT),
            Column("tensors", "tensors", Unit.COUNT),
            Column("parameters", "parameters", Unit.COUNT),
            Column("zero_parameters", "zero_parameters", Unit.COUNT),
            *(Column(str(category), str(category), Unit.BYTES) for category in CATEGORIES),
            Column("findings", "findings"),
            Column("diagnostics", "diagnostics", Unit.COUNT),
            Column("problem", "problem"),
            Column("error", "error"),
            Column("lint", "lint"),
            Column("exceeded", "exceeded"),
        )
        return Table("", columns, [_cells(row) for row in self.artifacts])


def figures(row: ScanRow) -> tuple[Cell, ...]:
    """Return what every table of artifacts begins with: the location, the format, counts, and the bytes of
    each category.
    """
    sizes = category_sizes(row.categories) if row.categories is not None else {}
    return (
        row.location,
        row.format,
        row.size,
        row.members,
        row.tensors,
        row.parameters,
        row.zero_parameters,
        *(sizes.get(category) for category in CATEGORIES),
    )


def _cells(row: ScanRow) -> tuple[Cell, ...]:
    return (
        *figures(row),
        " ".join(row.findings) or None,
        row.diagnostics,
        row.problem,
        row.error,
        None if row.lint is None else " ".join(sorted({found.rule for found in row.lint})),
        (
            None
            if row.checks is None
            else " ".join(f"{check.check} {check.subject}".rstrip() for check in row.checks if not check.ok)
        ),
    )
