"""The command ``tensors``."""

from __future__ import annotations

from modelinspect import api
from modelinspect.cli.models import choose_model, each, require_inspected, require_one_path
from modelinspect.cli.options import (
    TENSOR_FORMS,
    ColorOption,
    FollowOption,
    ForceOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    ModelOption,
    OutputOption,
    PathsArgument,
    PathsOption,
    QuietOption,
    StrictOption,
    TensorFormatOption,
    TopOption,
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.progress import progress
from modelinspect.reports.several import TensorsAllReport
from modelinspect.reports.tensors import TensorsReport, with_tensor_paths

EXAMPLES = """\b
Examples:
  modelinspect tensors model.h5
  modelinspect tensors model.keras --paths
  modelinspect tensors model.h5 --format csv -o tensors.csv
"""


def command(
    paths: PathsArgument,
    model: ModelOption = None,
    top: TopOption = None,
    show_paths: PathsOption = False,
    no_measure: MeasureOption = False,
    strict: StrictOption = False,
    format: TensorFormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> None:
    """List every tensor: role, dtype, shape, stored and logical size, zeros; the largest first."""
    form = choose_form(TENSOR_FORMS, format, as_json, output)
    destination = Destination(form, output, force, paths, color=color, quiet=quiet)
    require_one_path(paths, model, form)
    limits = limits_of(limit, follow)

    def tensors(path: str) -> TensorsReport:
        place = choose_model(path, model, limits)
        with progress("reading weights", quiet=quiet) as meter:
            report = api.tensors(
                place, measure=not no_measure, strict=strict, limits=limits, top=top, progress=meter
            )
        return with_tensor_paths(report) if show_paths else report

    if len(paths) > 1:
        reports, failed = each(paths, tensors)
        destination.write(TensorsAllReport(reports=reports, failed=failed))
        require_inspected(len(paths), failed, [found for report in reports for found in report.diagnostics])
        return
    report = tensors(paths[0])
    destination.write(report)
    require_complete(report.diagnostics)
