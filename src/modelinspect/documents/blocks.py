"""Find the blocks that a Markdown document marks, and fill them with what their commands print now.

A block begins with ``<!-- modelinspect: COMMAND -->`` and ends with ``<!-- /modelinspect -->``, each on its
own line. A CommonMark parser decides what is a mark: one inside a code block, a fence or a code span is text.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from modelinspect.errors import FormatError, LimitError, UsageError
from modelinspect.renderers.escape import markdown_block

END_MARK = "<!-- /modelinspect -->"
"""The line that ends a block."""
LARGEST = 16 * 1024 * 1024
"""Bytes of a document that are parsed."""
_BEGIN = re.compile(r"<!--\s*modelinspect:(?P<command>.*?)-->", re.DOTALL)
_BEGUN = re.compile(r"<!--\s*modelinspect:")
_END = re.compile(r"<!--\s*/modelinspect\s*-->")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""A line with its ending, as CommonMark counts lines."""
_CONTAINER = re.compile(r"[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*[ \t>]*")
"""What may be before a mark on its line: the marks of the lists and quotations around it."""
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Block:
    """A marked block. Lines count from 0; the lines ``[begin, end)`` are between its marks.

    ``line`` is that of the mark, counted from 1. ``prefix`` is before each line of the block, where a list or
    a quotation is around it; ``newline`` ends its lines.
    """

    line: int
    command: tuple[str, ...]
    begin: int
    end: int
    prefix: str
    newline: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document as lines with their endings; joined, they are the document after its byte order mark."""

    name: str
    lines: tuple[str, ...]
    blocks: tuple[Block, ...]
    has_bom: bool

    def body(self, block: Block) -> str:
        """Return what is between the marks of a block now."""
        return "".join(self.lines[block.begin : block.end])

    @property
    def byte_order_mark(self) -> str:
        """The byte order mark, empty where the document has none."""
        return _BOM if self.has_bom else ""


def decode(data: bytes, name: str) -> str:
    """Return a document's text.

    Raises `FormatError` where it is not UTF-8, `LimitError` where it is too large.
    """
    if len(data) > LARGEST:
        raise LimitError(f"{len(data):,} bytes are more than the {LARGEST:,} that a document may have", name)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8, which Markdown with marks must be", name, error.start) from error


def parse(text: str, name: str) -> Document:
    """Find the blocks of a document; ``name`` is for messages.

    Raises `FormatError` where a mark has no partner, is inside another block or shares its line, `UsageError`
    where its command cannot be split into words.
    """
    has_bom = text.startswith(_BOM)
    lines = tuple(_LINE.findall(text.removeprefix(_BOM)))
    text = "".join(lines)
    has_marks = (
        _BEGUN.search(text) is not None or _END.search(text) is not None
    )  # most documents have none, and parsing takes time
    marks = sorted(_marks(text, lines, name), key=lambda mark: mark.first) if has_marks else []
    return Document(name, lines, tuple(_paired(marks, lines, name)), has_bom)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A mark on the lines ``[first, last]``, counted from 0; ``command`` is None at the end of a block."""

    first: int
    last: int
    command: str | None


def _marks(text: str, lines: tuple[str, ...], name: str) -> Iterator[_Mark]:
    for token in MarkdownIt("commonmark").parse(text):
        if token.map is None:
            continue
        if token.type == "html_block":
            yield from _marks_between(token.map[0], token.map[1], lines, name)
        elif token.type == "inline" and any(_is_mark(child) for child in token.children or ()):
            line = next(
                (at for at in range(*token.map) if _BEGUN.search(lines[at]) or _END.search(lines[at])),
                token.map[0],
            )
            raise FormatError(f"{name}:{line + 1}: a mark needs its own line")


def _is_mark(token: Token) -> bool:
    return token.type == "html_inline" and bool(_BEGUN.match(token.content) or _END.match(token.content))


