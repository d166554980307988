"""Find where the keys of a JSON object are in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelinspect.core.records import dataclass
from modelinspect.core.span import Span

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class JsonEntry:
    """A key of an object and its value: the span from the key's quote to the value's end, and the value's
    own.
    """

    key: str
    span: Span
    value: Span


def top_level_entries(text: bytes) -> Iterator[JsonEntry]:
    """Yield the entries of the object that ``text`` is; ``text`` must be JSON that a parser has accepted (RFC
    8259).
    """
    depth = 0
    key: re.Match[bytes] | None = None
    colon = 0
    for token in _TOKEN.finditer(text):
        match token.group():
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
                if depth == 0 and key is not None:
                    yield _entry(text, key, colon, token.start())
                    return
            case b":" if depth == 1:
                colon = token.end()
            case b"," if depth == 1 and key is not None:
                yield _entry(text, key, colon, token.start())
                key = None
            case _ if depth == 1 and key is None:
                key = token


def _entry(text: bytes, key: re.Match[bytes], colon: int, end: int) -> JsonEntry:
    begin = colon + len(text[colon:end]) - len(text[colon:end].lstrip())
    end = colon + len(text[colon:end].rstrip())
    name = key.group()[1:-1].decode("utf-8", "replace")
    return JsonEntry(name, Span(key.start(), end - key.start()), Span(begin, end - begin))
