"""Which layers `keras.Model.quantize` quantizes, and which variables each then has.

Sources, of Keras 3.15: ``quantize`` and ``variable_serialization_spec`` in keras/src/layers/core/dense.py,
einsum_dense.py, embedding.py and reversible_embedding.py; ``Model.quantize`` in keras/src/models/model.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from modelinspect.conversion.quantized.einsum import Einsum, projection
from modelinspect.core.records import dataclass
from modelinspect.formats.keras.config import LayerConfig, computing_policy, quantization_mode
from modelinspect.formats.keras.store import store_paths
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.rewrite import NewArray

BLOCK = 128
"""How many inputs share a scale and a zero point in int4 (``Int4QuantizationConfig``)."""

_HALF = frozenset(("float16", "mixed_float16"))
"""Policies that compute in float16, which ``quantize("int8")`` refuses."""
_MODELS = frozenset(("Sequential", "Functional", "Model"))
_ATTENTION: Mapping[str, tuple[str, str]] = {
    "query_dense": ("bqm,muh->bquh", "query_shape"),
    "key_dense": ("bkm,mvh->bkvh", "key_shape"),
    "gate_dense": ("bqm,muh->bquh", "query_shape"),
    "value_dense": ("bkm,mvh->bkvh", "value_shape"),
    "output_dense": ("bquh,uhm->bqm", "query_shape"),
}
"""The dense layers within an attention layer: their equation in grouped-query attention, and the shape that
multi-head attention makes it of.
"""

Shape = tuple[int, ...]


class Mode(StrEnum):
    """How Keras quantizes, as ``quantize`` names it."""

    INT8 = "int8"
    INT4 = "int4"


class Kind(StrEnum):
    """The classes whose layers ``quantize`` changes; subclasses of them it does not."""

    DENSE = "Dense"
    EINSUM = "EinsumDense"
    EMBEDDING = "Embedding"
    REVERSIBLE = "ReversibleEmbedding"


class Fault(StrEnum):
    """What is wrong with a file or a model that Keras makes of a layer of a kind."""

    NOT_LOADED = "not-loaded"
    """``load_model`` does not restore it: the configuration does not say what is quantized within."""
    NOT_SCALED = "not-scaled"
    """The layer uses the kernel of the layer within, whose elements are integers, without their scale."""


_FAULTS = {
    "MultiHeadAttention": Fault.NOT_LOADED,
    "GroupQueryAttention": Fault.NOT_LOADED,
    "SpectralNormalization": Fault.NOT_LOADED,
    "TimeDistributed": Fault.NOT_SCALED,
}


@dataclass(frozen=True, slots=True)
class Quantized:
    """A layer that is quantized: its path in the store and its class; ``einsum`` is its equation."""

    path: str
    kind: Kind
    einsum: Einsum | None = None
    is_tied: bool = True
    owner: LayerConfig | None = None
    """The layer that holds it, where that is not a model."""

    @property
    def fault(self) -> Fault | None:
        """What the layer that holds it makes of that, None where nothing is wrong."""
        return None if self.owner is None else _FAULTS.get(self.owner.class_name)

    def arrays(self, mode: Mode, shapes: Sequence[Shape]) -> dict[str, NewArray]:
        """Return the variables that are saved, by their names in the store, for the ``shapes`` of those that
        are saved now.

        Raises `UnmeasurableError` where these are not those of such a layer.
        """
        first = 1 if self.is_embedding else 2
        most = first + (self.kind is Kind.REVERSIBLE and not self.is_tied)
        if not 1 <= len(shapes) <= most:
            raise UnmeasurableError(
                f"{self.path} has {len(shapes)} variables, which does not fit {self.kind}"
            )
        if self.is_embedding:
            arrays = [*self._embedding(mode, shapes)]
        else:
            bias = [NewArray(shape) for shape in shapes[1:]]
            kernel, *more = self._dense(mode, shapes[0])
            arrays = [kernel, *bias, *more]
        return {str(index): array for index, array in enumerate(arrays)}

    @property
    def is_embedding(self) -> bool:
        """Whether it looks up rows."""
        return self.kind in (Kind.EMBEDDING, Kind.REVERSIBLE)

    def _dense(self, mode: Mode, kernel: Shape) -> list[NewArray]:
        einsum = self.einsum or Einsum.of("ab,bc->ac")
        if len(kernel) != len(einsum.weight):
            raise UnmeasurableError(f"the kernel of {self.path} does not fit its class")
        if mode is Mode.INT8:
            scale = (kernel[1],) if self.kind is Kind.DENSE else einsum.scale_shape(kernel)
            return [NewArray(kernel, "int8"), NewArray(scale)]
        rows, columns = einsum.matrix(kernel)
        return _blocks(rows, columns, NewArray((rows, _packed(columns)), "int8"))

    def _embedding(self, mode: Mode, shapes: Sequence[Shape]) -> Iterator[NewArray]:
        table = shapes[0]
        if len(table) != 2:
            raise UnmeasurableError(f"{self.path} does not have the shape of an embedding")
        count, width = table
        groups = math.ceil(width / BLOCK)
        if mode is Mode.INT8:
            yield from (NewArray(table, "int8"), NewArray((count,)))
        else:
            yield NewArray((count, _packed(width)), "int8")
            yield from (NewArray((count, groups)), NewArray((count, groups), "int8"))
            yield NewArray((width,), "float32")
        if len(shapes) == 1:
            return
        if mode is Mode.INT8:
            yield from (NewArray((width, count), "int8"), NewArray((count,)))
            return
        yield NewArray((_packed(width), count), "int8")
        yield from (NewArray((groups, count)), NewArray((groups, count)))  # the zero point is a float here


def _packed(length: int) -> int:
    """Return how many bytes hold integers of four bits."""
    return (length + 1) // 2


def _blocks(rows: int, columns: int, kernel: NewArray) -> list[NewArray]:
    """Return a kernel of four bits with its scales, zero points and the block of each row."""
    grid = (math.ceil(rows / BLOCK), columns)
    return [kernel, NewArray(grid), NewArray(grid, "int8"), NewArray((rows,), "float32")]


def quantized_layers(model: LayerConfig, mode: Mode, owners: Sequence[str]) -> list[Quantized]:
    """Return the layers that ``Model.quantize`` quantizes, for the paths in the store that own variables.

    Raises `UnmeasurableError` where Keras refuses the model, or where it is not known what Keras does.
    """
    layers = store_paths(model)
    for path, layer in layers.items():
        _check(layer, mode)
        if is_custom(layer) and any(_is_within(owner, path) for owner in owners):
            raise UnmeasurableError(
                f"{layer.name or path} is a {layer.class_name}, which is not a layer of Keras: which of the"
                " layers within Keras would quantize is not known"
            )
    found = [*_leaves(layers), *_within_attention(layers, owners)]
    if not found:
        raise UnmeasurableError(
            f"Keras quantizes no layer of this model: there is no {', '.join(Kind)} among them"
        )
    for one in found:
        if one.path not in owners:
            raise UnmeasurableError(f"Keras refuses: {one.path} is not built, or stored with another layer")
    return found


def is_custom(layer: LayerConfig) -> bool:
    """Return whether a layer of a model of Keras 3 is of a class that is not one of Keras's own."""
    return not layer.is_of_keras or not layer.module


