"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from modelinspect.cli.forms import MAP_FORMS, REPORT_FORMS, TENSOR_FORMS, TEXT_FORMS, form_parser
from modelinspect.cli.output import Color
from modelinspect.cli.parameters import Argument, BadValueError, Option
from modelinspect.core.limits import Limits, parse_limits
from modelinspect.renderers.registry import OutputFormat

PathArgument = Annotated[
    str,
    Argument(
        metavar="PATH", help="A model file, a folder, the prefix of a checkpoint, or - for standard input."
    ),
]
PathsArgument = Annotated[
    list[str],
    Argument(
        metavar="PATH...", help="Model files, folders, prefixes of checkpoints, or - for standard input."
    ),
]
BeforeArgument = Annotated[str, Argument(metavar="BEFORE", help="The first model.")]
AfterArgument = Annotated[str, Argument(metavar="AFTER", help="The second model.")]
OptionalAfterArgument = Annotated[
    str | None,
    Argument(metavar="[AFTER]", help="The second model; without it, the size of PATH is explained."),
]
FORMAT_HELP = "The form of the report; by default from the suffix of the output file."
FormatOption = Annotated[
    OutputFormat | None,
    Option(
        "--format", "-f", metavar="|".join(REPORT_FORMS), parser=form_parser(REPORT_FORMS), help=FORMAT_HELP
    ),
]
TextFormatOption = Annotated[
    OutputFormat | None,
    Option(
        "--format",
        "-f",
        metavar="|".join(TEXT_FORMS),
        parser=form_parser(TEXT_FORMS),
        help="The form of the report.",
    ),
]
MapFormatOption = Annotated[
    OutputFormat | None,
    Option("--format", "-f", metavar="|".join(MAP_FORMS), parser=form_parser(MAP_FORMS), help=FORMAT_HELP),
]
TensorFormatOption = Annotated[
    OutputFormat | None,
    Option(
        "--format", "-f", metavar="|".join(TENSOR_FORMS), parser=form_parser(TENSOR_FORMS), help=FORMAT_HELP
    ),
]
JsonOption = Annotated[bool, Option("--json", help="The same as --format json.")]
ColorOption = Annotated[
    Color,
    Option(
        "--color",
        metavar="|".join(Color),
        help="Color the text; auto: on a terminal, unless NO_COLOR or FORCE_COLOR is set.",
    ),
]
QuietOption = Annotated[bool, Option("--quiet", "-q", help="Show no progress and no notes, only errors.")]
OutputOption = Annotated[
    Path | None,
    Option("--output", "-o", metavar="FILE", help="Write to a file; it appears whole or not at all."),
]
ForceOption = Annotated[bool, Option("--force", help="Replace the output file if it exists.")]
MeasureOption = Annotated[
    bool, Option("--no-measure", help="Read only the structure, no weights; zeros are not counted.")
]
CompressorsOption = Annotated[
    bool | None,
    Option(
        "--compressors/--no-compressors",
        help="Compress both files, or neither; by default up to 16 MiB each, where the result matters.",
    ),
]
StrictOption = Annotated[
    bool, Option("--strict", help="Stop at the first problem instead of reporting it and going on.")
]
LimitOption = Annotated[
    list[str] | None,
    Option(
        "--limit",
        metavar="NAME=VALUE",
        help="Raise or lower a limit, such as structure_size=1GiB; may be repeated.",
    ),
]
FollowOption = Annotated[
    bool, Option("--follow", help="Follow redirects to other hosts, for a PATH that is an address.")
]
TopOption = Annotated[
    int | None, Option("--top", min=1, metavar="N", help="Show the N largest rows and the sum of the rest.")
]
ModelOption = Annotated[
    str | None,
    Option(
        "--model",
        metavar="NAME",
        help="The model to use in a folder or archive with several; inspect lists them.",
    ),
]
PathsOption = Annotated[bool, Option("--paths", help="Also show where each tensor is stored.")]
ByOption = Annotated[
    str,
    Option(
        "--by",
        metavar="KEY[,KEY...]",
        help="Sum the bytes by: category, member, layer, tensor, role, dtype, kind, path, structure.",
    ),
]


def limits_of(settings: list[str] | None, follow: bool) -> Limits | None:
    """Return the limits that ``--limit`` and ``--follow`` ask for, None for the usual ones.

    Raises `UsageError`.
    """
    return parse_limits(tuple(settings or ()), follow=follow)


def offset(text: str) -> int:
    """Read an offset or size: decimal, also with commas, or hexadecimal with 0x."""
    try:
        value = int(text.replace(",", "").replace("_", ""), 0)
    except ValueError as error:
        raise BadValueError(f"{text!r} is not a number; write 512 or 0x200") from error
    if value < 0:
        raise BadValueError(f"{text} is negative; offsets count from the start of the file")
    return value
