"""Draw a report for a terminal: bars, tables and notes that fit its width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import islice
from typing import TextIO, assert_never

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.style import Style

from modelinspect.renderers.escape import ascii_only, plain
from modelinspect.renderers.hexdump import Spans, dump_lines
from modelinspect.renderers.layout import cells, cut, fit, pad, worthwhile, wrap
from modelinspect.renderers.look import NARROWEST, Look
from modelinspect.renderers.numbers import cell_text, share_text, size_text
from modelinspect.reports.base import Report
from modelinspect.reports.blocks import (
    Bar,
    Bars,
    Block,
    Commands,
    Dump,
    Heading,
    Lines,
    Note,
    Notes,
    Steps,
    Table,
    Unit,
)
from modelinspect.reports.categories import Category

_LONGEST_BAR = 44
_SHORTEST_BAR = 4
_BAR_BESIDE_LEGEND = 6
_EIGHTHS = "▏▎▍▌▋▊▉█"
_LOOKED_AT = 2_000
"""Rows of an endless table that its column widths are taken from, where no widest value is given."""


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the report's blocks one after another, an empty line between them."""
    pen = partial(_write, out, look)
    for index, block in enumerate(report.blocks(look.top)):
        if index:
            out.write("\n")
        for line in _lines(block, look):
            pen(line)


def _write(out: TextIO, look: Look, line: Spans) -> None:
    if look.color:
        styles = _styles()
        for text, style in line:
            out.write(
                styles[style].render(text, color_system=ColorSystem.STANDARD) if style in styles else text
            )
    else:
        text = "".join(text for text, _ in line).rstrip()
        out.write(text if look.unicode else ascii_only(text))
    out.write("\n")


def _lines(block: Block, look: Look) -> Iterator[Spans]:
    width = max(look.width, NARROWEST)
    match block:
        case Heading():
            yield from _heading(block, width)
        case Bars():
            yield from _bars(block, width, look)
        case Steps():
            yield from _steps_lines(block, width, look)
        case Table():
            yield from _table(block, width, _ellipsis(look))
        case Notes():
            yield from _notes(block, width, look)
        case Lines():
            for line in block.lines:
                indent = " " * (len(line) - len(line.lstrip()))
                for part in wrap(plain(line.lstrip()), width, indent):
                    yield [(part, "")]
        case Commands():
            yield from _commands(block, width)
        case Dump():
            yield from _title(block.title, width)
            yield from dump_lines(block, width, _ellipsis(look))
        case _:
            assert_never(block)


def _ellipsis(look: Look) -> str:
    return "…" if look.unicode else "..."


def _title(title: str, width: int) -> Iterator[Spans]:
    if title:
        yield from ([(part, "title")] for part in wrap(plain(title), width))


def _heading(heading: Heading, width: int) -> Iterator[Spans]:
    subject, size = plain(heading.subject), size_text(heading.size)
    if cells(subject) + 2 + len(size) <= width:
        yield [(subject, "subject"), (f"  {size}", "title")]
    else:
        yield from ([(part, "subject")] for part in wrap(subject, width))
        yield [(size, "title")]
    for part in wrap(plain(", ".join(heading.details)), width):
        yield [(part, "quiet")]


def _bars(bars: Bars, width: int, look: Look) -> Iterator[Spans]:
    yield from _title(bars.title, width)
    sizes = [f"{bar.size:,}" for bar in bars.bars] + [f"{bars.total:,}"]
    number = max(map(len, sizes))
    label = max([5, *(cells(plain(bar.label)) for bar in bars.bars)])
    label = min(label, max(width - number - 13, 8))
    room = min(width - 2 - label - 2 - number - 2 - 7 - 2, _LONGEST_BAR)
    legend = max(len(bar.legend) for bar in bars.bars) if bars.bars else 0
    beside = legend > 0 and width - 2 - label - 2 - number - 2 - 7 - 2 - legend - 2 >= _BAR_BESIDE_LEGEND
    if beside:
        room = min(room, width - 2 - label - 2 - number - 2 - 7 - 2 - legend - 2)
    largest = max((bar.size for bar in bars.bars), default=0)
    for bar, size in zip(bars.bars, sizes, strict=False):
        name = pad(cut(plain(bar.label), label, _ellipsis(look)), label, right=False)
        share = share_text(bar.size / bars.total if bars.total else 0.0)
        line: Spans = [
            ("  ", ""),
            (name, bar.category or ""),
            (f"  {pad(size, number, right=True)}  {pad(share, 7, right=True)}", ""),
        ]
        if room >= _SHORTEST_BAR:
            drawn = _bar(bar, largest, room, look)
            line += [("  ", ""), (pad(drawn, room, right=False) if beside else drawn, bar.category or "bar")]
        yield [*line, (f"  {bar.legend}", "quiet")] if beside else line
    yield [(f"  {pad('total', label, right=False)}  {pad(sizes[-1], number, right=True)}", "title")]
    for bar in bars.bars if legend and not beside else ():
        yield from ([(part, "quiet")] for part in wrap(f"{bar.label}: {bar.legend}", width, "    ", "  "))


