"""Zeros are counted by value, whatever the type, the byte order, the blocks and the borders of extents."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.span import Span
from modelinspect.core.tensors import DTYPES, ByteOrder, Quantization, RawPayload, Stream, opaque
from modelinspect.errors import SourceChangedError
from modelinspect.measure import raw
from modelinspect.measure.facts import Aspect
from modelinspect.measure.run import measure
from modelinspect.sources.base import MemorySource
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location
from tests.support.tensors import artifact_of, measured, tensor

NUMPY = {
    **{name: np.dtype(name) for name in ("float16", "float32", "float64", "complex64", "complex128", "bool")},
    **{f"{kind}{bits}": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{
        name: np.dtype(getattr(ml_dtypes, name))
        for name in (
            "bfloat16",
            "float8_e4m3fn",
            "float8_e4m3fnuz",
            "float8_e4m3b11fnuz",
            "float8_e5m2",
            "float8_e5m2fnuz",
        )
    },
}


def oracle(array: np.ndarray) -> tuple[int, int]:
    """Count zeros, and those with a sign bit, by numpy's own comparison."""
    with np.errstate(invalid="ignore"):  # comparing a signalling NaN
        zero = array == np.zeros((), dtype=array.dtype)
        wide = array.astype(np.float64) if array.dtype.itemsize < 4 else array
    if array.dtype.kind == "c":
        negative = zero & (np.signbit(array.real) | np.signbit(array.imag))
    elif array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat", "float8")):
        negative = zero & np.signbit(wide)
    else:
        negative = np.zeros_like(zero)
    return int(zero.sum()), int(negative.sum())


def some_bits(name: str, seed: int, count: int) -> np.ndarray:
    """Make elements of which many are zero of either sign, and the others any bits at all."""
    rng = np.random.default_rng(seed)
    dtype = NUMPY[name]
    data = rng.integers(0, 256, count * dtype.itemsize, dtype=np.uint8)
    if name == "bool":
        data &= 1
    array = data.view(dtype)
    width = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    parts = array.view(f"u{width}")
    parts[rng.random(len(parts)) < 0.5] = 0
    parts[rng.random(len(parts)) < 0.3] = 1 << (8 * width - 1)
    if name == "bool":
        parts &= 1
    return array


@pytest.mark.parametrize("name", sorted(NUMPY))
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 700),
    cuts=st.lists(st.integers(0, 6000), max_size=6),
    block=st.integers(16, 300),
)
def test_zero_counts_equal_numpys(name: str, seed: int, count: int, cuts: list[int], block: int) -> None:
    array = some_bits(name, seed, count)
    found = measured(array.tobytes(), name, (count,), cuts=cuts, block=block)
    assert (found.element_count, found.zero_count, found.negative_zero_count) == (count, *oracle(array))


