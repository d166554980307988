"""The report of what rules find in an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from posixpath import basename, dirname

from msgspec import structs

from modelinspect.analyses.summary import zero_counts
from modelinspect.errors import Code, LimitError, LocationError, ModelInspectError
from modelinspect.ledger.attribution import attribute
from modelinspect.networks.subject import Subject
from modelinspect.reports.entries import (
    ArtifactEntry,
    DiagnosticEntry,
    MemberEntry,
    artifact_entry,
    diagnostic_entry,
)
from modelinspect.reports.lint import LintFinding, LintReport, counts
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Place, Rule
from modelinspect.rules.registry import finding_order, lint_finding, rule_entries, run_rules
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
    place = (
        Place(files.primary, error.offset if error.member == files.primary else None)
        if files.primary is not None
        else None
    )
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


def lint_several(
    location: str,
    models: Sequence[tuple[str, bool, LintReport | ModelInspectError]],
    untried: int,
    rules: Sequence[Rule],
) -> LintReport:
    """Put the reports of the models of one folder or archive together: each finding says which model it is
    about.

    ``models`` are name, whether it is in an archive, and its report or why there is none; ``untried`` folders
    and files were not looked at.
    """
    findings: list[LintFinding] = []
    members: dict[str, MemberEntry] = {}
    diagnostics: list[DiagnosticEntry] = []
    missing: list[Finding] = []
    for name, is_archived, report in models:
        if isinstance(report, ModelInspectError):
            missing.append(Finding(f"{name} was not checked: {report}", 0, INCOMPLETE.advice))
            continue
        folder = "" if is_archived else _folder_of(name, report)
        for member in report.artifact.members:
            members.setdefault(folder + member.name, structs.replace(member, name=folder + member.name))
        for found in report.findings:
            place = None if found.member is None else folder + found.member
            findings.append(structs.replace(found, message=f"{name}: {found.message}", member=place))
        diagnostics += [structs.replace(entry, member=folder + entry.member) for entry in report.diagnostics]
    if untried:
        missing.append(
            Finding(
                f"{plural(untried, 'folder or file', 'folders or files')} more may hold models and were not"
                " checked",
                0,
                INCOMPLETE.advice,
            )
        )
    findings += [lint_finding(INCOMPLETE, finding) for finding in missing if INCOMPLETE in rules]
    ordered = tuple(sorted(findings, key=finding_order))
    kept = tuple(member for _, member in sorted(members.items()))
    return LintReport(
        artifact=ArtifactEntry(
            location=location, format=SEVERAL, size=sum(member.size for member in kept), members=kept
        ),
        measured=any(isinstance(report, LintReport) and report.measured for _, _, report in models),
        counts=counts(ordered),
        findings=ordered,
        rules=rule_entries(rules),
        diagnostics=tuple(diagnostics),
    )


SEVERAL = "several"
"""The format of a folder or an archive with several models."""


def _folder_of(name: str, report: LintReport) -> str:
    """Return what the names of a model's members begin with in the folder that holds the model: its own, or
    that of its file.
    """
    is_file = any(member.name == basename(name) for member in report.artifact.members)
    folder = dirname(name) if is_file else name
    return f"{folder}/" if folder not in ("", ".") else ""
