"""Write findings as SARIF 2.1.0, for code scanning: rules with help, results with the bytes that they are
about.

Specification: Static Analysis Results Interchange Format (SARIF) Version 2.1.0, OASIS Standard, 27 March
2020.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from posixpath import basename, dirname, join
from typing import Any, TextIO
from urllib.parse import quote

from modelinspect.errors import UsageError
from modelinspect.renderers.escape import markdown_block, markdown_text, plain, plain_lines
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report
from modelinspect.reports.entries import DiagnosticEntry
from modelinspect.reports.lint import LintAllReport, LintFinding, LintProblem, LintReport, RuleEntry
from modelinspect.version import VERSION

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HELP = "More in docs/guide/lint.md, or by modelinspect explain with the rule's name."


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the log. Raises `UsageError` where a report is not one of `lint`."""
    if not isinstance(report, LintReport | LintAllReport):
        raise UsageError("--format sarif is available for lint only")
    run = _run(report.reports, report.failed) if isinstance(report, LintAllReport) else _run((report,), ())
    json.dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, out, indent=2, allow_nan=False)
    out.write("\n")


def _run(reports: Sequence[LintReport], failed: Sequence[LintProblem]) -> dict[str, Any]:
    """Return one run for all models: code scanning takes one of a tool and a category."""
    rules = {rule.id: rule for report in reports for rule in report.rules}
    places = {rule: index for index, rule in enumerate(rules)}
    members = {_uri(report, member.name): member for report in reports for member in report.artifact.members}
    unread = [
        {"level": "error", "message": {"text": plain(f"{one.location}: {one.reason}")}} for one in failed
    ]
    return {
        "tool": {
            "driver": {
                "name": "modelinspect",
                "semanticVersion": VERSION,
                "rules": [_rule(rule) for rule in rules.values()],
            }
        },
        "artifacts": [
            {"location": {"uri": uri}, "length": member.size, "roles": ["analysisTarget"]}
            for uri, member in members.items()
        ],
        "invocations": [
            {
                "executionSuccessful": not failed,
                "toolExecutionNotifications": [
                    *unread,
                    *(_notification(report, found) for report in reports for found in report.diagnostics),
                ],
            }
        ],
        "results": [
            _result(report, finding, places[finding.rule])
            for report in reports
            for finding in report.findings
        ],
    }


def _notification(report: LintReport, found: DiagnosticEntry) -> dict[str, Any]:
    return {
        "level": found.severity,
        "message": {"text": plain(f"{found.member}: {found.problem}")},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(report, found.member)}}}],
    }


def _rule(rule: RuleEntry) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": rule.reason},
        "fullDescription": {"text": rule.reason},
        "help": _help(rule),
        "defaultConfiguration": {"level": rule.severity},
        "properties": {"tags": ["security"] if rule.group == "unsafe" else ["size"]},
    }


def _help(rule: RuleEntry) -> dict[str, str]:
    """Return what a rule says to do, as text and as Markdown."""
    words, _, code = rule.remedy.partition("\n")
    if not words:
        return {"text": f"{rule.reason} {_HELP}", "markdown": f"{rule.reason}\n\n{_HELP}"}
    block = "\n".join(("", "", *markdown_block(code))) if code else ""
    return {
        "text": f"{rule.reason} What to do: {rule.remedy}{chr(10) if code else '. '}{_HELP}",
        "markdown": f"{rule.reason}\n\n**What to do:** {markdown_text(words)}{block}\n\n{_HELP}",
    }


def _result(report: LintReport, finding: LintFinding, index: int) -> dict[str, Any]:
    member = finding.member or (
        report.artifact.members[0].name if report.artifact.members else basename(report.artifact.location)
    )
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(report, member)}}
    if finding.offset is not None:
        place["region"] = {
            "byteOffset": finding.offset,
            **({"byteLength": finding.size} if finding.size else {}),
        }
    text = plain(finding.message)
    key = f"{finding.rule}\0{member}\0{finding.message}".encode("utf-8", "backslashreplace")
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": plain_lines(f"{text}. Remedy: {finding.remedy}")},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"modelinspect/v1": hashlib.sha256(key).hexdigest()},
        "properties": {"bytes": finding.bytes, "remedy": plain_lines(finding.remedy)},
    }


def _uri(report: LintReport, member: str) -> str:
    """Return where a member is, relative to the current folder as the location is."""
    location = report.artifact.location.replace("\\", "/")
    name = basename(location)
    is_file = (
        any(one.name == name or one.name.startswith(f"{name}.") for one in report.artifact.members)
        or not report.artifact.members
    )
    path = join(dirname(location) if is_file else location, member)
    quoted = quote(path.encode("utf-8", "surrogateescape"), safe="/")
    return f"file://{quoted}" if path.startswith("/") else quoted
