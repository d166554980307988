"""The command ``inspect``."""

from __future__ import annotations

from modelinspect import api
from modelinspect.cli.models import choose_model, each, require_inspected, require_one_path
from modelinspect.cli.options import (
    TENSOR_FORMS,
    ByOption,
    ColorOption,
    FollowOption,
    ForceOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    ModelOption,
    OutputOption,
    PathsArgument,
    QuietOption,
    StrictOption,
    TensorFormatOption,
    TopOption,
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.progress import progress
from modelinspect.ledger.rollup import parse_keys
from modelinspect.reports.inspect import InspectReport
from modelinspect.reports.several import InspectAllReport

EXAMPLES = """\b
Examples:
  modelinspect model.h5
  modelinspect model.h5 --by layer,category --top 20
  modelinspect model.h5 --format json -o report.json
  modelinspect before.h5 after.h5 --top 5
  modelinspect models.zip --model encoder
  modelinspect model.h5 --format html -o report.html
"""


def command(
    paths: PathsArgument,
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
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> None:
    """Show where the bytes go: the answer, findings, a bar for each category, the largest tensors with their
    zeros.
    """
    form = choose_form(TENSOR_FORMS, format, as_json, output)
    destination = Destination(form, output, force, paths, color=color, quiet=quiet)
    require_one_path(paths, model, form)
    limits = limits_of(limit, follow)
    keys = parse_keys([key.strip() for key in by.split(",")] if by else [])
    draws = destination.draws and len(paths) == 1

    def inspect(path: str) -> InspectReport:
        place = choose_model(path, model, limits)
        with progress("reading weights", quiet=quiet) as meter:
            return api.inspect(
                place,
                measure=not no_measure,
                strict=strict,
                limits=limits,
                by=keys,
                top=top,
                progress=meter,
                pictures=draws,
            )

    if len(paths) > 1:
        reports, failed = each(paths, inspect)
        destination.write(InspectAllReport(reports=reports, failed=failed), top)
        require_inspected(len(paths), failed, [found for report in reports for found in report.diagnostics])
    elif model is None and (found := api.models(paths[0], limits=limits)).models:
        destination.write(found, top)
    else:
        report = inspect(paths[0])
        destination.write(report, top)
        require_complete(report.diagnostics)
