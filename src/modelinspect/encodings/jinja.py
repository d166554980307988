"""Cut a Jinja template into its pieces of code and their tokens, with jinja2's lexer; nothing is rendered.

Source: jinja2/lexer.py. Line statements and custom delimiters, which chat templates do not use, are text
here.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from enum import Enum, auto

from modelinspect.core.records import dataclass


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    STRING = auto()
    NUMBER = auto()
    OPERATOR = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token: ``text`` is the value of a string and the spelling of anything else; ``begin`` and ``end``
    count characters.
    """

    kind: Kind
    text: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of code between delimiters.

    ``is_block`` is true for a statement (``{% %}``), false for an expression (``{{ }}``).
    """

    tokens: tuple[Token, ...]
    is_block: bool
    begin: int
    end: int


def pieces(text: str) -> tuple[list[Code], str]:
    """Return the pieces of code of a template in order, and why jinja2 reads no further ("" where it reads
    all).

    Comments and raw blocks are no pieces. Where jinja2 stops within a piece, that one runs to the text's end.
    """
    from jinja2 import Environment, TemplateSyntaxError

    found: list[Code] = []
    places = _Places(text)
    opened: tuple[bool, int] | None = None
    tokens: list[Token] = []
    problem = ""
    try:
        for _, name, value in Environment(autoescape=True).lex(text):
            begin, end = places.take(value)
            if name in _BEGINS:
                opened, tokens = (_BEGINS[name], begin), []
            elif name in _ENDS and opened is not None:
                found.append(Code(tuple(tokens), *opened, end - len(value) + len(value.rstrip())))
                opened = None
            elif name in _KINDS:
                kind = _KINDS[name]
                tokens.append(Token(kind, _unquoted(value) if kind is Kind.STRING else value, begin, end))
    except TemplateSyntaxError as error:
        problem = error.message or "a syntax error"
    if opened is not None:
        found.append(Code(tuple(tokens), *opened, len(text)))
        problem = problem or "a piece of code has no end"
    return found, problem


_BEGINS = {"variable_begin": False, "block_begin": True}
_ENDS = frozenset(("variable_end", "block_end"))
_KINDS = {
    "name": Kind.NAME,
    "string": Kind.STRING,
    "integer": Kind.NUMBER,
    "float": Kind.NUMBER,
    "operator": Kind.OPERATOR,
}


class _Places:
    """Where lexemes are in a text.

    jinja2 gives them in order, without the white space that a delimiter strips, and with a line feed for each
    line end.
    """

    def __init__(self, text: str) -> None:
        self._text = re.sub("\r\n|\r", "\n", text)
        self._place = 0
        pairs = [found.start() for found in re.finditer("\r\n", text)]
        self._pairs = [place - index for index, place in enumerate(pairs)]

    def take(self, value: str) -> tuple[int, int]:
        """Return begin and end of the next lexeme, in characters of the text as it was given."""
        begin = self._text.index(value, self._place)
        self._place = begin + len(value)
        return self._given(begin), self._given(self._place)

    def _given(self, place: int) -> int:
        return place + bisect_left(self._pairs, place)


def _unquoted(literal: str) -> str:
    """Return the value of a string as Jinja reads it, with Python's escapes; as it is written where they are
    broken.
    """
    inner = literal[1:-1]
    if "\\" not in inner:
        return inner
    try:
        return inner.encode("ascii", "backslashreplace").decode("unicode-escape")
    except UnicodeDecodeError:
        return inner
