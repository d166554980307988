"""Declares the options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelinspect.cli.forms import REPORT_FORMS, TENSOR_FORMS, form_parser
from modelinspect.cli.output import Color
from modelinspect.core.limits import Limits, parse_limits
from modelinspect.renderers.registry import OutputFormat

PathArgument = Annotated[str, typer.Argument(metavar="PATH", help="A model file, a folder, or the prefix of a checkpoint.")]
PathsArgument = Annotated[list[str], typer.Argument(metavar="PATH...", help="Model files, folders, or prefixes of checkpoints.")]
BeforeArgument = Annotated[str, typer.Argument(metavar="BEFORE", help="The artifact to compare with.")]
AfterArgument = Annotated[str, typer.Argument(metavar="AFTER", help="The artifact that came of it.")]
OptionalAfterArgument = Annotated[
    str | None, typer.Argument(metavar="[AFTER]", help="The artifact that came of PATH; without it, PATH alone is explained.")
]
FORMAT_HELP = "How to write the report; without it, the suffix of its file decides."
FormatOption = Annotated[
    OutputFormat | None,
    typer.Option("--format", "-f", metavar="|".join(REPORT_FORMS), parser=form_parser(REPORT_FORMS), help=FORMAT_HELP),
]
TensorFormatOption = Annotated[
    OutputFormat | None,
    typer.Option("--format", "-f", metavar="|".join(TENSOR_FORMS), parser=form_parser(TENSOR_FORMS), help=FORMAT_HELP),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
ColorOption = Annotated[
    Color, typer.Option("--color", metavar="|".join(Color), help="Color the text; auto: on a terminal, or as NO_COLOR and FORCE_COLOR say.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no notes; errors are still written.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file; it appears whole or not at all.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")]
MeasureOption = Annotated[bool, typer.Option("--no-measure", help="Read the structure alone, no weights: zeros stay unknown.")]
CompressorsOption = Annotated[
    bool | None,
    typer.Option(
        "--compressors/--no-compressors",
        help="Compress both for real, however large, or not at all; unless said, up to 16 MiB each where it answers something.",
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first trouble instead of going on with a diagnostic.")]
LimitOption = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=VALUE", help="Raise or lower a limit, such as structure_size=1GiB; may be repeated."),
]
FollowOption = Annotated[bool, typer.Option("--follow", help="Follow redirects to other hosts, for a PATH that is an address.")]
TopOption = Annotated[int | None, typer.Option("--top", min=1, metavar="N", help="Show the N largest rows; one more sums up the rest.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Which model of a folder or archive with several, as inspect lists them.")
]
PathsOption = Annotated[bool, typer.Option("--paths", help="Also show where the artifact stores each tensor.")]
ByOption = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="KEY[,KEY...]",
        help="Roll the bytes up by: category, member, layer, tensor, role, dtype, kind, path, structure.",
    ),
]


def limits_of(settings: list[str] | None, follow: bool) -> Limits | None:
    """Return the limits that ``--limit`` and ``--follow`` ask for, None for the usual ones. Raises `UsageError`."""
    return parse_limits(tuple(settings or ()), follow=follow)


def offset(text: str) -> int:
    """Read an offset or size: decimal, also with commas, or hexadecimal with 0x."""
    try:
        value = int(text.replace(",", "").replace("_", ""), 0)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no number; write 512 or 0x200") from error
    if value < 0:
        raise typer.BadParameter(f"{text} is negative; offsets count from the start of the file")
    return value
