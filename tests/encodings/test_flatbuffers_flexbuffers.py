"""Reads flexbuffers that the flatbuffers package writes."""

from __future__ import annotations

from typing import Any

import pytest
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.hostile import mutations

from modelinspect.encodings.flatbuffers.flexbuffers import read_flex
from modelinspect.errors import FormatError

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(width=32, allow_nan=False)
    | st.text("abcdef", max_size=9)
)
KEYS = st.text("xyz", min_size=1, max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def covered(data: bytes, flat: Any) -> None:
    end = 0
    for span in flat.spans:
        assert span.offset >= end
        assert not any(data[end : span.offset])
        end = span.offset + span.size
    assert end == len(data)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_every_byte_of_a_flexbuffer_is_named(value: Any) -> None:
    data = bytes(flexbuffers.Dumps(value))
    covered(data, read_flex(data, 10_000))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, LEAVES.filter(lambda leaf: not isinstance(leaf, float)), min_size=1, max_size=5))
def test_the_root_map_is_read_as_the_library_reads_it(value: dict[str, Any]) -> None:
    data = bytes(flexbuffers.Dumps(value))
    assert read_flex(data, 10_000).root == flexbuffers.Loads(data)


@pytest.mark.parametrize(
    "value",
    [[1, 2, 3], [1.5, 2.5], ["a", "b"], [True, False], b"blob", "text", 7, -7, 1.5, {"a": [1, "b"]}, [], {}],
)
def test_typical_values_are_read(value: Any) -> None:
    data = bytes(flexbuffers.Dumps(value))
    covered(data, read_flex(data, 100))


def test_other_bytes_are_none() -> None:
    for data in (b"", b"ABC", bytes(40), b"\xff" * 30):
        with pytest.raises(FormatError):
            read_flex(data, 100)


def test_a_flexbuffer_of_many_values_is_refused_above_the_limit() -> None:
    with pytest.raises(FormatError, match="too many"):
        read_flex(bytes(flexbuffers.Dumps([{"a": 1}] * 100)), 50)


def test_mutated_it_is_read_or_refused() -> None:
    data = bytes(flexbuffers.Dumps({"mode": "fast", "levels": [1, 2, 3], "inner": {"a": 1.5, "b": [True]}}))
    for changed in mutations(data, 2000, 3):
        try:
            covered(changed, read_flex(changed, 1000))
        except FormatError:
            continue
