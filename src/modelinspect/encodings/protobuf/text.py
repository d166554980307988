"""Split the text form of protocol buffers into tokens
(https://protobuf.dev/reference/protobuf/textformat-spec).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from modelinspect.core.records import dataclass
from modelinspect.errors import FormatError


class TokenKind(StrEnum):
    """What a token is."""

    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    OPEN = "open"
    CLOSE = "close"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """A token: its kind, where it begins and ends, and its text."""

    kind: TokenKind
    offset: int
    end: int
    text: str


_GAP = r"(?:[ \t\r\n\v\f]+|\#[^\n]*(?:\n|\Z))*"
_TOKEN = re.compile(
    rb"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)
       |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
       |(?P<number>[0-9.][0-9A-Za-z_.]*(?:(?<=[eE])[+-][0-9]+[fF]?)?)
       |(?P<open>[{<])
       |(?P<close>[}>])
       |(?P<sign>[\[\]:,;/-])""",
    re.VERBOSE,
)
_SPACE = re.compile(_GAP.encode())
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def tokens(data: bytes, member: str = "") -> Iterator[Token]:
    """Yield the tokens in order; between them are spaces and comments.

    Raises `FormatError` at what is not a token.
    """
    place = skip_space(data, 0)
    while place < len(data):
        found = _TOKEN.match(data, place)
        if found is None or found.lastgroup is None:
            raise FormatError(f"{data[place : place + 8]!r} is not a token of the text format", member, place)
        yield Token(TokenKind(found.lastgroup), place, found.end(), found.group().decode("latin-1"))
        place = skip_space(data, found.end())


def skip_space(data: bytes, place: int) -> int:
    """Return the index after spaces and comments."""
    found = _SPACE.match(data, place)
    return place if found is None else found.end()


def unquote(text: bytes) -> bytes:
    """Return the bytes that a string token stands for."""

    def replace(found: re.Match[bytes]) -> bytes:
        octal, hexadecimal, letter = found.groups()
        if octal is not None:
            return bytes([int(octal, 8) & 0xFF])
        if hexadecimal is not None:
            return bytes([int(hexadecimal, 16)])
        return _LETTERS.get(letter, letter)

    return _ESCAPE.sub(replace, text[1:-1])