def _bar(bar: Bar, largest: int, room: int, look: Look) -> str:
    """Return a bar in eighths of a character; zeros are drawn lightly."""
    eighths = max(room * 8 * bar.size // max(largest, 1), 1)
    whole, rest = divmod(eighths, 8)
    if bar.category is Category.ZERO_WEIGHTS:
        return ("░" if look.unicode else ".") * max(whole + (rest >= 4), 1)
    if not look.unicode:
        return "#" * max(whole + (rest >= 4), 1)
    return "█" * whole + (_EIGHTHS[rest - 1] if rest else "")


def _table(table: Table, width: int, ellipsis: str) -> Iterator[Spans]:
    yield from _title(table.title, width)
    rows = iter(table.rows)
    looked_at = list(islice(rows, _LOOKED_AT))
    has_widths = any(column.widest is not None for column in table.columns)
    if not has_widths:
        looked_at += rows
    kept = list(range(len(table.columns))) if has_widths else worthwhile(table.columns, looked_at)
    columns = [table.columns[index] for index in kept]
    sample = [*looked_at, *([table.rest] if table.rest is not None else [])]
    texts = [[plain(cell_text(row[index], table.columns[index].unit)) for index in kept] for row in sample]
    natural = [
        max(
            [
                cells(column.title),
                *(cells(row[place]) for row in texts),
                cells(cell_text(column.widest, column.unit)),
            ]
        )
        for place, column in enumerate(columns)
    ]
    widths = fit(columns, natural, width - 2, 2)

    def line(cells: Sequence[str], style: str = "") -> Spans:
        shown = [
            pad(cut(cells[place], size, ellipsis), size, right=columns[place].unit is not Unit.TEXT)
            for place, size in widths.items()
        ]
        return [("  " + "  ".join(shown), style)]

    yield line([column.title for column in columns], "quiet")
    yield from (line(row) for row in texts[: len(looked_at)])
    yield from (
        line([plain(cell_text(row[index], table.columns[index].unit)) for index in kept]) for row in rows
    )
    yield from (line(row, "quiet") for row in texts[len(looked_at) :])


def _notes(notes: Notes, width: int, look: Look) -> Iterator[Spans]:
    yield from _title(notes.title, width)
    arrow = "→" if look.unicode else "->"
    for note in notes.notes:
        first = f"  {note.severity}: " if note.severity else "  "
        label = f"{plain(note.label)}: " if note.label else ""
        lines = wrap(f"{label}{plain(note.text)}", width, "    ", first)
        yield [("  ", ""), (first[2:-1], note.severity), (lines[0][max(len(first) - 1, 2) :], "")]
        yield from ([(part, "")] for part in lines[1:])
        if note.remedy:
            yield from (
                [(part, "remedy")] for part in wrap(plain(note.remedy), width, "      ", f"    {arrow} ")
            )
        yield from ([("      ", ""), (plain(line), "remedy")] for line in note.short_code)
        if note.hidden_lines:
            yield from _hidden_code(note, width)
    if notes.left_out:
        yield [(f"  {notes.left_out:,} more", "quiet")]


def _hidden_code(note: Note, width: int) -> Iterator[Spans]:
    """Name the command that prints a note's code; the command is never wrapped, so it can be copied."""
    count, command = f"{note.hidden_lines:,} lines of code:", plain(note.more)
    if 6 + len(count) + 1 + cells(command) <= width:
        yield [("      ", ""), (f"{count} {command}", "remedy")]
    else:
        yield from ([("      ", ""), (line, "remedy")] for line in (count, command))


def _commands(block: Commands, width: int) -> Iterator[Spans]:
    """Show each command beside its purpose, or below it where both do not fit.

    A command is never wrapped, so it can be copied.
    """
    first = f"{block.title}: "
    lines = [(plain(command.line), plain(command.purpose)) for command in block.commands]
    longest = max((cells(line) for line, _ in lines), default=0)
    if len(first) + longest + 2 + max((cells(purpose) for _, purpose in lines), default=0) <= width:
        for index, (line, purpose) in enumerate(lines):
            begin = first if index == 0 else " " * len(first)
            yield [
                (begin, "title"),
                (line, "remedy"),
                (f"{' ' * (longest - cells(line))}  {purpose}", "quiet"),
            ]
        return
    yield [(first.rstrip(), "title")]
    for line, purpose in lines:
        yield from ([(part, "quiet")] for part in wrap(f"{purpose}:" if purpose else "", width, "  "))
        yield [("      ", ""), (line, "remedy")]


@cache
def _styles() -> dict[str, Style]:
    colors = {
        Category.GRAPH: "blue",
        Category.METADATA: "cyan",
        Category.DENSE_WEIGHTS: "green",
        Category.ZERO_WEIGHTS: "yellow",
        Category.COMPRESSED_WEIGHTS: "bright_green",
        Category.SPARSE_VALUES: "bright_green",
        Category.SPARSE_INDEX: "bright_yellow",
        Category.QUANTIZATION: "magenta",
        Category.OPTIMIZER_STATE: "red",
        Category.PRUNING_STATE: "bright_red",
        Category.COMPILED: "bright_white",
        Category.ASSETS: "bright_cyan",
        Category.DEBUG: "bright_magenta",
        Category.CONTAINER: "bright_blue",
        Category.FREE: "bright_black",
        Category.UNATTRIBUTED: "bold red",
        "tensor-data": "green",
        "asset": "bright_cyan",
        "subject": "bold",
        "title": "bold",
        "quiet": "bright_black",
        "bar": "blue",
        "error": "bold red",
        "warning": "bold yellow",
        "note": "bold cyan",
        "remedy": "green",
        "offset": "bright_black",
        "characters": "bright_black",
        "mark": "bold reverse",
    }
    return {str(name): Style.parse(color) for name, color in colors.items()}


_LONGEST = 40
_SHORTEST = 8


def _steps_lines(steps: Steps, width: int, look: Look) -> list[Spans]:
    """Return the lines of a waterfall; a step up is drawn with +, a step down with -, so colour carries no
    meaning by itself.

    From nothing on, the steps are parts of a whole, and have no signs but where one takes away.
    """
    sign = "+" if steps.start else ""
    numbers = [f"{steps.start:,}", *(f"{step.delta:{sign},}" for step in steps.steps), f"{steps.end:,}"]
    labels = ["before", *(plain(step.label) for step in steps.steps), "after" if steps.start else "total"]
    number = max(map(len, numbers))
    label = min(max(map(cell_len, labels)), max(width - number - 6, 8))
    share = 9 if width >= 60 else 0
    room = min(width - 4 - label - number - share - 2, _LONGEST)
    reached = [steps.start]
    for step in steps.steps:
        reached.append(reached[-1] + step.delta)
    lowest = min(0, *reached)  # what is taken away first can be more than there was
    scale = max(max(reached) - lowest, 1)
    lines: list[Spans] = [[(steps.title, "title")]]
    ellipsis = "…" if look.unicode else "..."
    base = max(steps.start, steps.end, 1)
    for index, (name, text) in enumerate(zip(labels, numbers, strict=True)):
        first, last = index == 0, index == len(labels) - 1
        if first and not steps.start:
            continue
        line: Spans = [
            (f"  {pad(cut(name, label, ellipsis), label, right=False)}  {pad(text, number, right=True)}", "")
        ]
        if share:
            delta = 0 if first or last else steps.steps[index - 1].delta
            line.append((pad(share_text(abs(delta) / base) if delta else "", share, right=True), "quiet"))
        if room >= _SHORTEST:
            begin, end = (
                (0, reached[0] if first else reached[-1])
                if first or last
                else (reached[index - 1], reached[index])
            )
            mark = ("█" if look.unicode else "#") if first or last else ("+" if end >= begin else "-")
            low, high = sorted((round((begin - lowest) * room / scale), round((end - lowest) * room / scale)))
            drawn = mark * max(high - low, 1)
            line.append(
                (
                    "  " + " " * min(low, room - 1) + drawn,
                    "bar" if first or last else ("error" if mark == "+" else "remedy"),
                )
            )
        lines.append(line)
    return lines
