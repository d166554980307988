"""The command ``map``."""

from __future__ import annotations

from typing import Annotated

from modelinspect import api
from modelinspect.analyses.regions import map_regions, reader
from modelinspect.cli.models import choose_model
from modelinspect.cli.options import (
    MAP_FORMS,
    ColorOption,
    FollowOption,
    ForceOption,
    JsonOption,
    LimitOption,
    MapFormatOption,
    ModelOption,
    OutputOption,
    PathArgument,
    QuietOption,
    StrictOption,
    choose_form,
    limits_of,
    offset,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.parameters import Option

EXAMPLES = """\b
Examples:
  modelinspect map model.h5 --at 0x200
  modelinspect map model.h5 --hex --from 0 --size 512
  modelinspect map model.h5 --format csv -o regions.csv
  modelinspect map model.tflite --format imhex -o bookmarks.hexbm
"""

_Member = Annotated[str | None, Option("--member", metavar="NAME", help="Look at one file of the artifact.")]
_At = Annotated[
    int | None,
    Option(
        "--at", metavar="OFFSET", parser=offset, help="Say who owns the byte at an offset (512 or 0x200)."
    ),
]
_From = Annotated[
    int | None, Option("--from", metavar="OFFSET", parser=offset, help="Begin with the region at an offset.")
]
_Size = Annotated[
    int | None,
    Option("--size", metavar="BYTES", parser=offset, help="Look at that many bytes, none left out."),
]
_Hex = Annotated[
    bool, Option("--hex", help="Show the bytes beside what they are; the middle of long regions is left out.")
]


def command(
    path: PathArgument,
    model: ModelOption = None,
    at: _At = None,
    hex: _Hex = False,
    member: _Member = None,
    begin: _From = None,
    size: _Size = None,
    strict: StrictOption = False,
    format: MapFormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> None:
    """List every region of the file; say who owns a byte; dump bytes with what they are."""
    limits = limits_of(limit, follow)
    place = choose_model(path, model, limits)
    destination = Destination(
        choose_form(MAP_FORMS, format, as_json, output), output, force, (path,), color=color, quiet=quiet
    )
    with api.opened(place, strict=strict, limits=limits) as (artifact, files):
        read = reader(files) if hex else None
        drawn = api.draw(artifact) if destination.draws else None
        destination.write(
            map_regions(artifact, member=member, at=at, offset=begin, size=size, read=read, drawn=drawn)
        )
        require_complete(artifact.diagnostics)
