"""The entropy of narrow elements is that of their values, of wide floats that of their exponents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import log2
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.analyses.plan.entropy import mask_bits
from modelinspect.core.tensors import ByteOrder
from modelinspect.measure.facts import Aspect
from tests.support.fixtures import fixture_path
from tests.support.tensors import measured

VALUES = np.random.default_rng(3).normal(0, 9, 5_000).round().astype("<i2")


def oracle(values: Sequence[Hashable]) -> float:
    return -sum(count * log2(count / len(values)) for count in Counter(values).values())


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("order", list(ByteOrder))
def test_the_entropy_is_that_of_the_values(dtype: str, order: ByteOrder) -> None:
    stored = VALUES.astype(np.dtype(dtype).newbyteorder("<" if order is ByteOrder.LITTLE else ">"))
    found = measured(stored.tobytes(), dtype, (50, 100), order=order, block=998, aspects=(Aspect.ENTROPY,))
    assert found.value_bits == pytest.approx(oracle(VALUES.tolist()))
    assert found.zero_count is not None
    assert (
        found.value_bits
        <= mask_bits(5_000, found.zero_count) + (5_000 - found.zero_count) * 8 * stored.itemsize
    )


def test_elements_of_half_a_byte_are_counted_one_by_one() -> None:
    data = bytes(range(256))
    found = measured(data, "int4", (511,), aspects=(Aspect.ENTROPY,))
    halves = [half for byte in data for half in (byte & 15, byte >> 4)][:511]
    assert found.value_bits == pytest.approx(oracle(halves))


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("order", list(ByteOrder))
def test_of_wide_floats_signs_and_exponents_are_counted_and_mantissas_kept(
    width: int, order: ByteOrder
) -> None:
    many = np.where(VALUES, np.random.default_rng(4).normal(0, 9, VALUES.size), 0)
    stored = many.astype(f"{'<' if order is ByteOrder.LITTLE else '>'}f{width}")
    found = measured(
        stored.tobytes(), f"float{8 * width}", (5_000,), order=order, block=998, aspects=(Aspect.ENTROPY,)
    )
    heads = [
        (bool(np.signbit(value)), int(np.frexp(value)[1]) if value else None) for value in stored.astype("f8")
    ]
    mantissa = {2: 10, 4: 23, 8: 52}[width]
    assert found.value_bits == pytest.approx(oracle(heads) + mantissa * np.count_nonzero(stored))


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("order", list(ByteOrder))
def test_wide_floats_of_few_values_are_counted_by_their_values_and_a_codebook(
    width: int, order: ByteOrder
) -> None:
    stored = VALUES.astype(f"{'<' if order is ByteOrder.LITTLE else '>'}f{width}")
    found = measured(
        stored.tobytes(), f"float{8 * width}", (5_000,), order=order, block=998, aspects=(Aspect.ENTROPY,)
    )
    assert found.value_bits == pytest.approx(oracle(VALUES.tolist()) + 8 * width * len(set(VALUES.tolist())))


def test_a_clustered_model_has_a_bound_below_what_compressors_reach(tmp_path: Path) -> None:
    values = np.random.default_rng(7).choice(
        np.linspace(-1, 1, 33, dtype="<f4"), (200, 300), p=[0.02] * 16 + [0.36] + [0.02] * 16
    )
    with h5py.File(tmp_path / "clustered.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"dense/kernel:0"]
        file["dense/dense/kernel:0"] = values
    report = mi.plan(tmp_path / "clustered.h5", only=["gzip-9", "zstd-19", "tflite-float32", "entropy-bound"])
    sizes = {option.option: option.size for option in report.options}
    assert sizes["entropy-bound"] == pytest.approx((oracle(values.ravel().tolist()) + 33 * 32) / 8, abs=1)
    assert sizes["entropy-bound"] < min(sizes["gzip-9"], sizes["zstd-19"])
    assert [option.download_size for option in report.options if option.option == "tflite-float32"] == [None]


def test_wide_integers_have_none() -> None:
    assert (
        measured(VALUES.astype("<i4").tobytes(), "int32", (5_000,), aspects=(Aspect.ENTROPY,)).value_bits
        is None
    )


def test_a_bound_that_a_compressor_goes_below_is_no_bound(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ramp.h5", "w") as file:
        file["kernel"] = np.tile(np.linspace(0, 1, 5_000, dtype="<f4"), 4).reshape(100, 200)
    report = mi.plan(tmp_path / "ramp.h5")
    assert "entropy-bound" not in {option.option for option in report.options}
    assert any(note.startswith("entropy-bound: ") for note in report.left_out)


def test_of_integers_the_bound_of_a_plan_is_below_what_compressors_reach() -> None:
    report = mi.plan(fixture_path("pruned_mlp/stripped/int8.tflite"))
    sizes = {option.option: option.size for option in report.options}
    assert 0 < sizes["entropy-bound"] < min(sizes["gzip-9"], sizes["zstd-19"], sizes["brotli-11"])
