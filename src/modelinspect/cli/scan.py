"""The command ``scan``."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated

import typer

from modelinspect.cli.forms import REPORT_FORMS, choose_form
from modelinspect.cli.options import (
    ColorOption,
    FollowOption,
    ForceOption,
    FormatOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    OutputOption,
    QuietOption,
    TopOption,
    limits_of,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.progress import progress
from modelinspect.reports.blocks import Unit
from modelinspect.scanning import scan

EXAMPLES = """\b
Examples:
  modelinspect scan models/
  modelinspect scan models/ --format csv -o models.csv
  modelinspect scan models/ --jobs 8 --no-measure
"""

_Roots = Annotated[list[str], typer.Argument(metavar="ROOT...", help="Folders or artifacts, also remote ones (s3://bucket/models).")]
_Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, metavar="N", help="Processes that inspect side by side; as many as there are cores.")
]


def command(
    roots: _Roots,
    jobs: _Jobs = None,
    top: TopOption = None,
    no_measure: MeasureOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> None:
    """Inspect every artifact below the roots side by side, and put them into one table."""
    destination = Destination(choose_form(REPORT_FORMS, format, as_json, output), output, force, roots, color=color, quiet=quiet)
    limits = limits_of(limit, follow)
    processes = jobs if jobs is not None else os.cpu_count() or 1
    with progress("inspecting", Unit.COUNT, quiet=quiet) as meter:
        if processes == 1:
            report = scan(roots, measure=not no_measure, limits=limits, progress=meter)
        else:
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
                report = scan(roots, executor, measure=not no_measure, limits=limits, progress=meter, again=_one_process)
    destination.write(report, top)


def _one_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))
