"""Cut a Jinja template into its pieces of code and their tokens; nothing is rendered.

Source: jinja2/lexer.py. Line statements and custom delimiters, which chat templates do not use, are text here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    STRING = auto()
    NUMBER = auto()
    OPERATOR = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token: ``text`` is the value of a string and the spelling of anything else; ``begin`` and ``end`` count characters."""

    kind: Kind
    text: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of code between delimiters. ``is_block`` is true for a statement (``{% %}``), false for an expression (``{{ }}``)."""

    tokens: tuple[Token, ...]
    is_block: bool
    begin: int
    end: int


_OPEN = re.compile(r"\{[{%#]")
_RAW_BEGIN = re.compile(r"\{%[-+]?\s*raw\s*-?%\}")
_RAW_END = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_DIGITS = r"(?:\d+_)*+\d++"
_NUMBER = (
    rf"(?<!\.){_DIGITS}(?:(?:\.{_DIGITS})?[eE][+-]?{_DIGITS}|\.{_DIGITS})"
    r"|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*"
)
"""Numbers as jinja2/lexer.py has them: what follows one is its own token, as in ``{{ 1.__class__ }}``."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<name>[^\W\d]\w*)|(?P<number>""" + _NUMBER + r""")|(?P<end>[-+]?[%}]\})|(?P<operator>\*\*|//|[=!<>]=|\S))""",
    re.DOTALL,
)
_BRACKETS = {")": "(", "]": "[", "}": "{"}


def pieces(text: str) -> Iterator[Code]:
    """Yield the pieces of code of a template in order. Comments and raw blocks are none; broken code runs to the text's end."""
    place = 0
    while (found := _OPEN.search(text, place)) is not None:
        if found[0] == "{#":
            end = text.find("#}", found.end())
            place = len(text) if end < 0 else end + 2
            continue
        opened = _RAW_BEGIN.match(text, found.start())
        if opened is not None:
            raw = _RAW_END.search(text, opened.end())
            place = len(text) if raw is None else raw.end()
            continue
        code = _code(text, found.start(), is_block=found[0] == "{%")
        place = code.end
        yield code


def _code(text: str, begin: int, *, is_block: bool) -> Code:
    place = begin + 2
    if text[place : place + 1] in ("-", "+"):
        place += 1
    tokens: list[Token] = []
    stack: list[str] = []  # a brace of a dictionary may be before another one, which is no delimiter then
    while (found := _TOKEN.match(text, place)) is not None:
        kind, group = _KINDS[found.lastgroup or "operator"], found[found.lastgroup or "operator"]
        first = found.start(found.lastgroup or "operator")
        if found.lastgroup == "end":
            if not stack and group[-2] == ("%" if is_block else "}"):
                return Code(tuple(tokens), is_block, begin, found.end())
            group = group[0]  # an operator after all: the rest is read again
        if group in ("'", '"'):  # a string without an end: jinja2 renders nothing of such a template
            break
        place = first + len(group)
        if group in _BRACKETS.values() and kind is Kind.OPERATOR:
            stack.append(group)
        elif kind is Kind.OPERATOR and stack and stack[-1] == _BRACKETS.get(group):
            stack.pop()
        value = _unquoted(group) if kind is Kind.STRING else group
        tokens.append(Token(kind, value, first, place))
    return Code(tuple(tokens), is_block, begin, len(text))


_KINDS = {"string": Kind.STRING, "name": Kind.NAME, "number": Kind.NUMBER, "end": Kind.OPERATOR, "operator": Kind.OPERATOR}


def _unquoted(literal: str) -> str:
    """Return the value of a string as Jinja reads it, with Python's escapes; as it is written where they are broken."""
    inner = literal[1:-1]
    if "\\" not in inner:
        return inner
    try:
        return inner.encode("ascii", "backslashreplace").decode("unicode-escape")
    except UnicodeDecodeError:
        return inner
