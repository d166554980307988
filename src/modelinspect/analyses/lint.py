"""The report of what rules find in an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelinspect.analyses.attribution import attribute
from modelinspect.analyses.summary import zero_counts
from modelinspect.errors import Code, LimitError, LocationError
from modelinspect.networks.subject import Subject
from modelinspect.reports.entries import ArtifactEntry, MemberEntry, artifact_entry, diagnostic_entry
from modelinspect.reports.lint import LintReport, counts
from modelinspect.rules.base import Finding, Place, Rule
from modelinspect.rules.registry import lint_finding, rule_entries, run_rules
from modelinspect.rules.unsafe.archives import ARCHIVE_BOMB, INCOMPLETE
from modelinspect.sources.files import FileSet


def lint_artifact(subject: Subject, rules: Sequence[Rule]) -> LintReport:
    """Run the chosen rules over an artifact whose files are open."""
    artifact, measurements = subject.artifact, subject.measurements
    sizes = attribute(artifact, zero_counts(measurements)).category_sizes()
    findings = run_rules(replace(subject, sizes=sizes), rules)
    return LintReport(
        artifact=artifact_entry(artifact),
        measured=measurements is not None,
        counts=counts(findings),
        findings=findings,
        rules=rule_entries(rules),
        diagnostics=tuple(map(diagnostic_entry, artifact.diagnostics)),
    )


def lint_refused(files: FileSet, error: LimitError, rules: Sequence[Rule]) -> LintReport:
    """Report an artifact that asks for more than the limits allow: that is what is found."""
    place = Place(files.primary, error.offset if error.member == files.primary else None) if files.primary is not None else None
    rule = ARCHIVE_BOMB if error.code is Code.EXPANSION else INCOMPLETE
    finding = Finding(error.problem, 0, rule.advice, place)
    findings = tuple(lint_finding(one, finding) for one in rules if one.id == rule.id)
    members = tuple(MemberEntry(name=name, size=_size(files, name), regions=0) for name in files.names())
    size = sum(member.size for member in members)
    return LintReport(
        artifact=ArtifactEntry(location=files.location, format="", size=size, members=members),
        measured=False,
        counts=counts(findings),
        findings=findings,
        rules=rule_entries(rules),
        diagnostics=(),
    )


def _size(files: FileSet, name: str) -> int:
    try:
        return files.open(name).size
    except (LocationError, OSError):
        return 0
