"""Options that commands share, and the forms that each command can write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from modelinspect.cli.output import Color
from modelinspect.cli.parameters import Argument, BadValueError, Option
from modelinspect.core.limits import Limits, parse_limits
from modelinspect.errors import UsageError
from modelinspect.renderers.registry import BINARY, OutputFormat

REPORT_FORMS = (
    OutputFormat.TERMINAL,
    OutputFormat.JSON,
    OutputFormat.MARKDOWN,
    OutputFormat.CSV,
    OutputFormat.CSV_RAW,
    OutputFormat.PARQUET,
    OutputFormat.HTML,
)
"""The forms of every report."""

TEXT_FORMS = tuple(form for form in REPORT_FORMS if form not in BINARY)
"""The forms of a command whose report always goes to standard output."""

TENSOR_FORMS = (*REPORT_FORMS, OutputFormat.MODEL_EXPLORER, OutputFormat.NETRON)
"""The forms of a report that lists the tensors of a graph."""

MAP_FORMS = (*REPORT_FORMS, OutputFormat.IMHEX)
"""The forms of a map."""


class LintFormat(StrEnum):
    """The forms of findings."""

    TERMINAL = "terminal"
    JSON = "json"
    MARKDOWN = "markdown"
    CSV = "csv"
    CSV_RAW = "csv-raw"
    SARIF = "sarif"


class CheckFormat(StrEnum):
    """The forms of a check."""

    TERMINAL = "terminal"
    JSON = "json"
    MARKDOWN = "markdown"
    CSV = "csv"
    JUNIT = "junit"


_SUFFIXES = {
    ".json": OutputFormat.JSON,
    ".csv": OutputFormat.CSV,
    ".md": OutputFormat.MARKDOWN,
    ".html": OutputFormat.HTML,
    ".parquet": OutputFormat.PARQUET,
    ".sarif": OutputFormat.SARIF,
    ".xml": OutputFormat.JUNIT,
}
"""The form that the suffix of an output file stands for."""


def _form_parser(forms: Iterable[StrEnum]) -> Callable[[str], OutputFormat]:
    """Return what reads the value of ``--format``.

    A form of other commands is left to its renderer, which says what it needs.
    """

    def parse(text: str) -> OutputFormat:
        try:
            return OutputFormat(text)
        except ValueError as error:
            raise BadValueError(f"{text!r} is not one of {', '.join(map(_quoted, forms))}") from error

    return parse


def choose_form(
    forms: Iterable[StrEnum], format: StrEnum | None, as_json: bool, output: Path | None
) -> OutputFormat:
    """Return the form to write: ``--format``, ``--json``, the one of the output's suffix, or terminal text.

    Raises `UsageError` where the options contradict each other, or where the suffix stands for a form, or the
    option names a binary one, that is not one of the command's ``forms``.
    """
    if as_json and format not in (None, OutputFormat.JSON):
        raise UsageError(f"--json and --format {format} contradict each other")
    if as_json:
        return OutputFormat.JSON
    if format is not None:
        if format in BINARY and format not in tuple(forms):
            raise UsageError(f"this command has no form {format}; choose one of {', '.join(forms)}")
        return OutputFormat(format)
    form = _SUFFIXES.get(output.suffix.lower()) if output is not None else None
    if form is None:
        return OutputFormat.TERMINAL
    if form not in tuple(forms):
        raise UsageError(
            f"{output}: this command has no form {form}; choose one with --format: {', '.join(forms)}"
        )
    return form


def _quoted(form: str) -> str:
    return f"'{form}'"


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
        "--format", "-f", metavar="|".join(REPORT_FORMS), parser=_form_parser(REPORT_FORMS), help=FORMAT_HELP
    ),
]
TextFormatOption = Annotated[
    OutputFormat | None,
    Option(
        "--format",
        "-f",
        metavar="|".join(TEXT_FORMS),
        parser=_form_parser(TEXT_FORMS),
        help="The form of the report.",
    ),
]
MapFormatOption = Annotated[
    OutputFormat | None,
    Option("--format", "-f", metavar="|".join(MAP_FORMS), parser=_form_parser(MAP_FORMS), help=FORMAT_HELP),
]
TensorFormatOption = Annotated[
    OutputFormat | None,
    Option(
        "--format", "-f", metavar="|".join(TENSOR_FORMS), parser=_form_parser(TENSOR_FORMS), help=FORMAT_HELP
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
