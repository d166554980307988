"""The command ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from modelinspect import api
from modelinspect.budgets.file import read_budget, read_models
from modelinspect.cli.models import choose_model, each, require_inspected, require_one_path
from modelinspect.cli.options import (
    FORMAT_HELP,
    CheckFormat,
    ColorOption,
    FollowOption,
    ForceOption,
    JsonOption,
    LimitOption,
    ModelOption,
    OutputOption,
    QuietOption,
    TopOption,
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.parameters import Argument, Option
from modelinspect.cli.progress import progress
from modelinspect.cli.settings import read_settings
from modelinspect.core.limits import Limits
from modelinspect.core.replacing import replacing
from modelinspect.errors import OutputError, UsageError
from modelinspect.reports.check import CheckReport
from modelinspect.reports.several import CheckAllReport

EXAMPLES = """\b
Examples:
  modelinspect check model.tflite --budget budget.toml
  modelinspect check models/ --init
  modelinspect check
  modelinspect check model.tflite --budget budget.toml --update-lock
  modelinspect check model.keras --budget budget.toml --format junit -o sizes.xml
"""


NEEDS_ARGUMENTS = False

_Format = Annotated[
    CheckFormat | None, Option("--format", "-f", metavar="|".join(CheckFormat), help=FORMAT_HELP)
]
_Budget = Annotated[
    Path | None,
    Option("--budget", "-b", metavar="FILE", help="The budget, in TOML; pyproject.toml may name it instead."),
]
_Update = Annotated[
    bool,
    Option("--update-lock", help="Write the lock that growth is measured against, after a look at this run."),
]
_Init = Annotated[bool, Option("--init", help="Write the budget and its lock from today's sizes of PATHs.")]
_Paths = Annotated[
    list[str] | None,
    Argument(metavar="[PATH]...", help="Models; without any, all that the budget lists under [[models]]."),
]
_USUAL = Path("budget.toml")


def command(
    paths: _Paths = None,
    model: ModelOption = None,
    budget: _Budget = None,
    init: _Init = False,
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
    """Compare models with a budget of sizes; exit with 1 where a limit is exceeded."""
    places = paths or []
    form = choose_form(CheckFormat, format, as_json, output)
    destination = Destination(form, output, force, places, color=color, quiet=quiet)
    require_one_path(places, model, form)
    limits = limits_of(limit, follow)
    if init:
        return _write_budget(places, budget or _USUAL, limits, destination)
    chosen = budget if budget is not None else settled_budget()
    if model is None and read_models(chosen) is not None:
        return _check_models(places, chosen, update_lock, limits, destination, top)
    if not places:
        raise UsageError(
            f"{chosen} has limits of one model: name the model, or list several under [[models]]"
        )

    def check(path: str) -> CheckReport:
        place = choose_model(path, model, limits)
        with progress("reading weights", quiet=quiet) as meter:
            return api.check(place, chosen, growth=not update_lock, limits=limits, progress=meter)

    if len(places) > 1:
        _require_no_lock(chosen, update_lock)
        reports, failed = each(places, check)
        passed = not failed and all(report.passed for report in reports)
        destination.write(CheckAllReport(passed=passed, reports=reports, failed=failed), top)
        require_inspected(len(places), failed)
        return 0 if passed else 1
    report = check(places[0])
    if update_lock:
        _write(api.lock_path(chosen), api.lock_text(report))
        destination.note(f"wrote {api.lock_path(chosen)}")
    destination.write(report, top)
    return 0 if report.passed else 1


def _check_models(
    places: list[str],
    budget: Path,
    update_lock: bool,
    limits: Limits | None,
    destination: Destination,
    top: int | None,
) -> int:
    with progress("reading weights", quiet=destination.quiet) as meter:
        report = api.check_models(budget, places, growth=not update_lock, limits=limits, progress=meter)
    if update_lock and not report.failed:
        path, text = api.models_lock(budget, report.reports)
        _write(path, text)
        destination.note(f"wrote {path}")
    destination.write(report, top)
    require_inspected(len(report.reports) + len(report.failed), report.failed)
    return 0 if report.passed else 1


def _write_budget(places: list[str], budget: Path, limits: Limits | None, destination: Destination) -> int:
    """Write a budget and its lock from today's sizes."""
    if not places:
        raise UsageError("--init needs the models: modelinspect check models/ --init")
    if budget.exists() and not destination.force:
        raise UsageError(f"{budget}: exists; --force replaces it")
    with progress("reading weights", quiet=destination.quiet) as meter:
        text, lock, lock_text = api.first_budget(places, budget, limits=limits, progress=meter)
    _write(budget, text)
    _write(lock, lock_text)
    destination.note(f"wrote {budget} and {lock}; modelinspect check --budget {budget} compares with them")
    return 0


def settled_budget() -> Path:
    """Return the budget that pyproject.toml names, or budget.toml.

    Raises `UsageError` where there is neither.
    """
    settings = read_settings(Path.cwd())
    if settings.budget is not None:
        return settings.folder / settings.budget
    if _USUAL.is_file():
        return _USUAL
    raise UsageError(
        "check needs a budget: modelinspect check MODELS --init writes budget.toml; --budget names another"
        " file"
    )


def _require_no_lock(budget: Path, update_lock: bool) -> None:
    """Raise `UsageError` where several paths would share a lock, which holds the sizes of one model."""
    if update_lock or read_budget(budget).growth:
        raise UsageError(
            f"{budget}: growth is measured against the lock of one model; list the models under [[models]],"
            " or check one PATH"
        )


def _write(path: Path, text: str) -> None:
    try:
        with replacing(path, "w", "utf-8") as out:
            out.write(text)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
