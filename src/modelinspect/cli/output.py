"""Bring a report to where it should go: the terminal, a pipe, or a file that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TextIO, cast

from modelinspect.cli.commands import command_line
from modelinspect.core.artifact import Diagnostic, Severity
from modelinspect.core.records import dataclass
from modelinspect.core.replacing import replacing
from modelinspect.errors import IncompleteError, ModelInspectError, OutputError, UsageError
from modelinspect.renderers.escape import plain
from modelinspect.renderers.look import USUAL, Look
from modelinspect.renderers.registry import BINARY, OutputFormat, render, render_bytes, require
from modelinspect.reports.base import Report
from modelinspect.reports.entries import DiagnosticEntry


class Color(StrEnum):
    """Whether text is colored: ``auto`` asks the terminal, NO_COLOR and FORCE_COLOR."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a report goes and in which form; ``sources`` are never replaced, ``quiet`` drops notes.

    Raises `UsageError` before any work where a file is in the way, `MissingExtraError` where the form needs a
    package that is not installed.
    """

    format: OutputFormat
    output: Path | None = None
    force: bool = False
    sources: Sequence[str] = ()
    color: Color = Color.AUTO
    quiet: bool = False

    def __post_init__(self) -> None:
        require(self.format)
        if self.output is None:
            if self.format in BINARY:
                raise UsageError(f"{self.format} is binary; name a file with --output")
            return
        for source in self.sources:
            with suppress(OSError):
                if self.output.samefile(source):
                    raise UsageError(
                        f"{self.output}: is the artifact itself; name another file for the output"
                    )
        if self.output.is_dir():
            raise UsageError(f"{self.output}: is a folder; name a file for the output")
        if self.output.is_file() and not self.force:
            raise UsageError(f"{self.output}: exists; --force replaces it")

    def write(self, report: Report, top: int | None = None, links: Mapping[str, str] | None = None) -> None:
        """Write the report; ``links`` are addresses of pages by the location of a model.

        Raises `OutputError`.
        """
        if self.output is None:
            with _writing("standard output"):
                render(
                    report,
                    self.format,
                    _tolerant(sys.stdout),
                    _look(sys.stdout, top, self.color, links or {}),
                )
                sys.stdout.flush()
            return
        look = Look(
            width=_columns(),
            color=self.color is Color.ALWAYS,
            top=top,
            command=command_line(),
            links=links or {},
        )
        if self.format in BINARY:
            with _writing(str(self.output)), replacing(self.output, "wb") as out:
                render_bytes(report, self.format, out, look)
            return
        with _writing(str(self.output)), replacing(self.output, "w", "utf-8") as out:
            render(report, self.format, cast("TextIO", out), look)

    def note(self, text: str) -> None:
        """Write a line on the error stream, unless quiet."""
        if not self.quiet:
            write_line(f"modelinspect: {plain(text)}", sys.stderr)

    @property
    def draws(self) -> bool:
        """Return whether the format shows pictures."""
        return self.format is OutputFormat.HTML


def replace_document(path: Path, before: bytes, after: bytes) -> None:
    """Replace a document whole or not at all; its permissions stay.

    Raises `OutputError`, also where it is not ``before`` any more.
    """
    with _writing(str(path)), replacing(path, "wb", keep_mode=True) as out:
        if path.read_bytes() != before:
            raise OutputError(f"{path}: changed while its blocks were filled; run the command again")
        out.write(after)


def write_line(text: str, stream: TextIO) -> None:
    """Write a line and flush, so lines on both streams keep their order."""
    stream.write(f"{text}\n")
    stream.flush()


def require_complete(diagnostics: Iterable[Diagnostic | DiagnosticEntry]) -> None:
    """Raise `IncompleteError` where an artifact is damaged or cut short, once its report is written."""
    for found in diagnostics:
        if found.severity == Severity.ERROR:
            raise IncompleteError(
                f"{found.problem}; the report covers what is there", found.member, found.offset
            )


@contextmanager
def _writing(where: str) -> Iterator[None]:
    """Distinguish trouble with the output from trouble with the artifact."""
    try:
        yield
    except (BrokenPipeError, ModelInspectError):
        raise
    except OSError as error:
        raise OutputError(f"{where}: cannot be written: {error.strerror or error}") from error


def _look(stream: TextIO, top: int | None, color: Color, links: Mapping[str, str]) -> Look:
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    unicode = encoding.startswith("utf")
    return Look(
        width=_columns(),
        color=_is_colored(stream, color),
        unicode=unicode,
        top=top,
        command=command_line(),
        links=links,
    )


def _is_colored(stream: TextIO, color: Color) -> bool:
    """Return whether to color a stream: the option wins, then NO_COLOR, then FORCE_COLOR; a variable counts
    unless it is empty.
    """
    if color is not Color.AUTO:
        return color is Color.ALWAYS
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def _columns() -> int:
    return shutil.get_terminal_size((USUAL, 24)).columns


def _tolerant(stream: TextIO) -> TextIO:
    """Let characters that the stream's encoding lacks be written as escapes."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return stream
