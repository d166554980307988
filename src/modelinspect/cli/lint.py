"""The command ``lint``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from modelinspect import api
from modelinspect.cli.models import require_inspected
from modelinspect.cli.options import (
    FORMAT_HELP,
    ColorOption,
    FollowOption,
    ForceOption,
    JsonOption,
    LimitOption,
    LintFormat,
    MeasureOption,
    OutputOption,
    QuietOption,
    TopOption,
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.parameters import Argument, Option
from modelinspect.cli.progress import progress
from modelinspect.cli.settings import Settings, read_settings
from modelinspect.core.artifact import Severity
from modelinspect.errors import UsageError
from modelinspect.renderers.registry import OutputFormat
from modelinspect.reports.lint import RulesReport
from modelinspect.rules.registry import choose, rule_entries

EXAMPLES = """\b
Examples:
  modelinspect lint model.keras
  modelinspect lint models/ downloads.zip other.h5
  modelinspect lint model.tflite --select unsafe --fail-on error
  modelinspect lint --rules --select unsafe
  modelinspect lint saved_model/ --format sarif -o findings.sarif
"""


_Format = Annotated[
    LintFormat | None, Option("--format", "-f", metavar="|".join(LintFormat), help=FORMAT_HELP)
]
_Select = Annotated[
    str,
    Option(
        "--select",
        metavar="RULE[,RULE...]",
        help="Run only these: ids, patterns (external-*), unsafe, wasteful; see --rules.",
    ),
]
_Ignore = Annotated[str, Option("--ignore", metavar="RULE[,RULE...]", help="Run all rules but these.")]
_FailOn = Annotated[
    str | None,
    Option(
        "--fail-on",
        metavar="|".join(Severity),
        help="Exit with 1 for findings at or above a severity (default: warning).",
    ),
]


_Rules = Annotated[bool, Option("--rules", help="List the rules with group, severity and reason, and stop.")]
_Paths = Annotated[
    list[str] | None,
    Argument(metavar="PATH...", help="Model files, folders, archives, or prefixes of checkpoints."),
]


def command(
    paths: _Paths = None,
    rules: _Rules = False,
    select: _Select = "",
    ignore: _Ignore = "",
    fail_on: _FailOn = None,
    top: TopOption = None,
    no_measure: MeasureOption = False,
    format: _Format = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> int:
    """Find unsafe and wasteful content, without executing anything; exit with 1 where there is some."""
    if not (paths or rules):
        raise UsageError("lint needs a PATH; --rules lists the rules")
    paths = paths or []
    settings = read_settings(Path.cwd())
    least = severity_named(fail_on, settings)
    form = choose_form(LintFormat, format, as_json, output)
    if rules and form is OutputFormat.SARIF:
        raise UsageError("sarif is a form of findings; --rules lists rules as text, json, markdown or csv")
    destination = Destination(form, output, force, paths, color=color, quiet=quiet)
    limits = limits_of(limit, follow)
    chosen = rule_names(select) or settings.select
    ignored = (*settings.ignore, *rule_names(ignore))
    if rules:
        destination.write(RulesReport(rules=rule_entries(choose(chosen, ignored))), top)
        return 0
    with progress("reading weights", quiet=quiet) as meter:
        if len(paths) == 1:
            report = api.lint(
                paths[0], select=chosen, ignore=ignored, measure=not no_measure, limits=limits, progress=meter
            )
            destination.write(report, top)
            return 1 if report.reaches(least) else 0
        every = api.lint_all(
            paths, select=chosen, ignore=ignored, measure=not no_measure, limits=limits, progress=meter
        )
    destination.write(every, top)
    require_inspected(len(paths), every.failed)
    return 1 if every.reaches(least) else 0


def severity_named(chosen_name: str | None, settings: Settings) -> Severity:
    """Return the severity at which lint fails. Raises `UsageError` for a name that is none."""
    text = chosen_name or settings.fail_on or Severity.WARNING
    try:
        return Severity(text)
    except ValueError as error:
        raise UsageError(f"there is no severity {text!r}: it is one of {', '.join(Severity)}") from error


def rule_names(text: str) -> tuple[str, ...]:
    """Return the names of a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
