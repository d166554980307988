"""Which blocks of documents have the output of today."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from enum import StrEnum

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import (
    Block,
    Cell,
    Column,
    Command,
    Commands,
    Lines,
    Note,
    Notes,
    Table,
    Unit,
)
from modelinspect.reports.lint import LintProblem
from modelinspect.reports.wording import plural


class BlockState(StrEnum):
    """What is known of a block: it is ``current``, it is ``stale``, or it was ``rewritten``."""

    CURRENT = "current"
    STALE = "stale"
    REWRITTEN = "rewritten"


class Difference(Part, frozen=True, kw_only=True):
    """The first line of a block that differs, empty lines aside; null where one of the two has no more.

    ``line`` counts from 1.
    """

    line: int
    document: str | None
    now: str | None


class EmbeddedBlock(Part, frozen=True, kw_only=True):
    """A block of a document: the line of its mark, counted from 1, its command, and whether it has what that
    prints now.

    ``difference`` is null where the block is current, or where only empty lines or line endings differ.
    """

    document: str
    line: int
    command: tuple[str, ...]
    state: BlockState
    difference: Difference | None


class EmbedReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.embed/1"):
    """Every block of the documents, in their order.

    ``failed`` are documents with a problem; nothing is written then.

    ``checked`` is whether documents were only compared and not written.
    """

    checked: bool
    documents: tuple[str, ...]
    embedded: tuple[EmbeddedBlock, ...] = ()
    failed: tuple[LintProblem, ...]

    @property
    def stale(self) -> tuple[EmbeddedBlock, ...]:
        """The blocks that differed from what their commands print."""
        return tuple(block for block in self.embedded if block.state is not BlockState.CURRENT)

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        if self.embedded:
            columns = (Column("place", "block"), Column("state", "state"), Column("command", "command"))
            yield Table(
                "Blocks",
                columns,
                [(_place(block), block.state, shlex.join(block.command)) for block in self.embedded],
            )
        stale = [block for block in self.embedded if block.state is BlockState.STALE]
        if stale:
            yield Notes("Not what the commands print now", tuple(_note(block) for block in stale))
        if self.failed:
            yield Notes("Could not be filled", tuple(Note("error", "", one.problem) for one in self.failed))
        yield Lines((self._sentence(),))
        if self.checked and self.stale and not self.failed:
            changed = list(dict.fromkeys(block.document for block in self.stale))
            yield Commands("Next", (Command(shlex.join(("modelinspect", "embed", *changed)), "fills them"),))

    def table(self) -> Table:
        columns = (
            Column("document", "document"),
            Column("line", "line", Unit.COUNT),
            Column("state", "state"),
            Column("command", "command"),
        )
        rows: list[tuple[Cell, ...]] = [
            (block.document, block.line, block.state, shlex.join(block.command)) for block in self.embedded
        ]
        return Table("", columns, rows)

    def _sentence(self) -> str:
        count = f"{plural(len(self.embedded), 'block')} in {plural(len(self.documents), 'document')}"
        if self.failed:
            return (
                f"{plural(len(self.failed), 'document')} of {len(self.documents)} cannot be filled; no"
                " document was written."
            )
        if not self.stale:
            return f"{count}: all are what the commands print now."
        if self.checked:
            return f"{count}: {len(self.stale)} not up to date."
        return f"{count}: {len(self.stale)} rewritten."


def _place(block: EmbeddedBlock) -> str:
    return f"{block.document}:{block.line}"


def _note(block: EmbeddedBlock) -> Note:
    found = block.difference
    if found is None:
        return Note("error", _place(block), "only empty lines or line endings differ")
    old, new = (None if line is None else f'"{line.strip()}"' for line in (found.document, found.now))
    if old is None:
        return Note("error", _place(block), f"line {found.line}: {new} is missing")
    now = "now that line is gone" if new is None else f"now it is {new}"
    return Note("error", _place(block), f"line {found.line}: {old}; {now}")
