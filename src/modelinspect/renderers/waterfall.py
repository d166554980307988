"""Draw the way from one size to another as steps, each beginning where the previous one ended."""

from __future__ import annotations

from rich.cells import cell_len

from modelinspect.renderers.escape import plain
from modelinspect.renderers.hexdump import Spans
from modelinspect.renderers.layout import cut, pad
from modelinspect.renderers.look import Look
from modelinspect.renderers.numbers import share_text
from modelinspect.reports.blocks import Steps

_LONGEST = 40
_SHORTEST = 8


def steps_lines(steps: Steps, width: int, look: Look) -> list[Spans]:
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
