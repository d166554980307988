"""Make text from files harmless: what a terminal or Markdown would obey becomes visible instead."""

from __future__ import annotations

import re
from unicodedata import category

_HARMLESS = re.compile(r"[\x20-\x7e]*")
_RUN_OF_TICKS = re.compile("`+")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&$])")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Unicode categories: control, format (writing direction, zero width), surrogates, private, unassigned,
separators.
"""


def plain(text: str) -> str:
    r"""Return text without control characters, direction changes or invisible ones; they become ``\x1b`` and
    the like.
    """
    if _HARMLESS.fullmatch(text):
        return text
    return "".join(_visible(character) if category(character) in _HIDDEN else character for character in text)


def ascii_only(text: str) -> str:
    r"""Return text in ASCII; other characters become ``\u00e9`` and the like."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", plain(text))


def markdown_code(text: str, *, in_table: bool = False) -> str:
    """Return a name as a code span, which neither markup nor mentions can leave."""
    text = plain(text)
    if not text:
        return ""
    fence = "`" * (max((len(run) for run in _RUN_OF_TICKS.findall(text)), default=0) + 1)
    space = " " if text[0] in "` " or text[-1] in "` " else ""
    if in_table:
        text = text.replace("|", "\\|")
    return f"{fence}{space}{text}{space}{fence}"


def markdown_block(text: str) -> list[str]:
    """Return lines as a fenced block of code, which nothing in them closes."""
    lines = [plain(line) for line in text.split("\n")]
    fence = "`" * max(
        3, max((len(run) for line in lines for run in _RUN_OF_TICKS.findall(line)), default=0) + 1
    )
    return [fence, *lines, fence]


def plain_lines(text: str) -> str:
    """Return text of several lines, each made harmless."""
    return "\n".join(plain(line) for line in text.split("\n"))


def _visible(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