@pytest.mark.parametrize(
    "name", [name for name in sorted(NUMPY) if NUMPY[name].itemsize > 1 and NUMPY[name].kind in "fciu"]
)
def test_big_endian_elements_count_like_little_endian_ones(name: str) -> None:
    array = some_bits(name, 7, 4_000)
    swapped = array.astype(array.dtype.newbyteorder(">")).tobytes()
    found = measured(swapped, name, (4_000,), order=ByteOrder.BIG)
    assert (found.zero_count, found.negative_zero_count) == oracle(array)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from([1, 2, 4]),
    values=st.lists(st.integers(0, 15), max_size=300),
    point=st.integers(-8, 15),
    cuts=st.lists(st.integers(0, 150), max_size=3),
)
def test_packed_whole_numbers_are_counted_one_by_one(
    bits: int, values: list[int], point: int, cuts: list[int]
) -> None:
    mask = (1 << bits) - 1
    values = [value & mask for value in values]
    data = bytearray(-(-len(values) * bits // 8))
    for index, value in enumerate(values):
        data[index * bits // 8] |= value << (index * bits % 8)
    spare = (8 - len(values) * bits % 8) % 8
    if spare:  # what stands behind the last element is no element
        data[-1] |= 0xFF << (8 - spare) & 0xFF
    name = f"uint{bits}"
    plain = measured(bytes(data), name, (len(values),), cuts=cuts)
    assert (plain.element_count, plain.zero_count, plain.negative_zero_count) == (
        len(values),
        values.count(0),
        0,
    )
    quantized = measured(
        bytes(data), name, (len(values),), cuts=cuts, quantization=Quantization((0.5,), (point,))
    )
    assert quantized.zero_count == values.count(point & mask)


def test_four_bit_floats_have_a_negative_zero() -> None:
    found = measured(bytes([0x80, 0x08, 0x10]), "float4_e2m1fn", (6,))
    assert (found.zero_count, found.negative_zero_count) == (5, 2)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    data=st.data(),
    name=st.sampled_from(["int8", "uint8", "int16", "int32"]),
    order=st.sampled_from(list(ByteOrder)),
)
def test_quantized_zeros_are_the_zero_points_of_each_channel(
    shape: tuple[int, ...], data: st.DataObject, name: str, order: ByteOrder
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    low = 0 if name == "uint8" else -3
    points = data.draw(st.lists(st.integers(low, 3), min_size=shape[axis], max_size=shape[axis]))
    seed = data.draw(st.integers(0, 2**32))
    array = np.random.default_rng(seed).integers(low, 4, shape).astype(name)
    spread = np.array(points).reshape([-1 if index == axis else 1 for index in range(len(shape))])
    stored = array.astype(array.dtype.newbyteorder(">")) if order is ByteOrder.BIG else array
    found = measured(
        stored.tobytes(),
        name,
        shape,
        order=order,
        block=32,
        quantization=Quantization((1.0,) * len(points), tuple(points), axis),
    )
    assert found.zero_count == int((array == spread).sum())


def test_zero_points_that_fit_no_axis_leave_the_tensor_unmeasured() -> None:
    found = measured(bytes(6), "int8", (2, 3), quantization=Quantization((1.0,) * 4, (0, 1, 2, 3), 1))
    assert found.zero_count is None
    assert "zero points" in found.reason


def test_extents_that_hold_too_few_bytes_are_a_reason_and_a_diagnostic() -> None:
    item = tensor("float32", (10,), RawPayload(Stream("m"), (Span(4, 8), Span(0, 4))))
    found = measure(artifact_of(item), MemoryFiles({"m": bytes(64)}, "m"))
    assert found[0].zero_count is None
    assert "needs 40 bytes but its extents hold 12" in found[0].reason
    assert [(each.member, each.offset) for each in found.diagnostics] == [("m", 4)]


def test_strings_and_opaque_elements_are_unmeasured_with_a_reason() -> None:
    for dtype in (DTYPES["string"], opaque("compound", 96)):
        found = measure(
            artifact_of(tensor(dtype, (3,), RawPayload(Stream("m"), (Span(0, 36),)))),
            MemoryFiles({"m": bytes(36)}, "m"),
        )
        assert found[0].zero_count is None
        assert "not numbers" in found[0].reason


def test_a_tensor_without_payload_says_why() -> None:
    item = tensor("float32", (2,), None, note="its shard is missing")
    assert measure(artifact_of(item), MemoryFiles({"m": b""}, "m"))[0].reason == "its shard is missing"


def test_a_file_that_shrinks_while_it_is_measured_is_one_clear_error(tmp_path) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes(3 * raw.BLOCK_SIZE))
    item = tensor(
        "float32", (3 * raw.BLOCK_SIZE // 4,), RawPayload(Stream("m"), (Span(0, 3 * raw.BLOCK_SIZE),))
    )
    with open_location(path) as files:
        files.open("m")
        with path.open("r+b") as file:
            file.truncate(raw.BLOCK_SIZE + 5)
        with pytest.raises(SourceChangedError, match="became shorter"):
            measure(artifact_of(item), files)


def test_memory_stays_flat_and_every_byte_is_read_once() -> None:
    size = 24 * raw.BLOCK_SIZE + 12
    reads: list[int] = []

    class Counting(MemorySource):
        __slots__ = ()

        def read_into(self, offset: int, buffer: memoryview) -> None:
            reads.append(len(buffer))
            super().read_into(offset, buffer)

    class Files(MemoryFiles):
        def _open_source(self, name: str) -> MemorySource:
            return Counting(self._files[name], name)

    item = tensor("float32", (size // 4,), RawPayload(Stream("m"), (Span(0, size),)))
    assert measure(artifact_of(item), Files({"m": bytes(size)}, "m"))[0].zero_count == size // 4
    assert sum(reads) == size
    assert max(reads) <= raw.BLOCK_SIZE


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int]] = []
    items = [
        tensor("float32", (size,), RawPayload(Stream("m"), (Span(0, 4 * size),)))
        for size in (1, 3_000_000, 0)
    ]
    measure(
        artifact_of(*items),
        MemoryFiles({"m": bytes(12_000_000)}, "m"),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (12_000_004, 12_000_004)
    assert len(told) > 2
    assert told == sorted(told)


def test_every_float_type_knows_its_zeros() -> None:
    for name, dtype in NUMPY.items():
        if dtype.kind in "iub?c" and not name.startswith(("bfloat", "float8")):
            continue
        array = np.array([0.0, -0.0, 1.0, math.inf, 0.5], dtype=np.float32).astype(dtype)
        found = measured(array.tobytes(), name, (5,))
        assert (found.zero_count, found.negative_zero_count) == oracle(array), name


def test_all_aspects_come_from_one_pass() -> None:
    array = np.zeros((8, 4), dtype=np.float32)
    array[2:, 1] = 1.5
    found = measured(array.tobytes(), "float32", (8, 4), aspects=tuple(Aspect))
    assert found.distinct_count == 2
    assert found.digest is not None
    assert found.fingerprint is not None
    assert found.pattern is not None
    assert found.pattern.dead_rows == (2, 8)
    assert found.pattern.dead_channels == (3, 4)
    assert found.pattern.zero_blocks[-2, 4] == (6, 8)
    assert found.pattern.zero_blocks[-1, 4] == (2, 8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 30_000),
    most=st.sampled_from((1, 3, 900, 1_023, 1_024, 5_000)),
    block=st.integers(64, 9_000),
)
def test_distinct_values_are_numpys_up_to_the_cap(seed: int, count: int, most: int, block: int) -> None:
    array = np.random.default_rng(seed).integers(0, most, count).astype(np.float32)
    found = measured(
        array.tobytes(), "float32", (count,), cuts=[count * 2], block=block, aspects=(Aspect.VALUES,)
    )
    assert found.distinct_count == min(len(np.unique(array)), 1_024)
