"""Operators that TensorFlow itself registers: those of 2.21, and those of TensorFlow 1 that it still knows.

They are listed in ``core_ops.txt``, which scripts/derive_core_ops.py writes. An operator of a graph that is
neither there nor a function of its library is a custom operator.
"""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def core_ops() -> frozenset[str]:
    """Return the names of the operators."""
    return frozenset(
        resources.files("modelinspect.formats.graph")
        .joinpath("core_ops.txt")
        .read_text(encoding="utf-8")
        .split()
    )


@cache
def core_op_names() -> frozenset[bytes]:
    """Return the names of the operators, as graphs have them: in UTF-8."""
    return frozenset(op.encode() for op in core_ops())
