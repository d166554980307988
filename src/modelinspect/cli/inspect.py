"""The command ``inspect``."""

from __future__ import annotations

from modelinspect import api
from modelinspect.cli.forms import TENSOR_FORMS, choose_form
from modelinspect.cli.models import choose_model
from modelinspect.cli.options import (
    ByOption,
    ColorOption,
    ForceOption,
    JsonOption,
    MeasureOption,
    ModelOption,
    OutputOption,
    PathArgument,
    QuietOption,
    StrictOption,
    TensorFormatOption,
    TopOption,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.progress import progress

EXAMPLES = """\b
Examples:
  modelinspect model.h5
  modelinspect model.h5 --by layer,category --top 20
  modelinspect model.h5 --format json -o report.json
  modelinspect models.zip --model encoder
  modelinspect model.h5 --format html -o report.html
"""


def command(
    path: PathArgument,
    model: ModelOption = None,
    by: ByOption = "",
    top: TopOption = None,
    no_measure: MeasureOption = False,
    strict: StrictOption = False,
    format: TensorFormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Show where the bytes go: a bar for each category, the largest tensors with their zeros, what stands out."""
    destination = Destination(choose_form(TENSOR_FORMS, format, as_json, output), output, force, path, color=color, quiet=quiet)
    if model is None and (found := api.models(path)).models:
        destination.write(found, top)
        return
    place = choose_model(path, model)
    keys = [key.strip() for key in by.split(",")] if by else []
    with progress("reading weights", quiet=quiet) as meter:
        report = api.inspect(place, measure=not no_measure, strict=strict, by=keys, top=top, progress=meter, pictures=destination.draws)
    destination.write(report, top)
    require_complete(report.diagnostics)
