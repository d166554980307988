"""The wire format: what is legal is walked whole, what is broken is told and never raises anything else."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.work import bounded

from modelinspect.encodings.protobuf import message, message_class
from modelinspect.encodings.protobuf.wire import BLOCK, Malformed, Wire, check, read_varint, scan, spans
from modelinspect.errors import FormatError
from modelinspect.sources.base import MemorySource


def varint(value: int, width: int = 0) -> bytes:
    """Encode a varint, with zero bytes behind to the width where that is larger."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        if not value and len(out) + 1 >= width:
            return bytes([*out, low])
        out.append(low | 0x80)


def blob(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def walked(
    data: bytes, name: str = "GraphDef"
) -> tuple[list[tuple[int, int, tuple[str, ...]]], list[FormatError]]:
    errors: list[FormatError] = []
    return list(spans(data, message(name), errors.append)), errors


def test_a_node_is_tags_lengths_and_values() -> None:
    node = blob(1, b"x") + blob(2, b"Const")
    found, errors = walked(blob(1, node))
    assert not errors
    assert found == [
        (0, 1, ("node", "tag")),
        (1, 2, ("node", "length")),
        (2, 3, ("node", "name", "tag")),
        (3, 4, ("node", "name", "length")),
        (4, 5, ("node", "name", "value")),
        (5, 6, ("node", "op", "tag")),
        (6, 7, ("node", "op", "length")),
        (7, 12, ("node", "op", "value")),
    ]


def test_varints_may_be_longer_than_they_need() -> None:
    assert read_varint(varint(5, 10), 0, 10) == (5, 10)
    data = varint(1 << 3 | 2, 3) + varint(3, 4) + blob(1, b"x")
    found, errors = walked(data)
    assert not errors
    assert found[:2] == [(0, 3, ("node", "tag")), (3, 7, ("node", "length"))]
    parsed = message_class("GraphDef")()
    parsed.ParseFromString(data)
    assert parsed.node[0].name == "x"  # type: ignore[attr-defined]


def test_a_negative_number_takes_ten_bytes() -> None:
    data = varint(3 << 3) + varint(2**64 - 1)
    assert scan(data, 0, len(data)) == [(0, 24, 1, 11)]
    assert read_varint(data, 1, 11)[0] == 2**64 - 1


def test_a_varint_of_eleven_bytes_is_broken() -> None:
    with pytest.raises(Malformed, match="more than 10 bytes"):
        read_varint(b"\xff" * 10 + b"\x01", 0, 11)


def test_unknown_fields_are_named_by_number() -> None:
    found, errors = walked(
        varint(77 << 3) + b"\x05" + varint(78 << 3 | 5) + b"abcd" + varint(79 << 3 | 1) + b"abcdefgh"
    )
    assert not errors
    assert [path for _, _, path in found if path[-1] == "value"] == [
        ("field 77", "value"),
        ("field 78", "value"),
        ("field 79", "value"),
    ]


def test_a_group_is_one_value_up_to_its_end() -> None:
    group = (
        varint(9 << 3 | 3)
        + blob(1, b"abc")
        + varint(2 << 3 | 3)
        + b"\x08\x01"
        + varint(2 << 3 | 4)
        + varint(9 << 3 | 4)
    )
    found, errors = walked(group + blob(1, blob(1, b"x")))
    assert not errors
    assert found[:2] == [(0, 1, ("field 9", "tag")), (1, len(group), ("field 9", "value"))]
    assert list(Wire(MemorySource(group)).fields(0, len(group))) == [(0, 9 << 3 | 3, 1, len(group))]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (varint(9 << 3 | 3) + b"\x08\x01", "does not end"),
        (varint(9 << 3 | 4), "ends that did not begin"),
        (varint(9 << 3 | 3) + varint(8 << 3 | 4), "not the innermost"),
        (b"\x0a\x7fab", "needs 127 bytes but 2 are left"),
        (b"\x0a", "varint does not end"),
        (b"\x02\x00", "no field has the tag"),
        (b"\x0e\x00", "wire type 6"),
        (b"\x0d\x00\x00", "needs 4 bytes but 2 are left"),
        (b"\x80\x80\x80\x80\x10\x00", "no field has the tag"),
    ],
)
def test_what_is_broken_says_where(data: bytes, problem: str) -> None:
    sound = blob(1, blob(1, b"x"))
    found, errors = walked(sound + data)
    assert [error.offset is not None and error.offset >= len(sound) for error in errors] == [True]
    assert problem in errors[0].problem
    assert found[-1][1] == len(sound)
    with pytest.raises(FormatError, match=problem):
        list(Wire(MemorySource(sound + data)).fields(0, len(sound + data)))