def _marks_between(begin: int, end: int, lines: tuple[str, ...], name: str) -> Iterator[_Mark]:
    """Yield the marks on the lines of HTML. Raises `FormatError` where one is not on its own line or not
    closed.
    """
    text = "".join(lines[begin:end])
    at = 0
    while found := re.compile(f"{_BEGUN.pattern}|{_END.pattern}").search(text, at):
        first = begin + _line_of(text, found.start())
        mark = _BEGIN.match(text, found.start()) or _END.match(text, found.start())
        if mark is None:
            raise FormatError(f"{name}:{first + 1}: the mark is not closed with -->")
        before = text[
            max(text.rfind("\n", 0, mark.start()), text.rfind("\r", 0, mark.start())) + 1 : mark.start()
        ]
        after = re.split(r"[\r\n]", text[mark.end() :], maxsplit=1)[0]
        if after.strip() or not _CONTAINER.fullmatch(before):
            raise FormatError(f"{name}:{first + 1}: a mark needs its own line")
        yield _Mark(first, begin + _line_of(text, mark.end() - 1), mark.groupdict().get("command"))
        at = mark.end()


def _line_of(text: str, offset: int) -> int:
    """Return how many lines end before an offset."""
    return len(re.findall(r"\r\n|\r|\n", text[:offset]))


def _paired(marks: list[_Mark], lines: tuple[str, ...], name: str) -> Iterator[Block]:
    opened: _Mark | None = None
    for mark in marks:
        if mark.command is not None:
            if opened is not None:
                raise FormatError(
                    f"{name}:{mark.first + 1}: a block begins inside the one of line {opened.first + 1};"
                    f" {_missing_end()}"
                )
            opened = mark
        elif opened is None:
            raise FormatError(f"{name}:{mark.first + 1}: {END_MARK} ends no block")
        else:
            yield _block(opened, mark, lines, name)
            opened = None
    if opened is not None:
        raise FormatError(f"{name}:{opened.first + 1}: the block does not end; {_missing_end()}")


def _missing_end() -> str:
    return f"{END_MARK} is missing, or in a code block that is not closed"


def _block(begin: _Mark, end: _Mark, lines: tuple[str, ...], name: str) -> Block:
    line = lines[begin.first]
    container = _CONTAINER.match(line)
    # A list's marker is on its first line only; the lines that follow are indented as far.
    prefix = "".join(mark if mark in " \t>" else " " for mark in (container[0] if container else ""))
    newline = lines[begin.last][len(lines[begin.last].rstrip("\r\n")) :]
    try:
        command = tuple(shlex.split(begin.command or ""))
    except ValueError as error:
        raise UsageError(f"{name}:{begin.first + 1}: the command cannot be read: {error}") from error
    return Block(begin.first + 1, command, begin.last + 1, end.first, prefix, newline)


@dataclass(frozen=True, slots=True)
class Output:
    """What a command prints; ``language`` names the code block around it, empty where it is Markdown
    itself.
    """

    text: str
    language: str


def _lines_of(output: Output) -> list[str]:
    """Return the lines that a block has for an output, without the lines' endings."""
    lines = output.text.rstrip("\n").split("\n")
    if not output.language:
        return ["", *lines, ""]
    opening, *rest = markdown_block("\n".join(lines))
    return ["", opening + output.language, *rest, ""]


def body_of(block: Block, output: Output) -> str:
    """Return the text between the marks of a block for an output, each line with the block's prefix and
    ending.
    """
    return "".join((block.prefix + line).rstrip() + block.newline for line in _lines_of(output))


def filled(document: Document, outputs: Sequence[Output]) -> str:
    """Return the document with the outputs of its blocks, in order.

    The result is parsed again: it has the same blocks with these outputs in them. Raises `FormatError` where
    an output would end its block early or begin another one.
    """
    bodies = [body_of(block, output) for block, output in zip(document.blocks, outputs, strict=True)]
    parts: list[str] = []
    at = 0
    for block, body in zip(document.blocks, bodies, strict=True):
        parts += [*document.lines[at : block.begin], body]
        at = block.end
    text = document.byte_order_mark + "".join([*parts, *document.lines[at:]])
    _require_same_blocks(document, text, bodies)
    return text


def _require_same_blocks(document: Document, text: str, bodies: Sequence[str]) -> None:
    where = f"{document.name}:{document.blocks[0].line}" if document.blocks else document.name
    try:
        again = parse(text, document.name)
    except FormatError as error:
        raise FormatError(
            f"{where}: an output of this document contains a mark ({error}); use --format terminal"
        ) from error
    commands = [block.command for block in again.blocks]
    if commands != [block.command for block in document.blocks]:
        raise FormatError(f"{where}: an output of this document contains a mark; use --format terminal")
    for block, old, body in zip(again.blocks, document.blocks, bodies, strict=True):
        if again.body(block) != body:
            raise FormatError(
                f"{document.name}:{old.line}: the output contains a mark; use --format terminal"
            )
