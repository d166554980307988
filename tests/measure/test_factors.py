"""What is multiplied into a kernel changes which of its elements are zero."""

from __future__ import annotations

import warnings

import numpy as np

from modelinspect.measure.kept import Factors


def test_factors_of_rows_and_columns_are_multiplied_into_each_part_of_a_kernel() -> None:
    kernel = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
    rows, cols = np.array([1, 0, 2, 3], np.float32), np.array([1, 2, 0], np.float32)
    factors = Factors(rows=rows).times(Factors(cols=cols)).times(Factors(cols=cols))
    expected = kernel * rows[:, None] * (cols * cols)
    whole = np.concatenate([factors.apply(kernel[:2]), factors.apply(kernel[2:], 2)])
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(Factors().apply(kernel), kernel)


def test_numbers_that_are_too_large_warn_nobody() -> None:
    """Variables of a file can be anything, and a warning of numpy is no message of ours."""
    most = np.full((2, 2), 3e38, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        factors = Factors(cols=np.array([1e30, np.inf], np.float32))
        assert np.isinf(factors.apply(most)).all()
        assert np.isnan(factors.apply(most * 0)[:, 1]).all()
