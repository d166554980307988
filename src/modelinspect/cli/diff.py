"""The command ``diff``."""

from __future__ import annotations

from typing import Annotated

from modelinspect import api
from modelinspect.cli.options import (
    REPORT_FORMS,
    AfterArgument,
    BeforeArgument,
    ColorOption,
    FollowOption,
    ForceOption,
    FormatOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    OutputOption,
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
  modelinspect diff original.h5 pruned.h5
  modelinspect diff original.h5 pruned.tflite --format markdown
  modelinspect diff --content model.h5 small.h5
"""

_Content = Annotated[
    bool,
    Option(
        "--content",
        help="Compare what is stored and not how: every tensor and document; exit with 1 where one differs.",
    ),
]


def command(
    before: BeforeArgument,
    after: AfterArgument,
    content: _Content = False,
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
) -> int:
    """Say what differs between two artifacts, also of different formats: categories, layers, and each
    tensor's fate.
    """
    destination = Destination(
        choose_form(REPORT_FORMS, format, as_json, output),
        output,
        force,
        (before, after),
        color=color,
        quiet=quiet,
    )
    limits = limits_of(limit, follow)
    if content:
        compared = api.compare_content(before, after, limits=limits)
        destination.write(compared, top)
        return 0 if compared.same else 1
    with progress("reading weights", quiet=quiet) as meter:
        report = api.diff(before, after, measure=not no_measure, strict=strict, limits=limits, progress=meter)
    destination.write(report, top)
    require_complete(report.diagnostics)
    return 0
