"""Pieces of SentencePiece models are counted as protobuf's own parser counts them, whatever their lengths."""

from __future__ import annotations

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.artifact import FormatName
from modelinspect.formats import tokenizers
from modelinspect.formats.base import Parsing
from modelinspect.sources.files import MemoryFiles


def varint(value: int) -> bytes:
    return bytes((value,)) if value < 0x80 else bytes((value & 0x7F | 0x80, value >> 7))


def counted(data: bytes) -> tuple[object, bool]:
    """Return how many pieces are counted, and whether trouble was reported."""
    parsing = Parsing(MemoryFiles({"spiece.model": data}, "spiece.model"))
    site = parsing.open("spiece.model")
    entries = tokenizers.read_sentencepiece(site, site.claims.root)["entries"]
    return entries, bool(parsing.finish(FormatName.KERAS_PRESET).diagnostics)


@settings(max_examples=80, deadline=None)
@given(
    fields=st.lists(st.tuples(st.sampled_from((1, 1, 1, 1, 1, 1, 1, 3)), st.integers(0, 200)), max_size=400),
    repeat=st.sampled_from((1, 5)),
    worth=st.sampled_from((0, 1 << 30)),
    cut=st.integers(0, 40),
)
def test_pieces_are_those_that_protobuf_counts(
    fields: list[tuple[int, int]], repeat: int, worth: int, cut: int
) -> None:
    whole = b"".join(
        bytes((number << 3 | 2,)) + varint(size) + b"x" * size for number, size in fields * repeat
    )
    data = whole[: len(whole) - cut]
    message = Empty()
    try:
        message.ParseFromString(data)
    except DecodeError:
        expected = None
    else:
        expected = sum(field.field_number == 1 for field in UnknownFieldSet(message))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizers, "_WORTH", worth)
        pieces, is_broken = counted(data)
    assert is_broken is (expected is None)
    assert expected is None or pieces == expected
