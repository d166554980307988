"""Fill the blocks of a document with what their commands print now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelinspect.documents.blocks import Block, Document, parse
from modelinspect.errors import FormatError
from modelinspect.renderers.escape import markdown_block


@dataclass(frozen=True, slots=True)
class Output:
    """What a command prints; ``language`` names the code block around it, empty where it is Markdown
    itself.
    """

    text: str
    language: str


def lines_of(output: Output) -> list[str]:
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
    return "".join((block.prefix + line).rstrip() + block.newline for line in lines_of(output))


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
