"""The command ``embed``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

from modelinspect.cli.embedded import parse_reading, run_reading
from modelinspect.cli.options import (
    TEXT_FORMS,
    ColorOption,
    JsonOption,
    QuietOption,
    TextFormatOption,
    choose_form,
)
from modelinspect.cli.output import Color, Destination, replace_document
from modelinspect.cli.parameters import Argument, Option
from modelinspect.cli.progress import progress
from modelinspect.core.suggestions import did_you_mean
from modelinspect.documents.blocks import Block, Document, Output, body_of, decode, filled, parse
from modelinspect.errors import (
    FormatError,
    IncompleteError,
    InvariantError,
    LocationError,
    ModelInspectError,
    UsageError,
)
from modelinspect.reports.blocks import Unit
from modelinspect.reports.embed import BlockState, Difference, EmbeddedBlock, EmbedReport
from modelinspect.reports.lint import LintProblem
from modelinspect.reports.wording import plural

EXAMPLES = """\b
Examples:
  modelinspect embed README.md
  modelinspect embed README.md docs/*.md
  modelinspect embed README.md --check
"""

_Documents = Annotated[list[str], Argument(metavar="FILE.md...", help="Markdown documents with marks.")]
_Check = Annotated[
    bool,
    Option("--check", help="Write nothing; exit with 1 where a block is not what its command prints now."),
]


def command(
    paths: _Documents,
    check: _Check = False,
    format: TextFormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
) -> int:
    """Fill marked blocks of Markdown documents with what commands print now.

    A block is what is between the lines `<!-- modelinspect: COMMAND -->` and `<!-- /modelinspect -->`.
    COMMAND is a command of modelinspect that only reads, with paths relative to the document. Nothing is
    written where all is equal, and no document is written where one of them has a problem.
    """
    destination = Destination(choose_form(TEXT_FORMS, format, as_json, None), color=color, quiet=quiet)
    rebuilt: list[_Rebuilt] = []
    failed: list[LintProblem] = []
    names = list(dict.fromkeys(paths))
    run = cache(_run)  # for this time only: models change between two runs
    with progress("filling blocks", Unit.COUNT, quiet=quiet) as meter:
        for done, name in enumerate(names):
            meter(done, len(names))
            try:
                rebuilt.append(_rebuild(name, run))
            except (ModelInspectError, OSError) as error:
                if len(names) == 1 or isinstance(error, InvariantError):
                    raise
                failed.append(LintProblem(location=name, problem=str(error)))
    if not (check or failed):
        for one in rebuilt:
            if one.after != one.before:
                replace_document(Path(one.name), one.before, one.after)
    blocks = tuple(block for one in rebuilt for block in _states(one, written=not (check or failed)))
    report = EmbedReport(checked=check, documents=tuple(names), embedded=blocks, failed=tuple(failed))
    destination.write(report)
    if failed:
        raise IncompleteError(
            f"{plural(len(failed), 'document')} of {len(names)} cannot be filled", failed[0].location
        )
    return 1 if check and report.stale else 0


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    """A document before and after its blocks are filled."""

    name: str
    document: Document
    outputs: Sequence[Output]
    before: bytes
    after: bytes


Runner = Callable[[tuple[str, ...], Path], Output]
"""Runs a command in a folder."""


def _rebuild(name: str, run: Runner) -> _Rebuilt:
    """Read a document and run the commands of its blocks.

    Raises `ModelInspectError` or `OSError` at the first problem.
    """
    path = Path(name)
    if not path.is_file():
        raise LocationError(
            f"{name}: {'is not a file' if path.exists() else 'there is no such document'}{_close(path)}"
        )
    before = path.read_bytes()
    document = parse(decode(before, name), name)
    outputs = [_output(block, path.parent.resolve(), name, run) for block in document.blocks]
    return _Rebuilt(name, document, outputs, before, filled(document, outputs).encode("utf-8"))


def _output(block: Block, folder: Path, name: str, run: Runner) -> Output:
    where = f"{name}:{block.line}"
    try:
        return run(block.command, folder)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    except InvariantError:
        raise
    except ModelInspectError as error:
        raise FormatError(f"{where}: {error}") from error


def _run(arguments: tuple[str, ...], folder: Path) -> Output:
    return run_reading(parse_reading(arguments), folder)


def _states(one: _Rebuilt, *, written: bool) -> Iterator[EmbeddedBlock]:
    lines = [
        block.line
        for block in (parse(one.after.decode("utf-8"), one.name) if written else one.document).blocks
    ]
    for line, block, output in zip(lines, one.document.blocks, one.outputs, strict=True):
        before, now = one.document.body(block), body_of(block, output)
        state = BlockState.CURRENT if before == now else BlockState.REWRITTEN if written else BlockState.STALE
        difference = _difference(block, before, now)
        yield EmbeddedBlock(
            document=one.name, line=line, command=block.command, state=state, difference=difference
        )


def _difference(block: Block, before: str, now: str) -> Difference | None:
    """Return the first line that differs, None where only empty lines and line endings do."""
    old = [
        (line, text) for line, text in enumerate(before.splitlines(), block.begin + 1) if text.strip(" \t>")
    ]
    new = [text for text in now.splitlines() if text.strip(" \t>")]
    for place, current in zip_longest(old, new):
        line, text = place or (block.end + 1, None)
        if text != current:
            return Difference(line=line, document=text, now=current)
    return None


def _close(path: Path) -> str:
    try:
        return did_you_mean(path.name, sorted(one.name for one in path.parent.iterdir()))
    except OSError:
        return ""
