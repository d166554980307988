"""Slices of partitioned variables: their keys and their order, held against TensorFlow and numpy."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.encodings.test_sstable import Walked

from modelinspect.errors import FormatError
from modelinspect.formats.checkpoint.slices import FULL, TensorSlice, decode_key, runs


def signed(value: int) -> bytes:
    """Encode as OrderedCode::WriteSignedNumIncreasing: the sign bit turned, one more bit like it for each
    further byte.
    """
    magnitude = ~value if value < 0 else value
    size = next(size for size in range(1, 11) if magnitude < 1 << (7 * size - 1))
    head = ((1 << size) - 1) << (7 * size)
    plain = (head | magnitude).to_bytes(size, "big")
    return bytes(byte ^ 0xFF for byte in plain) if value < 0 else plain


def number(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def encoded(name: bytes, box: TensorSlice) -> bytes:
    text = b"".join(
        b"\x00\xff" if byte == 0 else b"\xff\x00" if byte == 0xFF else bytes([byte]) for byte in name
    )
    extents = b"".join(signed(part) for pair in zip(box.starts, box.lengths, strict=True) for part in pair)
    return number(0) + text + b"\x00\x01" + number(len(box.starts)) + extents


INT64 = st.integers(-(2**63), 2**63 - 1)
BORDERS = st.sampled_from(
    [sign * (1 << bits) + off for bits in range(63) for sign in (1, -1) for off in (-1, 0, 1)]
)


@given(st.binary(max_size=20), st.lists(st.tuples(INT64 | BORDERS, INT64 | BORDERS), max_size=5))
def test_a_key_gives_back_name_and_slice(name: bytes, pairs: list[tuple[int, int]]) -> None:
    box = TensorSlice(tuple(start for start, _ in pairs), tuple(length for _, length in pairs))
    assert decode_key(encoded(name, box)) == (name.decode("utf-8", "backslashreplace"), box)


@given(st.binary(max_size=40))
def test_any_key_is_decoded_or_refused(key: bytes) -> None:
    try:
        decode_key(key)
    except FormatError:
        return


def test_a_long_key_is_read_in_a_moment() -> None:
    with pytest.raises(FormatError):
        decode_key(b"\0" + b"a" * 1_000_000)
    with pytest.raises(FormatError):
        decode_key(b"\0" + b"\x00\xff" * 200_000)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "places",
    [(0, 63, 64, 65), (8191, 8192, 8193), (2**20 - 1, 2**20, 2**27, 2**34 - 1), (2**34, 2**41, 2**48)],
)
def test_keys_are_those_that_tensorflow_writes(places: tuple[int, ...], tmp_path: Path) -> None:
    import tensorflow as tf

    specs = [f"{2**50} 3 {place},2:-" for place in places]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model"),
        tensor_names=[f"v{place}" for place in places],
        shape_and_slices=specs,
        tensors=[tf.zeros((2, 3))] * len(places),
    )
    keys = [key for key, _ in Walked((tmp_path / "model.index").read_bytes()).entries if key[:1] == b"\0"]
    found = dict(decode_key(key) for key in keys)
    for place in places:
        box = found[f"v{place}"]
        assert (box.starts, box.lengths) == ((place, 0), (2, 3)) or (box.starts, box.lengths) == (
            (place, 0),
            (2, FULL),
        )
        assert encoded(f"v{place}".encode(), box) in keys


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_runs_put_the_parts_of_any_grid_together(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), max_size=4)))
    whole = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    cuts = [sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=2))}) for size in shape]
    boxes = [
        TensorSlice(tuple(begin for begin, _ in box), tuple(end - begin for begin, end in box))
        for box in itertools.product(*(itertools.pairwise(cut) for cut in cuts))
    ]
    boxes = data.draw(st.permutations(boxes))
    parts = [
        whole[tuple(slice(s, s + n) for s, n in zip(box.starts, box.lengths, strict=True))].ravel()
        for box in boxes
    ]
    found = runs(shape, boxes)
    assert found is not None
    joined = np.concatenate([parts[run.part][run.offset : run.offset + run.count] for run in found])
    assert (joined == whole.ravel()).all()


def test_parts_that_leave_a_hole_or_overlap_are_no_tensor() -> None:
    left, right = TensorSlice((0, 0), (2, 2)), TensorSlice((0, 2), (2, 2))
    assert runs((2, 4), [left, right]) is not None
    assert runs((2, 4), [left]) is None
    assert runs((2, 4), [left, left]) is None
    assert runs((2, 4), [left, TensorSlice((0, 1), (2, 3))]) is None


def test_a_slice_must_fit_its_tensor() -> None:
    assert TensorSlice((0, 1), (FULL, 2)).within((4, 3)) == TensorSlice((0, 1), (4, 2))
    assert TensorSlice((0, 2), (FULL, 2)).within((4, 3)) is None
    assert TensorSlice((-1,), (1,)).within((4,)) is None
    assert TensorSlice((0,), (1,)).within((4, 4)) is None
