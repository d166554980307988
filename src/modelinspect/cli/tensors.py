"""The command ``tensors``."""

from __future__ import annotations

from modelinspect import api
from modelinspect.cli.forms import TENSOR_FORMS, choose_form
from modelinspect.cli.models import choose_model
from modelinspect.cli.options import (
    ColorOption,
    ForceOption,
    JsonOption,
    MeasureOption,
    ModelOption,
    OutputOption,
    PathArgument,
    PathsOption,
    QuietOption,
    StrictOption,
    TensorFormatOption,
    TopOption,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.progress import progress
from modelinspect.reports.tensors import with_tensor_paths

EXAMPLES = """\b
Examples:
  modelinspect tensors model.h5
  modelinspect tensors model.keras --paths
  modelinspect tensors model.h5 --format csv -o tensors.csv
"""


def command(
    path: PathArgument,
    model: ModelOption = None,
    top: TopOption = None,
    paths: PathsOption = False,
    no_measure: MeasureOption = False,
    strict: StrictOption = False,
    format: TensorFormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """List every tensor: role, dtype, shape, stored and logical size, zeros; the largest first."""
    place = choose_model(path, model)
    destination = Destination(choose_form(TENSOR_FORMS, format, as_json, output), output, force, path, color=color, quiet=quiet)
    with progress("reading weights", quiet=quiet) as meter:
        report = api.tensors(place, measure=not no_measure, strict=strict, top=top, progress=meter)
    destination.write(with_tensor_paths(report) if paths else report)
    require_complete(report.diagnostics)
