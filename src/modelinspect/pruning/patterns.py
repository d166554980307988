"""Named block layouts, and the arguments of a pattern as a user writes them."""

from __future__ import annotations

from collections.abc import Sequence

from modelinspect.pruning.errors import JobError
from modelinspect.pruning.selection import Pattern, validate_pattern

LAYOUTS: dict[str, int] = {"tflite-float": 4, "tflite-int8": 16}
"""Consecutive inputs of one output that TFLite's sparse kernels read together: blocks of 1x4 (float32) and
1x16 (int8).

TFLite stores the matrix of a fully connected layer as outputs x inputs, and Keras as inputs x outputs.
"""


def pattern_of(
    block_size: str | Sequence[int],
    pooling: str,
    m_by_n: str | Sequence[int] | None,
    names: tuple[str, str] = ("block_size", "m_by_n"),
) -> Pattern:
    """Return the pattern of a block size (``(height, width)`` of the Keras kernel, ``"16x1"`` or a layout's
    name).

    Raises `JobError`, which calls the two arguments by ``names``.
    """
    layout = block_size if isinstance(block_size, str) and block_size in LAYOUTS else ""
    blocks = (
        (LAYOUTS[layout], 1)
        if layout
        else _pair(block_size, names[0], f" or a layout ({', '.join(LAYOUTS)})")
    )
    pattern = Pattern(blocks, pooling.upper(), None if m_by_n is None else _pair(m_by_n, names[1]), layout)
    validate_pattern(pattern)
    return pattern


def describe(pattern: Pattern) -> str:
    """Return a few words for a pattern, such as ``1x16 as TFLite stores``."""
    if pattern.m_by_n:
        return f"{pattern.m_by_n[0]} of {pattern.m_by_n[1]}"
    if pattern.layout:
        return f"1x{LAYOUTS[pattern.layout]} as TFLite stores"
    height, width = pattern.block_size
    return "single weights" if (height, width) == (1, 1) else f"{height}x{width}"


def _pair(value: str | Sequence[int], name: str, alternative: str = "") -> tuple[int, int]:
    """Return two whole numbers of ``"16x1"`` or ``(16, 1)``."""
    parts: list[object] = list(value.lower().split("x")) if isinstance(value, str) else list(value)
    numbers = [
        int(part) for part in parts if isinstance(part, int) or (isinstance(part, str) and part.isdecimal())
    ]
    if len(numbers) != 2 or len(parts) != 2:
        raise JobError(f"{name} takes two numbers such as 16x1{alternative}, not {value!r}")
    return numbers[0], numbers[1]
