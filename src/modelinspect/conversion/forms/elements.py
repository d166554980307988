"""Fill the vectors of a predicted model with elements, as the converter would quantize and encode them.

What is written with them is not a model to run: it is as large as the real one, and compresses as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.forms.rewrite import Model
from modelinspect.conversion.operators import FLOAT16, FLOAT32, INT8
from modelinspect.conversion.tree import Node, Vector
from modelinspect.measure.blocks import Reading, UnmeasurableError
from modelinspect.measure.kept import Factors, Held, Layout, slabs
from modelinspect.sources.base import Source

Array = NDArray[Any]
Elements = Callable[[tuple[int, ...]], Array]
"""Gives the elements of a constant of the float model, in the order in which TFLite stores a tensor of that
shape.
"""

_STORED = {FLOAT32: "<f4", FLOAT16: "<f2"}
_WIDTHS = {"Uint8Vector": "<u1", "Uint16Vector": "<u2", "Int32Vector": "<i4"}


class Contents:
    """What is in the vectors of a model that was taken apart and changed.

    Raises `UnmeasurableError` where that cannot be known.
    """

    def __init__(self, model: Model, elements: Mapping[int, Elements], source: Source | None = None) -> None:
        self._source = source
        self._known: dict[tuple[int, str], bytes] = {}
        for graph in model.graphs:
            for tensor in graph.tensors:
                index = tensor.number("buffer")
                read = elements.get(model.copied.get(index, index))
                if (
                    read is not None
                    and (id(model.buffers[index]), "data") not in self._known
                    and model.size_of(tensor)
                ):
                    self._fill(tensor, model.buffers[index], read(tensor.vector("shape").values))

    def __call__(self, node: Node, name: str) -> bytes | None:
        """Return the bytes of a vector that is a field of a node, None where nothing is known of them."""
        known = self._known.get((id(node), name))
        if known is not None or self._source is None:
            return known
        vector = node.vector(name)
        return self._source.read_at(vector.start, vector.size) if vector.start >= 0 else None

    def put_metadata(self, model: Model, name: bytes, data: bytes) -> None:
        """Give an entry of the model's metadata its bytes, where it has as many."""
        for entry in model.root.lists.get("metadata", []):
            buffer = model.buffers[entry.number("buffer")]
            if entry.values.get("name") == name and buffer.vector("data").size == len(data):
                self._known[id(buffer), "data"] = data

    def _fill(self, tensor: Node, buffer: Node, array: Array) -> None:
        shape, kind = tensor.vector("shape").values, tensor.number("type")
        if array.size != prod(shape):
            raise UnmeasurableError(f"the elements of {tensor.text('name')} are not known")
        values: NDArray[np.generic]
        if kind == INT8:
            values = self._quantized(tensor, array.reshape(shape))
        elif kind in _STORED:
            with np.errstate(over="ignore"):
                values = array.astype(_STORED[kind])
        else:
            values = array
        sparsity = tensor.nodes.get("sparsity")
        values = np.ascontiguousarray(values)
        stored = (
            values.tobytes() if sparsity is None else self._encoded(values.reshape(-1, shape[-1]), sparsity)
        )
        if len(stored) != buffer.vector("data").size:
            raise UnmeasurableError(f"the elements of {tensor.text('name')} are not as many as are stored")
        self._known[id(buffer), "data"] = stored

    def _quantized(self, tensor: Node, array: Array) -> NDArray[np.generic]:
        """Round to multiples of a 127th of the largest magnitude, of each output channel or of all."""
        quantization = tensor.nodes["quantization"]
        axis = quantization.number("quantized_dimension") if quantization.vector("scale").count > 1 else None
        others = None if axis is None else tuple(number for number in range(array.ndim) if number != axis)
        scale = np.abs(array).max(axis=others, keepdims=True, initial=0) / np.float32(127)
        self._known[id(quantization), "scale"] = scale.astype("<f4").tobytes()
        with np.errstate(invalid="ignore"):  # weights that are not numbers
            return np.rint(array / np.where(scale == 0, np.float32(1), scale)).astype(np.int8)

    def _encoded(self, rows: NDArray[np.generic], sparsity: Node) -> bytes:
        """Keep what is not zero, in blocks where the index has them, and say where it is."""
        axes = sparsity.lists["dim_metadata"]
        compressed = next(axis for axis in axes if "array_indices" in axis.nodes)
        length = axes[-1].number("dense_size") if axes[-1] is not compressed else 1
        whole = rows[:, : rows.shape[1] // length * length].reshape(len(rows), -1, length)
        kept = (whole != 0).any(axis=2)
        self._number(compressed.nodes["array_segments"], np.concatenate(([0], np.cumsum(kept.sum(axis=1)))))
        self._number(compressed.nodes["array_indices"], np.nonzero(kept)[1])
        stored: bytes = whole[kept].tobytes()
        return stored

    def _number(self, node: Node, values: NDArray[np.generic]) -> None:
        stored = values.astype(_WIDTHS[node.type]).tobytes()
        found = node.values.get("values")
        if not isinstance(found, Vector) or len(stored) != found.size:
            raise UnmeasurableError("an index is not as long as it was counted")
        self._known[id(node), "values"] = stored


def elements_of(
    tensor: Held,
    layout: Layout,
    reading: Reading,
    factors: Factors | None = None,
    columns: tuple[int, int] | None = None,
) -> Elements:
    """Return what reads a kernel and turns it: Keras has the output channels last, TFLite first but for
    depthwise kernels.

    ``factors`` are multiplied into it; ``columns`` are those that are taken of it.
    """

    def read(shape: tuple[int, ...]) -> Array:
        runs = list(slabs(tensor, reading, layout))
        if not runs:
            return np.zeros(0, np.float32)
        whole = np.concatenate(runs)
        if factors is not None:
            whole = factors.apply(whole)
        if columns is not None:
            whole = whole[:, slice(*columns)]
        return whole.T if layout.channel == 1 and shape[0] != 1 else whole

    return read
