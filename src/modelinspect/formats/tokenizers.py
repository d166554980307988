"""Label tokenizers and count their entries: SentencePiece models, ``tokenizer.json`` of Hugging Face,
vocabularies as text or JSON.

Layouts: ``sentencepiece_model.proto`` of google/sentencepiece; the README of huggingface/tokenizers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact
from modelinspect.core.limits import KIB, MIB
from modelinspect.core.paths import PathId
from modelinspect.encodings.protobuf.wire import Malformed, read_varint
from modelinspect.errors import Code
from modelinspect.formats.base import Site

LARGEST = 128 * MIB
"""Bytes of a tokenizer that are read to count its entries; the largest known one has 33 MB."""

_PIECE = 0x0A
_AT_ONCE = 64
_WORTH = 64 * KIB
"""Bytes of a tokenizer above which compiling an expression pays."""
_FIELDS = {1: "pieces", 2: "trainer_spec", 3: "normalizer_spec", 4: "self_test_data", 5: "denormalizer_spec"}


def read_sentencepiece(site: Site, root: PathId) -> dict[str, Fact]:
    """Claim a SentencePiece ModelProto field by field, its pieces as one region, and return how many pieces
    it has.
    """
    data = _read(site)
    if data is None:
        site.claims.claim(0, site.source.size, RegionKind.ASSET, root)
        return {"kind": "SentencePiece"}
    position = pieces = 0
    runs: dict[str, list[tuple[int, int]]] = {}
    try:
        while position < len(data):
            begin = position
            count, position = _short_pieces(data, position)
            if count:
                name = _FIELDS[1]
            else:
                number, position = _field(data, position)
                name = _FIELDS.get(number, f"field {number}")
                count = number == 1
            pieces += count
            spans = runs.setdefault(name, [])
            if spans and spans[-1][1] == begin:
                spans[-1] = (spans[-1][0], position)
            else:
                spans.append((begin, position))
    except Malformed as error:
        site.diagnose(f"the tokenizer is not a SentencePiece model: {error.problem}", error.index)
    for name, spans in runs.items():
        path = site.claims.paths.child(root, name)
        for begin, end in spans:
            site.claims.claim(begin, end - begin, RegionKind.ASSET, path)
    return {"kind": "SentencePiece", "entries": pieces}


def _short_pieces(data: bytes, position: int) -> tuple[int, int]:
    """Return how many pieces of less than 128 bytes follow one another, and where the last of them ends:
    nearly all that there are.
    """
    count, last = 0, len(data) - 2
    if last - position > _WORTH:
        many = _many_pieces()
        while (found := many.match(data, position)) is not None:
            position = found.end()
            count += _AT_ONCE
    while position <= last and data[position] == _PIECE:
        end = position + 2 + data[position + 1]
        if data[position + 1] > 0x7F or end > last + 2:
            break
        position = end
        count += 1
    return count, position


@lru_cache(maxsize=1)
def _many_pieces() -> re.Pattern[bytes]:
    """Return what matches `_AT_ONCE` short pieces: the expression engine walks a vocabulary of 262,144 in a
    fifth of Python's time.
    """
    sized = b"|".join(re.escape(bytes((length,))) + b".{%d}" % length for length in range(0x80))
    return re.compile(b"(?:%c(?:%b)){%d}+" % (_PIECE, sized, _AT_ONCE), re.DOTALL)


def _field(data: bytes, position: int) -> tuple[int, int]:
    """Return the number of the field at a position and where it ends; all fields of the message are messages
    themselves.
    """
    tag, value = read_varint(data, position, len(data))
    if tag & 7 != 2:
        raise Malformed(f"field {tag >> 3} is not a message", position)
    size, value = read_varint(data, value, len(data))
    if value + size > len(data):
        raise Malformed(f"field {tag >> 3} ends {value + size - len(data):,} bytes after the end", position)
    return tag >> 3, value + size


class _Model(msgspec.Struct):
    type: str | None = None
    vocab: dict[str, msgspec.Raw] | list[msgspec.Raw] | None = None


class _Tokenizer(msgspec.Struct):
    model: _Model


def read_hugging_face(site: Site, root: PathId) -> dict[str, Fact]:
    """Claim a ``tokenizer.json`` whole and return its kind of model and how many entries its vocabulary
    has.
    """
    site.claims.claim(0, site.source.size, RegionKind.ASSET, root)
    data = _read(site)
    facts: dict[str, Fact] = {"kind": "Hugging Face tokenizer"}
    if data is None:
        return facts
    try:
        model = msgspec.json.decode(data, type=_Tokenizer).model
    except (msgspec.DecodeError, ValueError, RecursionError):
        site.diagnose("tokenizer.json has no model with a vocabulary", 0)
        return facts
    if model.type is not None:
        facts["algorithm"] = model.type[:100]
    if model.vocab is not None:
        facts["entries"] = len(model.vocab)
    return facts


def read_vocabulary(site: Site, root: PathId) -> dict[str, Fact]:
    """Claim a vocabulary whole, a JSON object or one entry a line, and return how many entries it has."""
    site.claims.claim(0, site.source.size, RegionKind.ASSET, root)
    data = _read(site)
    if data is None:
        return {"kind": "vocabulary"}
    if data[:1] == b"{":
        try:
            return {
                "kind": "vocabulary",
                "entries": len(msgspec.json.decode(data, type=dict[str, msgspec.Raw])),
            }
        except (msgspec.DecodeError, ValueError, RecursionError):
            site.diagnose("the vocabulary is not a JSON object", 0)
            return {"kind": "vocabulary"}
    return {"kind": "vocabulary", "entries": data.count(b"\n") + (not data.endswith(b"\n") and bool(data))}


def _read(site: Site) -> bytes | None:
    """Return the tokenizer's bytes; None, and a diagnostic, where it is larger than any."""
    if site.source.size > LARGEST:
        site.diagnose(
            f"a tokenizer of {site.source.size:,} bytes is not read; {LARGEST:,} is the most",
            0,
            code=Code.LIMIT,
        )
        return None
    return site.source.read_at(0, site.source.size)


def is_keras_config(value: object) -> bool:
    """Return whether parsed JSON is the configuration of a Keras object, as KerasHub writes a
    ``tokenizer.json``.
    """
    return isinstance(value, Mapping) and isinstance(value.get("class_name"), str)