def test_packed_values_must_be_whole() -> None:
    for data in (blob(5, b"abcde"), blob(7, b"\x01\x80")):
        scan(data, 0, len(data))
        with pytest.raises(Malformed, match="packed"):
            check(data, 0, len(data), message("TensorProto"))
    unpacked = varint(5 << 3 | 5) + b"abcd" + varint(5 << 3 | 5) + b"efgh"
    check(unpacked, 0, len(unpacked), message("TensorProto"))


@pytest.mark.parametrize("name", ["FullTypeDef", "StructuredValue", "TensorProto"])
def test_ten_thousand_levels_are_refused_and_not_recursed_into(name: str) -> None:
    numbers = {"FullTypeDef": (2,), "StructuredValue": (51, 1), "TensorProto": (15, 3)}[name]
    data = b""
    for _ in range(10_000):
        for number in reversed(numbers):
            data = blob(number, data)
    with bounded():
        _, errors = walked(data, name)
        assert any("deeper than 100" in error.problem for error in errors)
        with pytest.raises(Malformed, match="deeper than 100"):
            check(data, 0, len(data), message(name))


def test_ten_thousand_groups_are_refused() -> None:
    data = varint(9 << 3 | 3) * 10_000 + varint(9 << 3 | 4) * 10_000
    with pytest.raises(Malformed, match="deeper than 100"):
        scan(data, 0, len(data))
    with pytest.raises(FormatError, match="deeper than 100"):
        list(Wire(MemorySource(data)).fields(0, len(data)))


def test_large_values_are_passed_over_unread() -> None:
    class Counting(MemorySource):
        read = 0

        def read_at(self, offset: int, size: int) -> bytes:
            type(self).read += size
            return super().read_at(offset, size)

    data = b"".join(blob(4, bytes(8 << 20)) for _ in range(4)) + blob(4, b"end")
    fields = list(Wire(Counting(data)).fields(0, len(data)))
    assert [stop - begin for _, _, begin, stop in fields] == [8 << 20] * 4 + [3]
    assert Counting.read <= 5 * BLOCK


def test_fields_across_the_border_of_a_block_are_whole() -> None:
    items = [blob(1, bytes([index % 251]) * (index % 97)) for index in range(60_000)]
    data = b"".join(items)
    assert len(data) > 2 * BLOCK
    assert list(Wire(MemorySource(data)).fields(0, len(data))) == scan(data, 0, len(data))


values = st.recursive(
    st.builds(
        lambda number, value: varint(number << 3) + varint(value),
        st.integers(1, 20),
        st.integers(0, 2**64 - 1),
    )
    | st.builds(lambda number, value: blob(number, value), st.integers(1, 20), st.binary(max_size=200))
    | st.builds(
        lambda number, value: varint(number << 3 | 5) + value,
        st.integers(1, 20),
        st.binary(min_size=4, max_size=4),
    ),
    lambda inner: st.builds(
        lambda number, parts: blob(number, b"".join(parts)), st.integers(1, 20), st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.lists(values, max_size=6).map(b"".join),
    st.sampled_from(["GraphDef", "NodeDef", "AttrValue", "TensorProto", "SavedObjectGraph"]),
)
@settings(max_examples=200, deadline=None)
def test_spans_tile_what_is_sound(data: bytes, name: str) -> None:
    """Where nothing is reported, the spans cover every byte once and in order; where something is, they never
    overlap.
    """
    found, errors = walked(data, name)
    assert all(begin < end for begin, end, _ in found)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    if not errors:
        assert sum(end - begin for begin, end, _ in found) == len(data)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_walked_without_another_exception(data: bytes) -> None:
    walked(data, "SavedModel")
    try:
        fields = list(Wire(MemorySource(data)).fields(0, len(data)))
    except FormatError:
        with pytest.raises(Malformed):
            scan(data, 0, len(data))
    else:
        assert fields == scan(data, 0, len(data))
