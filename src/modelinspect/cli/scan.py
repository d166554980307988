"""The command ``scan``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, BinaryIO

from modelinspect.cli.check import settled_budget
from modelinspect.cli.commands import command_line
from modelinspect.cli.lint import rule_names, severity_named
from modelinspect.cli.options import (
    REPORT_FORMS,
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
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.parameters import Argument, Option
from modelinspect.cli.progress import progress
from modelinspect.cli.scan_pages import PageSettings, link_back, links, require_new_folder, write_pages
from modelinspect.cli.settings import Settings, read_settings
from modelinspect.core.artifact import Severity
from modelinspect.core.limits import parse_size
from modelinspect.core.settings_file import read_toml
from modelinspect.errors import IncompleteError, InvariantError, UsageError
from modelinspect.reports.blocks import Unit
from modelinspect.reports.dataset import DatasetReport
from modelinspect.reports.scan import Failure, ScanReport
from modelinspect.reports.wording import plural
from modelinspect.scanning import Rules, scan
from modelinspect.sources.opening import STANDARD_INPUT

EXAMPLES = """\b
Examples:
  modelinspect scan models/
  modelinspect scan models/ --format csv -o models.csv
  modelinspect scan models/ --jobs 8 --no-measure
  modelinspect scan models/ -o models.html --pages models-pages
  modelinspect scan s3://bucket/models --into scanned --resume
  modelinspect scan --files-from list.txt --timeout 60 --into scanned
  modelinspect scan models/ --lint --select unsafe --fail-on error
"""

_Roots = Annotated[
    list[str] | None,
    Argument(metavar="ROOT...", help="Folders or artifacts, also remote ones (s3://bucket/models)."),
]
_Jobs = Annotated[
    int | None,
    Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Processes that inspect side by side; as many as there are cores.",
    ),
]
_Pages = Annotated[
    Path | None,
    Option(
        "--pages",
        metavar="DIR",
        help=(
            "With the form html: also write the page of each model, into a new folder, and link to it. Reads"
            " each model twice."
        ),
    ),
]
_FilesFrom = Annotated[
    str | None,
    Option(
        "--files-from",
        metavar="FILE",
        help="Also inspect the artifacts that a file lists, one location per line; - is standard input.",
    ),
]
_Null = Annotated[
    bool,
    Option("--null", help="Locations of --files-from end with a NUL instead of a line break (find -print0)."),
]
_Into = Annotated[
    str | None,
    Option(
        "--into",
        metavar="DATASET",
        help="Write Parquet files into a folder, also a remote one, as artifacts are inspected.",
    ),
]
_Resume = Annotated[
    bool,
    Option("--resume", help="Go on with the dataset: inspect only what is not in it, or has changed since."),
]
_PartRows = Annotated[
    int | None,
    Option("--part-rows", min=1, metavar="N", help="Artifacts in a file of the dataset (default: 5000)."),
]
_Executor = Annotated[
    str | None,
    Option(
        "--executor",
        metavar="processes|threads|dask://HOST:PORT",
        help="What inspects side by side (default: processes).",
    ),
]
_Timeout = Annotated[
    float | None, Option("--timeout", metavar="SECONDS", help="Give up an artifact that takes longer.")
]
_Memory = Annotated[
    str | None,
    Option(
        "--memory",
        metavar="SIZE",
        help="The address space of one process, such as 4GiB (default: the memory of the machine).",
    ),
]
_Lint = Annotated[
    bool, Option("--lint", help="Also run the rules of lint; exit with 1 where they find something.")
]
_Select = Annotated[
    str, Option("--select", metavar="RULE[,RULE...]", help="With --lint: run only these rules.")
]
_Ignore = Annotated[
    str, Option("--ignore", metavar="RULE[,RULE...]", help="With --lint: run all rules but these.")
]
_FailOn = Annotated[
    str | None,
    Option(
        "--fail-on",
        metavar="|".join(Severity),
        help="With --lint: exit with 1 for findings at or above a severity (default: warning).",
    ),
]
_Check = Annotated[
    bool,
    Option(
        "--check", help="Also compare each artifact with a budget; exit with 1 where a limit is exceeded."
    ),
]
_Budget = Annotated[
    Path | None,
    Option(
        "--budget",
        metavar="FILE",
        help="With --check: the budget, in TOML; pyproject.toml may name it instead.",
    ),
]


def command(
    roots: _Roots = None,
    files_from: _FilesFrom = None,
    null: _Null = False,
    jobs: _Jobs = None,
    executor: _Executor = None,
    timeout: _Timeout = None,
    memory: _Memory = None,
    into: _Into = None,
    resume: _Resume = False,
    part_rows: _PartRows = None,
    lint: _Lint = False,
    select: _Select = "",
    ignore: _Ignore = "",
    fail_on: _FailOn = None,
    check: _Check = False,
    budget: _Budget = None,
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
) -> int:
    """Inspect every artifact below the roots side by side, into one table or a dataset of Parquet files."""
    places = roots or []
    if not places and files_from is None:
        raise UsageError("scan needs a ROOT, or --files-from")
    _require_company(
        ("--resume", resume, "--into", into),
        ("--part-rows", part_rows, "--into", into),
        ("--null", null, "--files-from", files_from),
    )
    _require_company(
        ("--select", select, "--lint", lint),
        ("--ignore", ignore, "--lint", lint),
        ("--fail-on", fail_on, "--lint", lint),
    )
    _require_company(("--budget", budget, "--check", check))
    destination = Destination(
        choose_form(REPORT_FORMS, format, as_json, output), output, force, places, color=color, quiet=quiet
    )
    if pages is not None:
        if into is not None:
            raise UsageError(
                "--pages writes the pages of one report, and --into a dataset; choose one of them"
            )
        if not destination.draws:
            raise UsageError(
                "--pages needs the form html, whose table links to the pages; name a file with -o NAME.html"
            )
        require_new_folder(pages)
    limits = limits_of(limit, follow)
    settings = read_settings(Path.cwd()) if lint else Settings()
    least = severity_named(fail_on, settings) if lint else None
    chosen = (
        Rules(rule_names(select) or settings.select, (*settings.ignore, *rule_names(ignore)))
        if lint
        else False
    )
    with progress("inspecting", Unit.COUNT, quiet=quiet) as meter:
        report = scan(
            places,
            executor
            or (
                None if jobs == 1 or STANDARD_INPUT in places else "processes"
            ),  # no other process has standard input
            locations=read_locations(files_from, null=null) if files_from is not None else (),
            into=into,
            resume=resume,
            part_rows=part_rows,
            jobs=jobs,
            measure=not no_measure,
            limits=limits,
            timeout=timeout,
            memory=None if memory is None else parse_size("--memory", memory),
            lint=chosen,
            budget=read_toml(budget or settled_budget()) if check else None,
            progress=meter,
        )
    found: Mapping[str, str] = {}
    if pages is not None and isinstance(report, ScanReport):
        back = link_back(destination.output, pages)
        page_settings = PageSettings(not no_measure, limits, command_line(), back)
        found = _write_pages(report, pages, page_settings, jobs or os.cpu_count() or 1, destination)
    destination.write(report, top, found)
    return _verdict(report, least, asks=lint or check)


def _require_company(*options: tuple[str, object, str, object]) -> None:
    """Raise `UsageError` for an option without the one that it is about."""
    for name, value, other, company in options:
        if value and not company:
            raise UsageError(f"{name} needs {other}")


def _verdict(report: ScanReport | DatasetReport, least: Severity | None, *, asks: bool) -> int:
    """Return the exit code: 1 for findings and exceeded limits.

    Raises where that was asked of artifacts that could not be inspected.
    """
    bugs = report.failures(Failure.BUG)
    if bugs:
        raise InvariantError(
            f"{plural(bugs, 'artifact')} could not be inspected because of a mistake in modelinspect"
        )
    failures = report.failures()
    if asks and failures:
        raise IncompleteError(f"{plural(failures, 'artifact')} could not be inspected")
    return 1 if report.exceeds(least) else 0


def _write_pages(
    report: ScanReport, folder: Path, settings: PageSettings, processes: int, destination: Destination
) -> Mapping[str, str]:
    """Write the page of each model and return the links to them.

    Models that could not be inspected have none.
    """
    with progress("writing pages", Unit.COUNT, quiet=destination.quiet) as meter:
        written, problems = write_pages(report, folder, settings, partial(_processes, processes), meter)
    for location, problem in problems.items():
        destination.note(f"{location}: has no page: {problem}")
    destination.note(f"{plural(len(written), 'page')} written to {folder}")
    return links(written, destination.output)


def _processes(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


_STANDARD_INPUT = "-"
_BLOCK = 1 << 16


def read_locations(name: str, *, null: bool = False) -> Iterator[str]:
    """Return the locations that a file lists, read as they are needed: one per line, or each ended by a NUL;
    empty ones are left out.

    ``-`` is standard input. Raises `UsageError` where the file cannot be opened.
    """
    if name == _STANDARD_INPUT:
        if sys.stdin.isatty():
            raise UsageError(
                "--files-from - reads locations from standard input, and that is a terminal; use: find models"
                " | modelinspect scan"
            )
        return _split(sys.stdin.buffer, null=null)
    try:
        return _split(Path(name).open("rb"), null=null)
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error


def _split(file: BinaryIO, *, null: bool) -> Iterator[str]:
    end = b"\0" if null else b"\n"
    left = b""
    with file:
        while block := file.read(_BLOCK):
            *whole, left = (left + block).split(end)
            yield from filter(None, (_location(one, null=null) for one in whole))
        yield from filter(None, (_location(left, null=null),))


def _location(line: bytes, *, null: bool) -> str:
    return os.fsdecode(line if null else line.removesuffix(b"\r"))
