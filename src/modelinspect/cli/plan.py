"""The command ``plan``."""

from __future__ import annotations

from typing import Annotated

from modelinspect import api
from modelinspect.cli.models import choose_model
from modelinspect.cli.options import (
    REPORT_FORMS,
    ColorOption,
    FollowOption,
    ForceOption,
    FormatOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    ModelOption,
    OutputOption,
    PathArgument,
    QuietOption,
    StrictOption,
    TopOption,
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.parameters import Option
from modelinspect.cli.progress import progress

EXAMPLES = """\b
Examples:
  modelinspect plan pruned.h5
  modelinspect plan pruned.h5 --only gzip-9,tflite-sparse
  modelinspect plan pruned.tflite --format json
  modelinspect plan model.keras --convert
  modelinspect plan model.keras --tensorflow 2.19
"""

_SECONDS = 20
OnlyOption = Annotated[
    str, Option("--only", metavar="OPTION[,OPTION...]", help="Compute only these; brotli-11 is the slowest.")
]
ConvertOption = Annotated[
    bool,
    Option(
        "--convert", help="Run TensorFlow's converter too and measure its files; needs modelinspect[prune]."
    ),
]
TensorFlowOption = Annotated[
    str,
    Option(
        "--tensorflow",
        metavar="RELEASE",
        help="Predict the TFLite files of this TensorFlow release, such as 2.19.",
    ),
]
NoLimitOption = Annotated[
    bool, Option("--no-limit", help=f"Compute everything, also what takes more than {_SECONDS} seconds.")
]


def command(
    path: PathArgument,
    model: ModelOption = None,
    only: OnlyOption = "",
    convert: ConvertOption = False,
    tensorflow: TensorFlowOption = "",
    no_limit: NoLimitOption = False,
    top: TopOption = None,
    no_measure: MeasureOption = False,
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
    """Say how small an artifact could be: each option's size, how it is known, what loads the result, how to
    get it.
    """
    limits = limits_of(limit, follow)
    place = choose_model(path, model, limits)
    destination = Destination(
        choose_form(REPORT_FORMS, format, as_json, output), output, force, (path,), color=color, quiet=quiet
    )
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    with progress("compressing", quiet=quiet) as meter:
        seconds = None if no_limit or wanted else _SECONDS

        def found(option: str, size: int, basis: str) -> None:
            meter.say(f"{option}: {size:,} bytes ({basis})")

        report = api.plan(
            place,
            only=wanted,
            seconds=seconds,
            measure=not no_measure,
            convert=convert,
            tensorflow=tensorflow,
            strict=strict,
            limits=limits,
            progress=meter,
            found=found,
        )
    destination.write(report, top)
    require_complete(report.diagnostics)
