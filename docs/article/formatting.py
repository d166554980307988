"""Write numbers and tables as the article has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import fill

_SPACES = re.compile(r"[ \n]+")
"""What a line may be broken at: no no-break space."""
_KEPT = re.compile(r"```|\||!\[|#")


def number(value: object) -> str:
    """Return a value as prose has it."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def percent(part: float, *, digits: int = 1) -> str:
    """Return a share as a percentage."""
    return f"{round(100 * part, digits):g}\N{NO-BREAK SPACE}%"


def change(before: int, after: int) -> str:
    """Return how much larger or smaller something became, with its sign."""
    told = f"{100 * (after / before - 1):+.1f}"
    return ("under 0.1" if told[1:] == "0.0" and after != before else told) + "\N{NO-BREAK SPACE}%"


def times(large: int, small: int) -> str:
    """Return how many times larger something is."""
    return f"{large / small:.1f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """Return a Markdown table, the first columns aligned left."""
    rule = ["---" if place < left else "---:" for place in range(len(heads))]
    return "\n".join(f"| {' | '.join(number(one) for one in row)} |" for row in (heads, rule, *rows))


def wrapped(text: str) -> str:
    """Return the text with its paragraphs and list items filled again; tables, pictures and blocks stay as
    they are.
    """
    return "\n\n".join(
        paragraph if _KEPT.match(paragraph) else _wrapped(paragraph) for paragraph in text.split("\n\n")
    )


def _wrapped(paragraph: str) -> str:
    items = re.split(r"\n(?=- )", paragraph.strip())
    lines = [
        fill(
            _SPACES.sub(" ", item.strip()),
            120,
            subsequent_indent="  " if item.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for item in items
    ]
    return "\n".join(lines) + ("\n" if paragraph.endswith("\n") else "")
