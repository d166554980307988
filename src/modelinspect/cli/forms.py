"""The forms that each command can write, and how one of them is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

from modelinspect.cli.parameters import BadValueError
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


def form_parser(forms: Iterable[StrEnum]) -> Callable[[str], OutputFormat]:
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
