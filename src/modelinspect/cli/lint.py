"""The command ``lint``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelinspect import api
from modelinspect.cli.forms import LintFormat, choose_form
from modelinspect.cli.options import (
    FORMAT_HELP,
    ColorOption,
    ForceOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    OutputOption,
    QuietOption,
    TopOption,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.progress import progress
from modelinspect.cli.settings import Settings, read_settings
from modelinspect.core.artifact import Severity
from modelinspect.core.limits import parse_limits
from modelinspect.errors import IncompleteError, UsageError
from modelinspect.reports.wording import plural

EXAMPLES = """\b
Examples:
  modelinspect lint model.keras
  modelinspect lint models/ downloads.zip other.h5
  modelinspect lint model.tflite --select unsafe --fail-on error
  modelinspect lint saved_model/ --format sarif -o findings.sarif
"""


_Format = Annotated[LintFormat | None, typer.Option("--format", "-f", metavar="|".join(LintFormat), help=FORMAT_HELP)]
_Select = Annotated[
    str,
    typer.Option("--select", metavar="RULE[,RULE...]", help="Run these rules alone: ids, patterns (external-*), unsafe, wasteful."),
]
_Ignore = Annotated[str, typer.Option("--ignore", metavar="RULE[,RULE...]", help="Run all rules but these.")]
_FailOn = Annotated[
    str | None,
    typer.Option("--fail-on", metavar="|".join(Severity), help="Exit with 1 for findings at or above a severity (default: warning)."),
]


_Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="Model files, folders, archives, or prefixes of checkpoints.")]


def command(
    paths: _Paths,
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
) -> int:
    """Find unsafe and wasteful content, without executing anything; exit with 1 where there is some."""
    settings = read_settings(Path.cwd())
    least = _severity(fail_on, settings)
    destination = Destination(choose_form(LintFormat, format, as_json, output), output, force, paths, color=color, quiet=quiet)
    limits = parse_limits(tuple(limit or ()))
    chosen = _rules(select) or settings.select
    ignored = (*settings.ignore, *_rules(ignore))
    with progress("reading weights", quiet=quiet) as meter:
        if len(paths) == 1:
            report = api.lint(paths[0], select=chosen, ignore=ignored, measure=not no_measure, limits=limits, progress=meter)
            destination.write(report, top)
            return 1 if report.reaches(least) else 0
        every = api.lint_all(paths, select=chosen, ignore=ignored, measure=not no_measure, limits=limits, progress=meter)
    destination.write(every, top)
    if every.failed:
        raise IncompleteError(f"{plural(len(every.failed), 'path')} of {len(paths)} could not be inspected", every.failed[0].location)
    return 1 if every.reaches(least) else 0


def _severity(told: str | None, settings: Settings) -> Severity:
    text = told or settings.fail_on or Severity.WARNING
    try:
        return Severity(text)
    except ValueError as error:
        raise UsageError(f"there is no severity {text!r}: it is one of {', '.join(Severity)}") from error


def _rules(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
