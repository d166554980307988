"""Find values that are written as text in configurations: weights as decimal numbers, vocabularies, base64
constants.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Iterator

from modelinspect.core.artifact import Document, DocumentKind
from modelinspect.core.facts import Fact
from modelinspect.core.names import KERAS_METADATA_MESSAGE
from modelinspect.encodings.json_values import LongValue, ValueKind, long_values
from modelinspect.encodings.protobuf import parse_message
from modelinspect.errors import ModelInspectError
from modelinspect.formats.base import Parsing

PATH_PART = "embedded data"
"""The part of a region's path that says that a value is written as text."""
LEAST = 1024
"""Shorter values are settings."""
_MOST_TEXT = 64 << 20
_MOST_VALUES = 1_000
_JSON = (DocumentKind.KERAS_CONFIG, DocumentKind.TFJS_MODEL)


def divide_documents(parsing: Parsing) -> None:
    """Give every long value of the configurations a region, and a fact that says what it is."""
    found: list[Fact] = []
    for document in parsing.documents():
        for text, begin in _texts(parsing, document):
            for value in long_values(text, LEAST):
                if len(found) < _MOST_VALUES:
                    found.append(_fact(document, value, text))
                    _divide(parsing, document, value, begin)
    if found:
        parsing.facts["embedded_values"] = tuple(found)


def _texts(parsing: Parsing, document: Document) -> Iterator[tuple[bytes, int | None]]:
    """Yield the JSON texts of a document with their offsets in its stream, None where they are not stored as
    they are.
    """
    if document.kind not in (*_JSON, DocumentKind.KERAS_METADATA):
        return
    if document.data is None and document.span.size > min(_MOST_TEXT, parsing.limits.structure_size):
        return
    try:
        data = document.data
        if data is None:
            data = parsing.files.open_stream(document.stream).read_at(
                document.span.offset, document.span.size
            )
        if document.kind is not DocumentKind.KERAS_METADATA:
            yield data, document.span.offset if document.data is None else None
            return
        end = 0
        for node in parse_message(KERAS_METADATA_MESSAGE, data, document.stream.member).nodes:  # type: ignore[attr-defined]
            text = node.metadata.encode()
            begin = data.find(text, end) if len(text) >= LEAST else -1
            if begin >= 0:
                end = begin + len(text)
                yield text, document.span.offset + begin
    except ModelInspectError:  # the parser of the format has said so
        return


def _divide(parsing: Parsing, document: Document, value: LongValue, begin: int | None) -> None:
    known = None if begin is None else parsing.claims_of(document.stream)
    if known is not None and begin is not None:
        claims, base = known
        claims.divide(
            base + begin + value.span.offset,
            value.span.size,
            (PATH_PART, f"{value.path}: {value.count:,} {value.kind}"),
        )


def _fact(document: Document, value: LongValue, text: bytes) -> Fact:
    fact: dict[str, Fact] = {
        "document": document.label or document.stream.member,
        "path": value.path,
        "kind": str(value.kind),
        "count": value.count,
        "size": value.span.size,
    }
    if value.kind is ValueKind.NUMBERS:
        digest = _digest(text[value.span.offset : value.span.end])
        if digest is not None:
            fact["digest"] = digest
    return fact


def _digest(text: bytes) -> str | None:
    """Return the SHA-256 of numbers as little-endian float32, as measuring digests a tensor of them; None
    where one is too large.
    """
    numbers = array("f")
    try:
        pending = [json.loads(text)]
        while pending:
            item = pending.pop()
            if isinstance(item, list):
                pending += reversed(item)
            else:
                numbers.append(item)
    except (OverflowError, TypeError, ValueError):
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return hashlib.sha256(numbers.tobytes()).hexdigest()
