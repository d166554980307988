"""The command ``explain``."""

from __future__ import annotations

from pathlib import Path

from modelinspect import api
from modelinspect.cli.forms import REPORT_FORMS, choose_form
from modelinspect.cli.models import choose_model, model_names
from modelinspect.cli.options import (
    ColorOption,
    CompressorsOption,
    FollowOption,
    ForceOption,
    FormatOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    ModelOption,
    OptionalAfterArgument,
    OutputOption,
    PathArgument,
    QuietOption,
    StrictOption,
    TopOption,
    limits_of,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.progress import progress

EXAMPLES = """\b
Examples:
  modelinspect explain original.h5 pruned.h5
  modelinspect explain pruned.tflite
  modelinspect explain original.h5 pruned.h5 --format markdown -o why.md
  modelinspect explain dense-zeros
"""


def command(
    path: PathArgument,
    after: OptionalAfterArgument = None,
    model: ModelOption = None,
    top: TopOption = None,
    no_measure: MeasureOption = False,
    compressors: CompressorsOption = None,
    strict: StrictOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> None:
    """Say why an artifact has its size, or why AFTER differs in size from PATH or does not: causes, bytes, remedies.

    The name of a rule or a cause in place of PATH says what it means.
    """
    form = choose_form(REPORT_FORMS, format, as_json, output)
    sources = (path,) if after is None else (path, after)
    destination = Destination(form, output, force, sources, color=color, quiet=quiet)
    if after is None and not Path(path).exists() and (found := api.meaning(path)) is not None:
        destination.write(found, top)
        return
    limits = limits_of(limit, follow)
    place = choose_model(path, model, limits)
    other = None if after is None else choose_model(after, model if model in model_names(after, limits) else None, limits)
    with progress("reading", quiet=quiet) as meter:
        report = api.explain(place, other, measure=not no_measure, compressors=compressors, strict=strict, limits=limits, progress=meter)
    destination.write(report, top)
    require_complete(report.diagnostics)
