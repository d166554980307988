"""The command ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelinspect import api
from modelinspect.cli.forms import CheckFormat, choose_form
from modelinspect.cli.models import choose_model
from modelinspect.cli.options import (
    FORMAT_HELP,
    ColorOption,
    ForceOption,
    JsonOption,
    ModelOption,
    OutputOption,
    PathArgument,
    QuietOption,
    TopOption,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.progress import progress
from modelinspect.cli.settings import read_settings
from modelinspect.errors import OutputError, UsageError

EXAMPLES = """\b
Examples:
  modelinspect check model.tflite --budget budget.toml
  modelinspect check model.tflite --budget budget.toml --update-lock
  modelinspect check model.keras --budget budget.toml --format junit -o sizes.xml
"""


_Format = Annotated[CheckFormat | None, typer.Option("--format", "-f", metavar="|".join(CheckFormat), help=FORMAT_HELP)]
_Budget = Annotated[
    Path | None, typer.Option("--budget", "-b", metavar="FILE", help="The budget, in TOML; pyproject.toml may name it instead.")
]
_Update = Annotated[bool, typer.Option("--update-lock", help="Write the lock that growth is measured against, after a look at this run.")]


def command(
    path: PathArgument,
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
) -> int:
    """Hold an artifact against a budget of sizes; exit with 1 where a limit is exceeded."""
    chosen = budget if budget is not None else _settled()
    place = choose_model(path, model)
    destination = Destination(choose_form(CheckFormat, format, as_json, output), output, force, path, color=color, quiet=quiet)
    with progress("reading weights", quiet=quiet) as meter:
        report = api.check(place, chosen, growth=not update_lock, progress=meter)
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


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