def _is_within(owner: str, path: str) -> bool:
    """Return whether variables belong to a layer within another, generators of random numbers aside."""
    prefix = f"{path}/" if path else ""
    return owner != path and owner.startswith(prefix) and "seed_generator" not in owner[len(prefix) :]


def _check(layer: LayerConfig, mode: Mode) -> None:
    if quantization_mode(layer):
        raise UnmeasurableError(
            f"Keras refuses: {layer.name} is already quantized ({quantization_mode(layer)})"
        )
    if layer.class_name == "TextVectorization":  # the table of words within is never built
        raise UnmeasurableError(
            f"Keras refuses: {layer.name} is a TextVectorization, which holds a layer that is not built"
        )
    if layer.class_name in _MODELS or layer.class_name == "InputLayer":
        return
    if mode is Mode.INT8 and computing_policy(layer) in _HALF:
        raise UnmeasurableError(f"Keras refuses int8: {layer.name} computes in float16")


def _leaves(layers: Mapping[str, LayerConfig]) -> Iterator[Quantized]:
    """Yield the layers that the configuration describes."""
    for path, layer in layers.items():
        if is_custom(layer) or layer.class_name not in Kind.__members__.values():
            continue
        kind = Kind(layer.class_name)
        owner = layers.get(path.rpartition("/")[0]) if path.endswith("/layer") else None
        equation = layer.settings.get("equation")
        if kind is not Kind.EINSUM:
            yield Quantized(path, kind, None, layer.settings.get("tie_weights") is not False, owner)
        elif isinstance(equation, str) and "..." not in equation:
            yield Quantized(path, kind, Einsum.of(equation), True, owner)
        else:  # Keras 3.15 fails there with a TypeError: it takes the number of dimensions for a shape
            raise UnmeasurableError(f"Keras refuses: the equation of {layer.name} is {equation}")


def _within_attention(layers: Mapping[str, LayerConfig], owners: Sequence[str]) -> Iterator[Quantized]:
    """Yield the dense layers within attention layers, which the configuration does not describe."""
    for path, layer in layers.items():
        if is_custom(layer) or _FAULTS.get(layer.class_name) is not Fault.NOT_LOADED:
            continue
        for part, (equation, shape) in _ATTENTION.items():
            inner = next((name for name in (f"{path}/{part}", f"{path}/_{part}") if name in owners), None)
            if inner is None:
                continue
            if layer.class_name != "MultiHeadAttention":
                yield Quantized(inner, Kind.EINSUM, Einsum.of(equation), True, layer)
                continue
            bound, made = (2, _outputs(layer)) if part == "output_dense" else (1, 2)
            einsum = projection(_rank(layer, shape) - 1, bound, made)
            yield Quantized(inner, Kind.EINSUM, einsum, True, layer)


def _outputs(layer: LayerConfig) -> int:
    shape = layer.settings.get("output_shape")
    return len(shape) if isinstance(shape, list) and shape else 1


def _rank(layer: LayerConfig, name: str) -> int:
    """Return the number of dimensions of an input of an attention layer: of its key, that of its value."""
    shapes = layer.build.get("shapes_dict")
    for key in (name, "value_shape") if isinstance(shapes, Mapping) else ():
        shape = shapes.get(key) if isinstance(shapes, Mapping) else None
        if isinstance(shape, list) and 2 <= len(shape) <= 26:
            return len(shape)
    raise UnmeasurableError(f"the configuration does not say what {layer.name} was built for")
