"""Distinct values of an array, in their order.

numpy's ``unique`` does the same, and imports ``numpy.ma`` on its first call, which takes longer than what is
asked for most files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_I = TypeVar("_I", bound="np.integer[Any]")


def distinct(values: NDArray[_I]) -> NDArray[_I]:
    """Return each value once, in ascending order; ``values`` has one dimension."""
    import numpy as np

    ordered = np.sort(values)
    return ordered[_begins(ordered)]


def distinct_places(values: NDArray[_I]) -> tuple[NDArray[_I], NDArray[np.intp]]:
    """Return each value once, in ascending order, and for each element of ``values`` the place of its value
    among them.
    """
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = _begins(ordered)
    places = np.empty(len(values), dtype=np.intp)
    places[order] = np.cumsum(begins) - 1
    return ordered[begins], places


def first_of_each(values: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return where each value comes first, in ascending order of the values."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    return order[_begins(values[order])]


def are_among(values: NDArray[np.integer[Any]], ordered: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return which values are in ``ordered``, whose values ascend."""
    import numpy as np

    if not len(ordered):
        return np.zeros(len(values), dtype=np.bool_)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == values
    return found


def _begins(ordered: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return which elements differ from the one before."""
    import numpy as np

    begins = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins
