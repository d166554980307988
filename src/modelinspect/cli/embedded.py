"""Run a command for a document: only commands that read, in the document's folder, in this process."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from modelinspect.cli.commands import COMMANDS, PROGRAM
from modelinspect.core.suggestions import did_you_mean
from modelinspect.documents.blocks import Output
from modelinspect.errors import IncompleteError, OutputError, UsageError
from modelinspect.renderers.registry import BINARY, OutputFormat

COLUMNS = 80
"""Characters of a line in a document, wherever it is made."""
LARGEST = 1024 * 1024
"""Bytes that one command may put into a document."""

_LOOKS = frozenset(("model", "top", "no_measure", "strict", "format", "as_json", "quiet", "limit"))
READING: dict[str, frozenset[str]] = {
    "inspect": _LOOKS | {"paths", "by"},
    "tensors": _LOOKS | {"paths", "show_paths"},
    "map": _LOOKS | {"path", "at", "hex", "member", "begin", "size"},
    "diff": _LOOKS | {"before", "after", "content"},
    "explain": _LOOKS | {"path", "after", "compressors"},
    "lint": _LOOKS | {"paths", "rules", "select", "ignore", "fail_on"},
    "plan": _LOOKS | {"path", "only", "tensorflow"},
    "shrink": _LOOKS | {"paths", "check", "dry_run", "drop", "loaders", "level"},
    "check": _LOOKS | {"paths", "budget"},
    "scan": _LOOKS | {"roots", "lint", "select", "ignore", "fail_on", "check", "budget"},
}
"""The commands that a document may run, each with the parameters that it may give: none of them writes, and
none runs other programs.

A parameter that is not listed is refused, so a new option of a command is not allowed before somebody looked
at it.
"""
_FIXED = {"scan": ("--jobs", "1"), "plan": ("--no-limit",)}
"""Options that commands of documents have: a scan starts no processes, and a plan does not depend on how fast
a machine is.
"""
_LOCATIONS = frozenset(("path", "paths", "before", "after", "roots", "budget"))
_PAGES = frozenset((OutputFormat.HTML, *BINARY))
_LANGUAGES = {
    OutputFormat.JSON: "json",
    OutputFormat.SARIF: "json",
    OutputFormat.NETRON: "json",
    OutputFormat.MODEL_EXPLORER: "json",
    OutputFormat.IMHEX: "json",
    OutputFormat.JUNIT: "xml",
    OutputFormat.MARKDOWN: "",
}
"""The language of the code block around a form; text where none is listed, and none around Markdown."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A command that reads and was found to be allowed; ``locations`` are the files and folders it names,
    relative to the document.
    """

    arguments: tuple[str, ...]
    form: OutputFormat
    locations: tuple[str, ...]


def parse_reading(arguments: Sequence[str]) -> Reading:
    """Check the command of a document.

    Raises `UsageError` where it could write, run something, or reach elsewhere.
    """
    if not arguments:
        raise UsageError(f"the mark names no command; it is one of {', '.join(READING)}")
    name, *rest = arguments
    if name not in READING:
        why = "may write, so documents cannot run it" if name in COMMANDS else "is not a command"
        raise UsageError(
            f"{name!r} {why}; use one of {', '.join(READING)}{did_you_mean(name, READING, 0.75)}"
        )
    if "-" in rest:
        raise UsageError("a document cannot read standard input")
    given = _given(name, rest)
    for parameter, option in given.options.items():
        if parameter not in READING[name]:
            raise UsageError(f"a document cannot use {option} of {name}: only options that read are allowed")
    if name == "shrink" and not given.options.keys() & {"check", "dry_run"}:
        raise UsageError("shrink writes; a document needs --dry-run or --check")
    form = _form(given)
    locations = tuple(place for parameter in sorted(_LOCATIONS) for place in given.values(parameter))
    for place in locations:
        _require_beside(place)
    return Reading((name, *_FIXED.get(name, ()), *rest), form, locations)


def run_reading(reading: Reading, folder: Path) -> Output:
    """Run a command in the folder of a document and return what it prints, 80 columns wide and without color.

    Findings and exceeded budgets are output like any other. Raises `ModelInspectError` where the command
    fails.
    """
    from modelinspect.cli.main import FAILED, INTERRUPTED, USAGE, main

    out, err = io.TextIOWrapper(_Bounded(), "utf-8", newline="\n", write_through=True), io.StringIO()
    with (
        chdir(folder),
        _environment(COLUMNS=str(COLUMNS), NO_COLOR="1"),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = copy_context().run(main, reading.arguments)
    problem = err.getvalue().strip().removeprefix(f"{PROGRAM}: ")
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code == USAGE:
        raise UsageError(problem if problem else f"{reading.arguments[0]} needs arguments")
    if code == FAILED:
        raise IncompleteError(problem)
    buffer = out.detach()
    return Output(buffer.getvalue().decode("utf-8"), _LANGUAGES.get(reading.form, "text"))


class _Bounded(io.BytesIO):
    """Bytes in memory, no more than a document should have."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > LARGEST:
            raise OutputError(f"it prints more than {LARGEST:,} bytes; --top and --size make it shorter")
        return super().write(data)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a command line gives: how each parameter is written, and the values of all."""

    options: dict[str, str]
    texts: dict[str, Any]

    def values(self, parameter: str) -> tuple[str, ...]:
        """Return the texts of a parameter, none where it is not given."""
        value = self.texts.get(parameter)
        return tuple(value) if isinstance(value, list | tuple) else (str(value),) if value is not None else ()


def _given(name: str, arguments: Sequence[str]) -> _Given:
    """Split a command line as the command itself does, without running any part of it.

    Raises `UsageError`.
    """
    import typer

    from modelinspect.cli.app import app
    from modelinspect.cli.main import click_errors

    group: Any = typer.main.get_command(app)
    command = group.get_command(None, name)
    context = command.context_class(command, info_name=name)
    try:
        texts, _, order = command.make_parser(context).parse_args(list(arguments))
    except click_errors()[1] as error:
        raise UsageError(f"{name}: {error.format_message().rstrip('.')}") from error
    # An argument that is not there is in the order too, with no value.
    used = [parameter for parameter in order if texts.get(parameter.name) not in (None, ())]
    return _Given(
        {one.name: next((text for text in one.opts if text.startswith("--")), one.opts[0]) for one in used},
        dict(texts),
    )


def _form(given: _Given) -> OutputFormat:
    """Return the form of the output.

    Raises `UsageError` for one that is a page or binary; the command checks the rest.
    """
    if "as_json" in given.options:
        return OutputFormat.JSON
    name = next(iter(given.values("format")), OutputFormat.TERMINAL)
    form = OutputFormat(name) if name in tuple(OutputFormat) else OutputFormat.TERMINAL
    if form in _PAGES:
        raise UsageError(f"a document cannot have the form {form}; use terminal, markdown, json or csv")
    return form


def _require_beside(place: str) -> None:
    """Raise `UsageError` for a location that is not a path relative to the document."""
    if "://" in place:
        raise UsageError(f"{place}: a document shows local models only")
    if PurePath(place).is_absolute() or PureWindowsPath(place).is_absolute():
        raise UsageError(f"{place}: a path in a document is relative to the document")


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set variables of the environment for a time."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
