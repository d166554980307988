"""The equations of dense layers, and the shape of the scales that Keras gives their kernels.

Source: ``_analyze_quantization_info`` in keras/src/layers/core/einsum_dense.py, of Keras 3.15.
"""

from __future__ import annotations

import math
import re
from string import ascii_lowercase

from modelinspect.core.records import dataclass
from modelinspect.measure.blocks import UnmeasurableError

_EQUATION = re.compile(r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)")


@dataclass(frozen=True, slots=True)
class Einsum:
    """An equation without an ellipsis: the dimensions of inputs, kernel and outputs, a letter each."""

    given: str
    weight: str
    made: str

    @classmethod
    def of(cls, equation: str) -> Einsum:
        """Return a parsed equation, such as ``abc,cd->abd``. Raises `UnmeasurableError`."""
        match = _EQUATION.match(equation)
        if match is None or len(equation) > 200:
            raise UnmeasurableError("an equation of a layer is not known")
        return cls(*match.groups())

    def matrix(self, kernel: tuple[int, ...]) -> tuple[int, int]:
        """Return the rows and columns of a kernel as a matrix: the dimensions that are summed, the others."""
        summed = [length for length, label in zip(kernel, self.weight, strict=True) if label not in self.made]
        others = [length for length, label in zip(kernel, self.weight, strict=True) if label in self.made]
        return math.prod(summed), math.prod(others)

    def scale_shape(self, kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the scales of an int8 kernel: one for each output, with the outputs' rank."""
        summed = [place for place, label in enumerate(self.weight) if label not in self.made]
        order = [self.weight.index(label) for label in self.made if label in self.weight]
        missing = [place for place, label in enumerate(self.made) if label not in self.weight]
        dropped = []
        place = self.made.find(self.weight[-1])
        new = [index for index, label in enumerate(self.made) if label not in self.given]
        for label in self.given:  # Keras keeps the last place of the inputs where the kernel has none left
            if label not in self.made and new:
                place = new.pop(0)
        for axis in summed:
            if missing:
                place = missing.pop(0)
            else:
                dropped.append(axis)
            order.insert(place, axis)
        shape = [1 if axis in summed else kernel[axis] for axis in order]
        for axis in missing:
            shape.insert(axis, 1)
        for axis in sorted(dropped, reverse=True):
            if axis < len(shape):
                shape.pop(axis)
        return tuple(shape)


def projection(free: int, bound: int, made: int) -> Einsum:
    """Return the equation of a dense layer of multi-head attention (``_build_proj_equation``)."""
    if free + bound + made > len(ascii_lowercase):
        raise UnmeasurableError("an attention layer has too many dimensions")
    letters = ascii_lowercase
    batch = letters[:free]
    inner = letters[free : free + bound]
    outer = letters[free + bound : free + bound + made]
    return Einsum(batch + inner, inner + outer, batch + outer)
