"""What both full-integer quantizers do with tensors and constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.forms.elements import Elements
from modelinspect.conversion.forms.integer_kernels import RULES, Kind, Rule
from modelinspect.conversion.forms.rewrite import QUANTIZED_CONSTANT, UNNAMED, Graph, Model, Operation
from modelinspect.conversion.operators import FLOAT32, FULLY_CONNECTED, operator_name
from modelinspect.conversion.releases import ConstantNames
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.records import dataclass, field
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError

MOST_ELEMENTS = 1_024
"""Larger constants are not compared: those that are equal are one in the float model already."""


class Decided(NamedTuple):
    """What the samples decide about the size of a form, in bytes.

    ``expected`` are added to those of its tree; there may be ``doubt`` more or less.
    """

    expected: int = 0
    doubt: int = 0


@dataclass(slots=True)
class Parts:
    """A graph that is quantized, and the elements of its constants by their buffers."""

    model: Model
    graph: Graph
    kind: Kind
    elements: Mapping[int, Elements]
    contents: dict[int, object] = field(default_factory=dict)
    """What is known of the elements of each constant, by its tensor: equal ones share a buffer at last."""
    _sharing: Counter[int] = field(default_factory=Counter)
    _parameters: dict[tuple[int, int, bool], Node] = field(default_factory=dict)
    """Equal quantizations are one node."""

    def __post_init__(self) -> None:
        self._sharing.update(tensor.number("buffer") for tensor in self.graph.tensors)

    def tensor(self, index: int) -> Node:
        """Return a tensor. Raises `UnmeasurableError` where there is none."""
        if not 0 <= index < len(self.graph.tensors):
            raise UnmeasurableError(f"an operator names tensor {index}, which is not there")
        return self.graph.tensors[index]

    def size(self, index: int) -> int:
        """Return the bytes of a constant, 0 of what is computed."""
        return self.model.size_of(self.tensor(index))

    def is_float(self, index: int) -> bool:
        """Return whether there is a tensor of floats."""
        return index >= 0 and self.tensor(index).number("type") == FLOAT32

    def floats(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """Return those that are floats."""
        return tuple(index for index in indices if self.is_float(index))

    def add(self, tensor: Node) -> int:
        """Add a tensor and return its index."""
        self.graph.tensors.append(tensor)
        self._sharing[tensor.number("buffer")] += 1
        return len(self.graph.tensors) - 1

    def store(self, index: int, kind: int, width: int, parameters: Node) -> None:
        """Store a constant as integers, in a buffer that no other tensor has."""
        tensor = self.tensor(index)
        tensor.set(type=kind)
        tensor.set_node("quantization", parameters)
        place = tensor.number("buffer")
        if self._sharing[place] > 1:
            self._sharing[place] -= 1
            place = self.model.add_buffer()
            tensor.set(buffer=place)
            self._sharing[place] = 1
        self.model.store(place, prod(tensor.vector("shape").values) * width)

    def parameters(self, count: int = 1, axis: int = 0, *, ranges: bool = False) -> Node:
        """Return the quantization of a tensor, with as many scales."""
        key = count, axis, ranges
        if key in self._parameters:
            return self._parameters[key]
        node = Node("QuantizationParameters", {"scale": Vector(count, 4), "zero_point": Vector(count, 8)})
        if ranges and self.kind.keeps_ranges:
            node.set(min=Vector(count, 4), max=Vector(count, 4))
        if axis:
            node.set(quantized_dimension=axis)
        self._parameters[key] = node
        return node

    def channels(self, code: int, shape: tuple[int, ...], axis: int) -> int:
        """Return how many scales a kernel has."""
        is_whole = code == FULLY_CONNECTED and not self.model.release.has_channels
        return shape[axis] if axis < len(shape) and not is_whole else 1

    def forget_names(self, bases: dict[int, bytes], used: Iterable[int], quantized: Iterable[int]) -> None:
        """Take the names of constants that are moved, in releases where they lose them."""
        if self.model.release.constants is not ConstantNames.USERS:
            bases.update(dict.fromkeys(used, UNNAMED))
            bases.update(dict.fromkeys(quantized, QUANTIZED_CONSTANT))

    def as_float(self, index: int) -> Node:
        """Return a copy of a tensor as one of floats."""
        tensor = self.tensor(index).copy()
        tensor.set(type=FLOAT32)
        tensor.nodes = {"quantization": Node("QuantizationParameters")}
        tensor.shape = None
        return tensor

    def elements_of(self, index: int, most: int = MOST_ELEMENTS) -> NDArray[Any] | None:
        """Return the elements of a small constant where they are known."""
        tensor = self.tensor(index)
        shape = tensor.vector("shape").values
        read = self.elements.get(tensor.number("buffer"))
        if read is None or prod(shape) > most:
            return None
        try:
            return np.asarray(read(shape))
        except (FormatError, UnmeasurableError):
            return None

    def share_buffers(self) -> None:
        """Give constants of equal elements one buffer; each has its own empty one left."""
        first: dict[object, int] = {}
        for index, tensor in enumerate(self.graph.tensors):
            known, own = self.contents.get(index), tensor.number("buffer")
            if known is None or not self.size(index):
                continue
            place = first.setdefault(known, own)
            if place != own:
                self._sharing[own] -= 1
                if not self._sharing[own]:
                    self.model.clear(own)
                tensor.set(buffer=place)

    def sign(self, places: Mapping[int, int]) -> None:
        """Let the signatures name other tensors; other forms share the signatures, so they are copied."""
        signatures = [signature.copy() for signature in self.model.root.lists.get("signature_defs", [])]
        for signature in signatures:
            for key in ("inputs", "outputs"):
                ends = [end.copy() for end in signature.lists.get(key, ())]
                signature.set_list(key, ends)
                for end in ends:
                    index = end.number("tensor_index")
                    end.set(tensor_index=places.get(index, index))
        if signatures:
            self.model.root.set_list("signature_defs", signatures)

    def count_buffers(self, tensors: int) -> None:
        """Have one buffer for each tensor, and for each entry of the metadata."""
        wanted = 1 + tensors + len(self.model.root.lists.get("metadata", []))
        while len(self.model.buffers) < wanted:
            self.model.add_buffer()
        self.model.spare += max(len(self.model.buffers) - wanted - self.model.spare, 0)


class Names:
    """Gives tensors names that are not taken, as the converter does (OpOrArgNameMapper)."""

    def __init__(self, taken: Iterable[bytes]) -> None:
        self._counts: dict[bytes, int] = dict.fromkeys(taken, 1)

    def give(self, base: bytes) -> bytes:
        """Return the name, or the first that is free with a number after it."""
        if base not in self._counts:
            self._counts[base] = 1
            return base
        while True:
            name = base + str(self._counts[base]).encode()
            self._counts[base] += 1
            if name not in self._counts:
                self._counts[name] = 1
                return name


def rule_of(operation: Operation) -> Rule:
    """Return how an operator is quantized. Raises `UnmeasurableError` where that is not known."""
    rule = RULES.get(operation.code)
    if rule is None or operation.custom is not None:
        name = operator_name(operation.code) if operation.custom is None else "of another library"
        raise UnmeasurableError(f"not known how the operator {name} is quantized")
    return rule


def refused(code: int) -> UnmeasurableError:
    """Return the error for an operator with which the converter refuses a model."""
    return UnmeasurableError(
        f"the converter refuses the operator {operator_name(code)} with int16 activations"
    )


def quantized_bytes(values: NDArray[Any], *, width: int) -> bytes:
    """Return the elements of a constant as they are quantized: for int8 from the smallest to the largest, for
    int16 around zero.
    """
    with np.errstate(invalid="ignore"):  # weights that are not numbers
        array = values.astype(np.float64)
    if width == 2:
        scale = np.abs(array).max(initial=0) / 32_767 or 1.0
        return np.rint(array / scale).astype("<i2").tobytes()
    least, most = min(array.min(initial=0), 0.0), max(array.max(initial=0), 0.0)
    scale = (most - least) / 255 or 1.0
    zero = round(-128 - least / scale) if most > least else 0
    quantized: NDArray[np.int8] = np.clip(np.rint(array / scale) + zero, -128, 127).astype(np.int8)
    return quantized.tobytes()
