"""Distinct values are those that numpy finds."""

from __future__ import annotations

import numpy as np
import pytest

from modelinspect.core.distinct import are_among, distinct, distinct_places, first_of_each

_SAMPLES = ([], [7], [3, 3, 3], [5, 1, 5, 2, 1, 9], [2**40, -4, 0, -4, 2**40])


@pytest.mark.parametrize("sample", _SAMPLES)
def test_distinct_values_are_those_of_numpy(sample: list[int]) -> None:
    values = np.array(sample, dtype=np.int64)
    found, first, places = np.unique(values, return_index=True, return_inverse=True)
    assert distinct(values).tolist() == found.tolist()
    assert first_of_each(values).tolist() == first.tolist()
    ours, our_places = distinct_places(values)
    assert ours.tolist() == found.tolist()
    assert our_places.tolist() == places.tolist()


@pytest.mark.parametrize("sample", _SAMPLES)
def test_values_that_are_among_others(sample: list[int]) -> None:
    values = np.array([-4, 1, 3, 2**41, 7], dtype=np.int64)
    others = np.sort(np.array(sample, dtype=np.int64))
    assert are_among(values, others).tolist() == np.isin(values, others).tolist()
