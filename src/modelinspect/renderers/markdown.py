"""Write a report as Markdown, to paste into a document or a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO, assert_never

from modelinspect.renderers.escape import markdown_block, markdown_code, markdown_text, plain
from modelinspect.renderers.hexdump import dump_lines
from modelinspect.renderers.layout import worthwhile
from modelinspect.renderers.look import Look
from modelinspect.renderers.numbers import cell_text, share_text, size_text
from modelinspect.reports.base import Report
from modelinspect.reports.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Commands,
    Dump,
    Heading,
    Lines,
    Notes,
    Steps,
    Table,
    Unit,
)

_DUMP_WIDTH = 118


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the report's blocks one after another, an empty line between them."""
    for index, block in enumerate(report.blocks(look.top)):
        if index:
            out.write("\n")
        for line in _lines(block):
            out.write(line)
            out.write("\n")


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            yield f"## {markdown_code(block.subject)}"
            yield ""
            yield markdown_text(", ".join((size_text(block.size), *block.details)))
        case Bars():
            yield from _bars(block)
        case Steps():
            yield from _steps(block)
        case Table():
            yield from _table(block)
        case Notes():
            yield from _notes(block)
        case Lines():
            yield markdown_text(" ".join(line.strip() for line in block.lines))
        case Commands():
            yield f"{markdown_text(block.title)}: " + "; ".join(
                f"{markdown_code(command.line)} ({markdown_text(command.purpose)})"
                for command in block.commands
            )
        case Dump():
            yield "```text"
            yield from (
                plain("".join(text for text, _ in line)).replace("```", "'''").rstrip()
                for line in dump_lines(block, _DUMP_WIDTH)
            )
            yield "```"
        case _:
            assert_never(block)


def _bars(bars: Bars) -> Iterator[str]:
    has_legend = any(bar.legend for bar in bars.bars)
    columns = (
        Column("label", bars.title),
        Column("size", "bytes", Unit.BYTES),
        Column("share", "share", Unit.SHARE),
        *((Column("legend", "what it is"),) if has_legend else ()),
    )
    rows = []
    for bar in bars.bars:
        share = share_text(bar.size / bars.total if bars.total else 0.0)
        rows.append(
            [
                markdown_code(bar.label, in_table=True),
                f"{bar.size:,}",
                share,
                *((bar.legend,) if has_legend else ()),
            ]
        )
    yield from _rows(columns, rows)
    yield f"| **total** | **{bars.total:,}** | |{' |' if has_legend else ''}"


def _steps(steps: Steps) -> Iterator[str]:
    columns = (Column("label", steps.title), Column("delta", "bytes", Unit.BYTES))
    sign = "+" if steps.start else ""
    rows = [[markdown_code(step.label, in_table=True), f"{step.delta:{sign},}"] for step in steps.steps]
    yield from _rows(columns, [["before", f"{steps.start:,}"], *rows] if steps.start else rows)
    yield f"| **{'after' if steps.start else 'total'}** | **{steps.end:,}** |"


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"### {markdown_text(table.title)}"
        yield ""
    rows = list(table.rows)
    kept = worthwhile(table.columns, rows)
    columns = tuple(table.columns[index] for index in kept)
    yield from _rows(columns, ([_cell(row[index], table.columns[index]) for index in kept] for row in rows))
    if table.rest is not None:
        cells = (markdown_text(cell_text(table.rest[index], table.columns[index].unit)) for index in kept)
        yield f"| {' | '.join(cells)} |"


def _rows(columns: tuple[Column, ...], rows: Iterator[list[str]] | list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(markdown_text(column.title) for column in columns)} |"
    yield f"| {' | '.join('---' if column.unit is Unit.TEXT else '---:' for column in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _cell(cell: Cell, column: Column) -> str:
    text = cell_text(cell, column.unit)
    return (
        markdown_code(text, in_table=True)
        if column.unit is Unit.TEXT and column.rank == 0
        else markdown_text(text)
    )


def _notes(notes: Notes) -> Iterator[str]:
    yield f"### {markdown_text(notes.title)}"
    yield ""
    for note in notes.notes:
        severity = f"**{note.severity}** " if note.severity else ""
        remedy = f" Remedy: {markdown_text(note.remedy)}" if note.remedy else ""
        label = f"{markdown_code(note.label)}: " if note.label else ""
        yield f"- {severity}{label}{markdown_text(note.text)}.{remedy}"
        if note.short_code:
            yield from ("", *(f"  {line}".rstrip() for line in markdown_block(note.code)), "")
        elif note.hidden_lines:
            yield f"  {note.hidden_lines:,} lines of code: {markdown_code(note.more)}"
    if notes.left_out:
        yield f"- {notes.left_out:,} more"
