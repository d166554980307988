"""The entropy of narrow elements is that of their values, and never more than that of their zeros and all other bits."""

from __future__ import annotations

from collections import Counter
from math import log2

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.analyses.plan.entropy import mask_bits
from modelinspect.core.tensors import ByteOrder
from modelinspect.measure.facts import Aspect
from tests.measure.tensors import measured
from tests.support.fixtures import fixture_path

VALUES = np.random.default_rng(3).normal(0, 9, 5_000).round().astype("<i2")


def oracle(values: list[int]) -> float:
    return -sum(count * log2(count / len(values)) for count in Counter(values).values())


@pytest.mark.parametrize("dtype", ["int8", "int16", "float16"])
@pytest.mark.parametrize("order", list(ByteOrder))
def test_the_entropy_is_that_of_the_values(dtype: str, order: ByteOrder) -> None:
    stored = VALUES.astype(np.dtype(dtype).newbyteorder("<" if order is ByteOrder.LITTLE else ">"))
    found = measured(stored.tobytes(), dtype, (50, 100), order=order, block=998, aspects=(Aspect.ENTROPY,))
    assert found.value_bits == pytest.approx(oracle(VALUES.tolist()))
    assert found.zero_count is not None
    assert found.value_bits <= mask_bits(5_000, found.zero_count) + (5_000 - found.zero_count) * 8 * stored.itemsize


def test_elements_of_half_a_byte_are_counted_one_by_one() -> None:
    data = bytes(range(256))
    found = measured(data, "int4", (511,), aspects=(Aspect.ENTROPY,))
    halves = [half for byte in data for half in (byte & 15, byte >> 4)][:511]
    assert found.value_bits == pytest.approx(oracle(halves))


def test_wide_elements_have_none() -> None:
    assert measured(VALUES.astype("<f4").tobytes(), "float32", (5_000,), aspects=(Aspect.ENTROPY,)).value_bits is None


def test_of_integers_the_bound_of_a_plan_is_below_what_compressors_reach() -> None:
    report = mi.plan(fixture_path("pruned_mlp/stripped/int8.tflite"))
    sizes = {option.option: option.size for option in report.options}
    assert 0 < sizes["entropy-bound"] < min(sizes["gzip-9"], sizes["zstd-19"], sizes["brotli-11"])
