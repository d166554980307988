"""What biases and kernels of matrix products become that take in numbers around them."""

from __future__ import annotations

from collections.abc import Callable

from modelinspect.conversion.network import Array, Constant, Location, Value, floats


def changed(bias: Value, change: Callable[[Array], Array]) -> Array | None:
    """Return the elements of a bias after a change; None of one that took in sums before the product."""
    return None if bias.vector is None else change(bias.vector)


def bias_of(elements: Array | None, count: int, location: Location, key: object) -> Value:
    """Return the bias of a matrix product, whose elements need not be known; equal ones have the same
    ``key``.
    """
    if elements is not None:
        return floats(elements, location)
    return Value((count,), location, 0, Constant(4 * count, None, key=key))


def key_after(value: Value | None, change: str, numbers: Array | None) -> object:
    """Return what is the same of constants that equal ones became by the same change."""
    held = None if value is None or value.constant is None else value.constant.key
    return change, held, None if numbers is None else numbers.tobytes()
