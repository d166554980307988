"""The command ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelinspect import api
from modelinspect.analyses.budget_file import read_budget
from modelinspect.cli.forms import CheckFormat, choose_form
from modelinspect.cli.models import choose_model
from modelinspect.cli.options import (
    FORMAT_HELP,
    ColorOption,
    FollowOption,
    ForceOption,
    JsonOption,
    LimitOption,
    ModelOption,
    OutputOption,
    PathsArgument,
    QuietOption,
    TopOption,
    limits_of,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.progress import progress
from modelinspect.cli.settings import read_settings
from modelinspect.cli.several import each, require_inspected, require_one_path
from modelinspect.errors import OutputError, UsageError
from modelinspect.reports.check import CheckReport
from modelinspect.reports.several import CheckAllReport

EXAMPLES = """\b
Examples:
  modelinspect check model.tflite --budget budget.toml
  modelinspect check encoder.tflite decoder.tflite --budget budget.toml
  modelinspect check model.tflite --budget budget.toml --update-lock
  modelinspect check model.keras --budget budget.toml --format junit -o sizes.xml
"""


_Format = Annotated[CheckFormat | None, typer.Option("--format", "-f", metavar="|".join(CheckFormat), help=FORMAT_HELP)]
_Budget = Annotated[
    Path | None, typer.Option("--budget", "-b", metavar="FILE", help="The budget, in TOML; pyproject.toml may name it instead.")
]
_Update = Annotated[bool, typer.Option("--update-lock", help="Write the lock that growth is measured against, after a look at this run.")]


def command(
    paths: PathsArgument,
    model: ModelOption = None,
    budget: _Budget = None,
    update_lock: _Update = False,
    top: TopOption = None,
    format: _Format = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> int:
    """Hold an artifact against a budget of sizes; exit with 1 where a limit is exceeded."""
    chosen = budget if budget is not None else _settled()
    form = choose_form(CheckFormat, format, as_json, output)
    destination = Destination(form, output, force, paths, color=color, quiet=quiet)
    require_one_path(paths, model, form)
    limits = limits_of(limit, follow)

    def check(path: str) -> CheckReport:
        place = choose_model(path, model, limits)
        with progress("reading weights", quiet=quiet) as meter:
            return api.check(place, chosen, growth=not update_lock, limits=limits, progress=meter)

    if len(paths) > 1:
        _require_no_lock(chosen, update_lock)
        reports, failed = each(paths, check)
        passed = not failed and all(report.passed for report in reports)
        destination.write(CheckAllReport(passed=passed, reports=reports, failed=failed), top)
        require_inspected(len(paths), failed)
        return 0 if passed else 1
    report = check(paths[0])
    if update_lock:
        _write(api.lock_path(chosen), api.lock_text(report))
        destination.note(f"wrote {api.lock_path(chosen)}")
    destination.write(report, top)
    return 0 if report.passed else 1


def _settled() -> Path:
    settings = read_settings(Path.cwd())
    if settings.budget is None:
        raise UsageError("check needs a budget: --budget budget.toml, or budget in [tool.modelinspect.check] of pyproject.toml")
    return settings.folder / settings.budget


def _require_no_lock(budget: Path, update_lock: bool) -> None:
    """Raise `UsageError` where several paths would share a lock, which holds the sizes of one model."""
    if update_lock or read_budget(budget).growth:
        raise UsageError(f"{budget}: growth is measured against the lock of one model; check one PATH, or leave growth out of the budget")


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
