"""Write a check as JUnit XML, which build servers show as tests: one for each limit."""

from __future__ import annotations

from typing import TextIO
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from modelinspect.errors import UsageError
from modelinspect.renderers.escape import plain
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report
from modelinspect.reports.check import CheckReport
from modelinspect.reports.lint import LintProblem
from modelinspect.reports.several import CheckAllReport


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write a test suite for each location. Raises `UsageError` where a report is not one of `check`."""
    if not isinstance(report, CheckReport | CheckAllReport):
        raise UsageError("--format junit is available for check only, whose limits are the tests")
    reports, failed = (
        (report.reports, report.failed) if isinstance(report, CheckAllReport) else ((report,), ())
    )
    made = [*map(_suite, reports), *map(_failed_suite, failed)]
    counts = {
        name: str(sum(int(suite.attrib[name]) for suite in made)) for name in ("tests", "failures", "errors")
    }
    suites = Element("testsuites", {"name": "modelinspect check", **counts})
    suites.extend(made)
    indent(suites)
    out.write('<?xml version="1.0" encoding="utf-8"?>\n')
    out.write(tostring(suites, encoding="unicode"))
    out.write("\n")


def _suite(report: CheckReport) -> Element:
    """Return the limits of a location as tests."""
    failures = sum(not entry.ok for entry in report.checks)
    counts = {"tests": str(len(report.checks)), "failures": str(failures), "errors": "0"}
    suite = Element("testsuite", {"name": _text(report.artifact.location), **counts, "skipped": "0"})
    for entry in report.checks:
        name = f"{entry.check} {entry.subject}".strip()
        case = SubElement(suite, "testcase", {"classname": "modelinspect.check", "name": _text(name)})
        if entry.ok:
            SubElement(case, "system-out").text = _text(entry.message)
        else:
            SubElement(case, "failure", {"type": entry.check, "message": _text(entry.message)}).text = _text(
                entry.message
            )
    return suite


def _failed_suite(problem: LintProblem) -> Element:
    """Return a location that could not be inspected as one test with an error."""
    counts = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0"}
    suite = Element("testsuite", {"name": _text(problem.location), **counts})
    case = SubElement(suite, "testcase", {"classname": "modelinspect.check", "name": "inspect"})
    SubElement(case, "error", {"type": "inspect", "message": _text(problem.problem)}).text = _text(
        problem.problem
    )
    return suite


def _text(text: str) -> str:
    """Return text that XML 1.0 can hold: control characters and broken Unicode as escapes."""
    shown = plain(text).encode("utf-8", "backslashreplace").decode()
    return "".join(mark if mark not in "\ufffe\uffff" else f"\\u{ord(mark):04x}" for mark in shown)
