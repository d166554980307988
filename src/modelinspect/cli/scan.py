"""The command ``scan``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

from modelinspect.cli.forms import REPORT_FORMS, choose_form
from modelinspect.cli.invocation import command_line
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
from modelinspect.cli.parameters import Argument, Option
from modelinspect.cli.progress import progress
from modelinspect.cli.scan_pages import PageSettings, links, require_new_folder, write_pages
from modelinspect.errors import UsageError
from modelinspect.reports.blocks import Unit
from modelinspect.reports.scan import ScanReport
from modelinspect.reports.wording import plural
from modelinspect.scanning import scan

EXAMPLES = """\b
Examples:
  modelinspect scan models/
  modelinspect scan models/ --format csv -o models.csv
  modelinspect scan models/ --jobs 8 --no-measure
  modelinspect scan models/ -o models.html --pages models-pages
"""

_Roots = Annotated[list[str], Argument(metavar="ROOT...", help="Folders or artifacts, also remote ones (s3://bucket/models).")]
_Jobs = Annotated[
    int | None, Option("--jobs", "-j", min=1, metavar="N", help="Processes that inspect side by side; as many as there are cores.")
]

_Pages = Annotated[
    Path | None,
    Option(
        "--pages",
        metavar="DIR",
        help="With the form html: also write the page of each model, into a new folder, and link to it. Reads each model twice.",
    ),
]


def command(
    roots: _Roots,
    jobs: _Jobs = None,
    pages: _Pages = None,
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
    if pages is not None:
        if not destination.draws:
            raise UsageError("--pages needs the form html, whose table links to the pages; name a file with -o NAME.html")
        require_new_folder(pages)
    limits = limits_of(limit, follow)
    processes = jobs if jobs is not None else os.cpu_count() or 1
    with progress("inspecting", Unit.COUNT, quiet=quiet) as meter:
        if processes == 1:
            report = scan(roots, measure=not no_measure, limits=limits, progress=meter)
        else:
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
                report = scan(roots, executor, measure=not no_measure, limits=limits, progress=meter, again=_one_process)
    found: Mapping[str, str] = {}
    if pages is not None:
        settings = PageSettings(not no_measure, limits, command_line())
        found = _write_pages(report, pages, settings, processes, destination)
    destination.write(report, top, found)


def _write_pages(report: ScanReport, folder: Path, settings: PageSettings, processes: int, destination: Destination) -> Mapping[str, str]:
    """Write the page of each model and return the links to them. Models that could not be inspected have none."""
    with progress("writing pages", Unit.COUNT, quiet=destination.quiet) as meter:
        written, problems = write_pages(report, folder, settings, partial(_processes, processes), meter)
    for location, problem in problems.items():
        destination.note(f"{location}: has no page: {problem}")
    destination.note(f"{plural(len(written), 'page')} written to {folder}")
    return links(written, destination.output)


def _processes(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def _one_process() -> ProcessPoolExecutor:
    return _processes(1)
