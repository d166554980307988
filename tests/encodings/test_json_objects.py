"""The objects of a JSON text are found in bounded time and memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.limits import MIB, Limits
from modelinspect.encodings.json_objects import _Stream, fits, objects
from modelinspect.errors import FormatError, LimitError

SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=30,
)


def keys(found: list[Mapping[str, object]]) -> list[list[str]]:
    return [sorted(item) for item in found]


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_reading_value_by_value_finds_the_same_objects(value: object) -> None:
    text = json.dumps(value).encode()
    assert keys(list(_Stream(text, "").objects())) == keys(list(objects(text, Limits())))


def test_an_object_that_a_later_key_hides_is_found_too() -> None:
    found = list(objects(b'{"a": {"class_name": "Lambda"}, "a": {}}', Limits()))
    assert {"class_name": "Lambda"} in found
    assert found[-1] == {"a": {}}


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[0]," * 4_000_000 + b'{"class_name": "X"}]',
        b"[" + b'"a",' * 4_000_000 + b'{"class_name": "X"}]',
        b'{"numbers": [' + b"1," * 8_000_000 + b'1], "last": {"class_name": "X"}}',
    ],
)
def test_an_object_behind_long_lists_is_found_in_little_memory(text: bytes) -> None:
    assert not fits(text, Limits(document_size=20 * MIB))
    tracemalloc.start()
    found = [item for item in _Stream(text, "").objects() if "class_name" in item]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [{"class_name": "X"}]
    assert peak < 40 * MIB


@pytest.mark.parametrize("text", [b"[" * 5_000_000, b'{"a":' * 1_000_000, b"[" + b"{}," * 2_000_000 + b"{}]"])
def test_what_nests_or_counts_beyond_reason_is_a_limit(text: bytes) -> None:
    with pytest.raises(LimitError):
        list(_Stream(text, "").objects())


@pytest.mark.parametrize("text", [b"{", b'{"a": ', b"]", b'{"a" "b}'])
def test_what_is_not_json_is_an_error(text: bytes) -> None:
    with pytest.raises(FormatError):
        list(objects(text, Limits()))
    with pytest.raises(FormatError):
        list(_Stream(text, "").objects())


def test_a_text_beyond_the_limit_is_not_read() -> None:
    with pytest.raises(LimitError):
        list(objects(b"[" + b" " * 100 + b"]", Limits(document_size=50)))
