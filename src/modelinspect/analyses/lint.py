"""Makes the report of what rules find in an artifact."""

from __future__ import annotations

from modelinspect.analyses.attribution import attribute
from modelinspect.analyses.summary import zero_counts
from modelinspect.core.artifact import Artifact
from modelinspect.errors import LimitError, LocationError
from modelinspect.measure.facts import Measurements
from modelinspect.measure.free import HiddenReport
from modelinspect.networks.channels.removal import find_removal
from modelinspect.reports.entries import ArtifactEntry, MemberEntry, artifact_entry, diagnostic_entry
from modelinspect.reports.lint import LintFinding, LintReport, counts
from modelinspect.rules.base import Context
from modelinspect.rules.registry import Chosen, run_rules
from modelinspect.rules.unsafe.base import Subject
from modelinspect.sources.files import FileSet

_BOMB = "archive-bomb"


def lint_artifact(
    artifact: Artifact, files: FileSet, measurements: Measurements | None, hidden: HiddenReport | None, chosen: Chosen
) -> LintReport:
    """Run the chosen rules over an artifact whose files are open."""
    removal = find_removal(artifact, files, measurements) if measurements is not None else None
    sizes = attribute(artifact, zero_counts(measurements)).category_sizes()
    subject = Subject(Context(artifact, measurements, sizes, hidden, removal=removal), files)
    findings = run_rules(subject, chosen)
    return LintReport(
        artifact=artifact_entry(artifact),
        measured=measurements is not None,
        counts=counts(findings),
        findings=findings,
        rules=chosen.entries(),
        diagnostics=tuple(map(diagnostic_entry, artifact.diagnostics)),
    )


def lint_refused(files: FileSet, error: LimitError, chosen: Chosen) -> LintReport:
    """Report an artifact that asks for more than the limits allow: that is what is found."""
    findings = tuple(
        LintFinding(
            rule=rule.id,
            severity=str(rule.severity),
            message=error.problem,
            bytes=0,
            remedy="do not unpack or load it",
            member=files.primary,
            offset=error.offset if error.member == files.primary else None,
            size=None,
        )
        for rule in chosen.unsafe
        if rule.id == _BOMB
    )
    members = tuple(MemberEntry(name=name, size=_size(files, name), regions=0) for name in files.names())
    size = sum(member.size for member in members)
    return LintReport(
        artifact=ArtifactEntry(location=files.location, format="", size=size, members=members),
        measured=False,
        counts=counts(findings),
        findings=findings,
        rules=chosen.entries(),
        diagnostics=(),
    )


def _size(files: FileSet, name: str) -> int:
    try:
        return files.open(name).size
    except (LocationError, OSError):
        return 0
