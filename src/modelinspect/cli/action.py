"""Check models in a continuous-integration job, each step once: ``python -m modelinspect.cli.action
[OPTION...] [-- PATH...]``.

The GitHub Action of this repository runs it. It writes the same reports as the commands: terminal text to
standard output, Markdown to the summary of the job and to a comment, JUnit XML and SARIF to files.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from msgspec.structs import replace

from modelinspect import api
from modelinspect.budgets.file import read_models
from modelinspect.cli.main import CLEAN, FAILED, FINDINGS, USAGE
from modelinspect.cli.models import each
from modelinspect.core.artifact import Severity
from modelinspect.core.replacing import replacing
from modelinspect.errors import ModelInspectError, UsageError
from modelinspect.renderers.escape import markdown_text, plain
from modelinspect.renderers.look import Look
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.base import Report
from modelinspect.reports.explain import ExplainReport
from modelinspect.reports.lint import LintAllReport
from modelinspect.reports.several import CheckAllReport
from modelinspect.reports.wording import plural, short_size

MARKER = "<!-- modelinspect -->"
"""The first line of a comment, by which the next run finds it."""
_LARGEST_COMMENT = 60_000
"""Characters; GitHub refuses comments over 65,536."""


def run(arguments: Sequence[str]) -> int:
    """Check, lint and compare, and return the highest exit code of the three."""
    options = _parser().parse_args(arguments)
    try:
        codes = [_check(options), _lint(options)]
        if options.base is not None and options.comment is not None:
            _replace(options.comment, comment(options.base, _models(options)))
        return max(codes)
    except UsageError as error:
        sys.stderr.write(f"modelinspect: {plain(str(error))}\n")
        return USAGE
    except (ModelInspectError, OSError) as error:
        sys.stderr.write(f"modelinspect: {plain(str(error))}\n")
        return FAILED


def comment(base: Path, models: Sequence[str]) -> str:
    """Return a comment on a pull request: how each model differs from the one below ``base``, with the
    reasons folded away.

    A model without a counterpart is new; one that cannot be compared is listed with the reason.
    """
    parts: list[str] = []
    left = 0
    for model in models:
        if Path(model).is_absolute():
            raise UsageError(
                f"{model}: a comparison with the base branch needs a path relative to the repository"
            )
        part = _difference(base / model, model)
        if sum(map(len, parts)) + len(part) > _LARGEST_COMMENT:
            left += 1
        else:
            parts.append(part)
    more = (
        [
            f"{plural(left, 'more model')} did not fit into this comment; the summary of the job has their"
            " limits.\n"
        ]
        if left
        else []
    )
    return "\n".join([MARKER, "### Model sizes\n", *(parts or ["No models were compared.\n"]), *more])


def _difference(before: Path, after: str) -> str:
    name, title = markdown_text(after), escape(plain(after))
    try:
        if not before.exists() and not before.with_name(before.name + ".index").exists():
            size = api.open(after).size
            return f"**{name}** is new: {size:,} bytes ({short_size(size)}).\n"
        report = _named(api.explain(before, after, compressors=False), after)
    except (ModelInspectError, OSError) as error:
        return f"**{name}** could not be compared: {markdown_text(str(error))}\n"
    if not report.delta and not report.causes:
        return (
            f"**{name}** has the same size: {report.after.size:,} bytes ({short_size(report.after.size)}).\n"
        )
    change = (
        f"{report.delta:+,} bytes"
        f" ({100 * report.delta / max(report.before.size if report.before else 0, 1):+.1f} %)"
    )
    line = f"<b>{title}</b>: {change}, now {report.after.size:,} bytes ({short_size(report.after.size)})"
    return f"<details><summary>{line}</summary>\n\n{_text(report, OutputFormat.MARKDOWN)}\n</details>\n"


def _named(report: ExplainReport, name: str) -> ExplainReport:
    """Return a report that calls the model of the base branch so, wherever that is checked out."""
    before = report.before
    return (
        report if before is None else replace(report, before=replace(before, location=f"base branch: {name}"))
    )


def _check(options: argparse.Namespace) -> int:
    if options.budget is None:
        return CLEAN
    if read_models(options.budget) is not None:
        report = api.check_models(options.budget, options.paths)
    else:
        reports, failed = each(options.paths, lambda path: api.check(path, options.budget))
        report = CheckAllReport(
            passed=not failed and all(one.passed for one in reports), reports=reports, failed=failed
        )
    sys.stdout.write(_text(report, OutputFormat.TERMINAL))
    if options.summary is not None:
        with options.summary.open("a", encoding="utf-8") as out:
            out.write(_text(report, OutputFormat.MARKDOWN))
    if options.junit is not None:
        _replace(options.junit, _text(report, OutputFormat.JUNIT))
    return FAILED if report.failed else CLEAN if report.passed else FINDINGS


def _lint(options: argparse.Namespace) -> int:
    models = _models(options)
    if options.lint is None or not models:
        return CLEAN
    report: LintAllReport = api.lint_all(models, select=("unsafe",))
    sys.stdout.write(_text(report, OutputFormat.TERMINAL))
    if options.sarif is not None:
        _replace(options.sarif, _text(report, OutputFormat.SARIF))
    return FAILED if report.failed else FINDINGS if report.reaches(Severity(options.lint)) else CLEAN


def _models(options: argparse.Namespace) -> list[str]:
    """Return the models that were named, or else all that the budget lists."""
    if options.paths or options.budget is None:
        return list(options.paths)
    from modelinspect.budgets.file import find_models

    budget = read_models(options.budget)
    folder: Path = options.budget.parent
    listed = (
        [folder / name for one in budget.models for name in find_models(folder, one.path)]
        if budget is not None
        else []
    )
    return list(dict.fromkeys(path.as_posix() for path in listed))


def _text(report: Report, form: OutputFormat) -> str:
    out = io.StringIO()
    render(report, form, out, Look(width=100))
    return out.getvalue()


def _replace(path: Path, text: str) -> None:
    with replacing(path, "w", "utf-8") as out:
        out.write(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m modelinspect.cli.action", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="models; without any, those that the budget lists"
    )
    parser.add_argument("--budget", type=Path, help="the budget file; nothing is checked without one")
    parser.add_argument(
        "--lint",
        choices=[str(one) for one in Severity],
        help="look for unsafe content, and fail from this severity up",
    )
    parser.add_argument("--base", type=Path, help="a checkout of the branch to compare with")
    parser.add_argument("--comment", type=Path, help="a file for the comparison, as Markdown")
    parser.add_argument(
        "--summary", type=Path, help="a file that the result of the check is appended to, as Markdown"
    )
    parser.add_argument("--junit", type=Path, help="a file for the limits, as JUnit XML")
    parser.add_argument("--sarif", type=Path, help="a file for the findings, as SARIF")
    return parser


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    sys.exit(run(sys.argv[1:]))
