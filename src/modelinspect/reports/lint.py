"""Unsafe and wasteful content of an artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from modelinspect.core.artifact import Severity
from modelinspect.reports.answer import Advisor, finding_command, next_commands
from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Column, Heading, Lines, Note, Notes, Table, Unit
from modelinspect.reports.entries import ArtifactEntry, DiagnosticEntry
from modelinspect.reports.wording import plural

_RANK = {
    str(severity): rank for rank, severity in enumerate((Severity.NOTE, Severity.WARNING, Severity.ERROR))
}


def reaches(found: Iterable[str], least: str | None) -> bool:
    """Return whether one of some severities is at or above another; none reaches None."""
    return least is not None and any(_RANK[severity] >= _RANK[least] for severity in found)


class LintFinding(Part, frozen=True, kw_only=True):
    """What a rule found.

    ``member``, ``offset`` and ``size`` say where it is on disk, null where it is at no one place; what is
    compressed has the place of its compressed bytes. ``bytes`` is how many bytes the finding is about.
    """

    rule: str
    severity: str
    message: str
    bytes: int
    remedy: str
    member: str | None
    offset: int | None
    size: int | None


class RuleEntry(Part, frozen=True, kw_only=True):
    """A rule that ran; its group is ``unsafe`` or ``wasteful``."""

    id: str
    group: str
    severity: str
    reason: str
    remedy: str


class LintReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.lint/1"):
    """Findings, the severest first; ``counts`` has their number by severity.

    ``measured`` is whether weights and free space were read; without, the rules that need them find nothing.
    ``artifact.format`` is empty where the artifact could not be opened at all, which is a finding then.
    """

    artifact: ArtifactEntry
    measured: bool
    counts: dict[str, int]
    findings: tuple[LintFinding, ...]
    rules: tuple[RuleEntry, ...]
    diagnostics: tuple[DiagnosticEntry, ...]

    def reaches(self, severity: str) -> bool:
        """Return whether any finding is at or above a severity."""
        return any(_RANK[finding.severity] >= _RANK[severity] for finding in self.findings)

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        details = (self.artifact.format,) if self.artifact.format else ()
        yield Heading(
            self.artifact.location,
            self.artifact.size,
            (*details, f"{plural(len(self.rules), 'rule')} checked"),
        )
        shown = self.findings if top is None else self.findings[:top]
        yield Lines((self._answer(),))
        if not self.findings:
            return
        location = self.artifact.location
        advisor = Advisor(more=lambda rule: finding_command(rule, location))
        notes = tuple(
            advisor.note(
                finding.severity, finding.rule, f"{finding.message}{_where(finding)}", finding.remedy
            )
            for finding in shown
        )
        yield Notes("Findings", notes, len(self.findings) - len(shown))
        first = self.findings[0].rule
        following = next_commands(location, (f"explain {first}", "what it means and what to do"))
        if following is not None:
            yield following

    def _answer(self) -> str:
        """Count the findings by severity; say that nothing is unsafe only where unsafe rules ran and the
        artifact was read.
        """
        groups = {rule.id: rule.group for rule in self.rules}
        unsafe = [finding for finding in self.findings if groups.get(finding.rule) == "unsafe"]
        counted = (
            ", ".join(plural(count, severity) for severity, count in self.counts.items() if count)
            or "No findings"
        )
        rules = sum(group == "unsafe" for group in groups.values())
        if unsafe or not rules or not self.artifact.format:
            return f"{counted}."
        return f"{counted}; nothing unsafe by {plural(rules, 'rule')} about unsafe content."

    @staticmethod
    def columns() -> tuple[Column, ...]:
        """Return the columns of the table."""
        return (
            Column("rule", "rule"),
            Column("severity", "severity"),
            Column("member", "member"),
            Column("offset", "offset", Unit.OFFSET),
            Column("size", "size", Unit.BYTES),
            Column("bytes", "bytes", Unit.BYTES),
            Column("message", "message"),
            Column("remedy", "remedy"),
        )

    def table(self) -> Table:
        columns = self.columns()
        rows = [
            (
                found.rule,
                found.severity,
                found.member,
                found.offset,
                found.size,
                found.bytes,
                found.message,
                found.remedy,
            )
            for found in self.findings
        ]
        return Table("", columns, rows)


def counts(findings: tuple[LintFinding, ...]) -> dict[str, int]:
    """Return the number of findings by severity, the severest first."""
    found = Counter(finding.severity for finding in findings)
    return {str(severity): found[str(severity)] for severity in Severity}


def _where(finding: LintFinding) -> str:
    if finding.member is None or finding.offset is None:
        return ""
    return f" ({finding.member} at byte {finding.offset:,}, {finding.offset:#x})"


class LintProblem(Part, frozen=True, kw_only=True):
    """A location that could not be inspected, and why."""

    location: str
    problem: str

    @property
    def reason(self) -> str:
        """The problem without the location that errors begin with."""
        return self.problem.removeprefix(f"{self.location}: ")


class LintAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.lint-all/1"):
    """What rules found in several locations, in the order in which they were named; ``failed`` could not be
    inspected.
    """

    reports: tuple[LintReport, ...]
    failed: tuple[LintProblem, ...]

    def reaches(self, severity: str) -> bool:
        """Return whether any finding is at or above a severity."""
        return any(report.reaches(severity) for report in self.reports)

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        for report in self.reports:
            yield from report.blocks(top)
        if self.failed:
            notes = tuple(Note("error", failure.location, failure.reason) for failure in self.failed)
            yield Notes("Could not be inspected", notes, 0)

    def table(self) -> Table:
        inner = LintReport.columns()
        rows = [(report.artifact.location, *row) for report in self.reports for row in report.table().rows]
        return Table("", (Column("location", "location"), *inner), rows)


class RulesReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.rules/1"):
    """The rules that a selection leaves, in the order in which they run."""

    rules: tuple[RuleEntry, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        for group in dict.fromkeys(rule.group for rule in self.rules):
            rules = [rule for rule in self.rules if rule.group == group]
            shown = rules if top is None else rules[:top]
            notes = tuple(Note(rule.severity, rule.id, rule.reason) for rule in shown)
            yield Notes(f"Rules about {group} content", notes, len(rules) - len(shown))
        yield Lines(("modelinspect explain RULE shows what a rule looks at, and what to do.",))

    def table(self) -> Table:
        keys = ("id", "group", "severity", "reason", "remedy")
        rows = [(rule.id, rule.group, rule.severity, rule.reason, rule.remedy) for rule in self.rules]
        return Table("", tuple(Column(key, key) for key in keys), rows)
