"""Find the kernels of a Keras 3 model, and which of their axes are inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from modelinspect.core.records import dataclass
from modelinspect.pruning.errors import JobError

Model = Any
"""A ``keras.Model``; Keras has no types."""
Variable = Any
"""A ``keras.Variable``."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A weight matrix or tensor of a layer.

    ``layer`` is the name of the layer that the model lists (``outer/inner/dense`` in nested models), ``type``
    its class, ``weight`` the variable's name within it. ``owner`` is the layer that holds the variable, and
    ``inputs`` are the axes of the variable that TFLite stores innermost: those which an output sums over.
    ``refusal`` says why the kernel cannot be pruned.
    """

    layer: str
    type: str
    weight: str
    variable: Variable
    owner: Any
    inputs: tuple[int, ...]
    known: bool = True
    refusal: str = ""

    @property
    def path(self) -> str:
        """The name of the kernel in the model, ``dense/kernel``."""
        return f"{self.layer}/{self.weight}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The kernel's shape as Keras stores it."""
        return tuple(int(length) for length in self.variable.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for length in self.shape:
            size *= length
        return size


@dataclass(frozen=True, slots=True)
class Unit:
    """A layer that the model lists, with its kernels."""

    name: str
    type: str
    kernels: tuple[Kernel, ...]


def find_units(model: Model) -> tuple[Unit, ...]:
    """Return every layer of a model and of the models in it, each variable once.

    Raises `JobError` where it cannot be pruned at all.
    """
    if not isinstance(model, keras.Model):
        module = type(model).__module__.partition(".")[0]
        hint = "; modelinspect prune prunes tf_keras models with tfmot" if module == "tf_keras" else ""
        raise JobError(f"{type(model).__name__} of {module} is not a Keras 3 model{hint}")
    if not model.built or not model.weights:
        raise JobError(f"the model {model.name!r} has no weights yet: build it or call it on a sample first")
    seen: set[int] = set()
    return tuple(_units(model, "", seen))


def _units(model: Model, prefix: str, seen: set[int]) -> Iterator[Unit]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _units(layer, f"{prefix}{layer.name}/", seen)
        elif not isinstance(layer, keras.layers.InputLayer):
            name, kind = prefix + layer.name, type(layer).__name__
            kernels = tuple(
                kernel
                for owner, path in _holders(layer, "")
                for kernel in _kernels(name, kind, owner, path, seen)
            )
            yield Unit(name, kind, kernels)


def _holders(layer: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield a layer and the layers within it, with the path of their names; the only cell of a recurrent
    layer adds no name.
    """
    yield layer, path
    cell = getattr(layer, "cell", None) if isinstance(layer, keras.layers.RNN) else None
    for part in layer._flatten_layers(
        include_self=False, recursive=False
    ):  # Keras has no public way to a layer's layers
        yield from _holders(part, path if part is cell else f"{path}{part.name}/")


def _kernels(unit: str, kind: str, owner: Any, path: str, seen: set[int]) -> Iterator[Kernel]:
    names = _names(owner)
    inner = {id(variable) for part in owner._flatten_layers(include_self=False) for variable in part.weights}
    for variable in owner.weights:
        if (
            id(variable) in seen
            or id(variable) in inner
            or len(variable.shape) < 2
            or not (names is None or variable.name in names)
        ):
            continue
        seen.add(id(variable))
        inputs = _inputs(owner, len(variable.shape))
        yield Kernel(
            unit,
            kind,
            path + variable.name,
            variable,
            owner,
            inputs,
            names is not None,
            _refusal(owner, variable, names),
        )


def _names(layer: Any) -> tuple[str, ...] | None:
    """Return the names of the variables of a layer of Keras that are kernels; None for a class that Keras
    does not have.
    """
    for name, variables in _KERNELS.items():
        known = getattr(keras.layers, name, None)
        if known is not None and isinstance(layer, known):
            return variables
    return () if type(layer).__module__.partition(".")[0] == "keras" else None


def _refusal(layer: Any, variable: Variable, names: tuple[str, ...] | None) -> str:
    if getattr(layer, "quantization_mode", None) is not None or not keras.backend.is_float_dtype(
        variable.dtype
    ):
        return f"it is quantized ({variable.dtype}): prune before quantize()"
    if getattr(layer, "lora_enabled", False):
        return (
            "LoRA adds to it when it is used, so its zeros would not be zeros; merge the LoRA weights first"
        )
    if names is None:
        return f"{type(layer).__name__} is not a layer of Keras; include= prunes {variable.name} by its name"
    return ""


def _inputs(layer: Any, rank: int) -> tuple[int, ...]:
    """Return the axes that an output sums over."""
    equation = getattr(layer, "equation", None)
    if isinstance(equation, str) and isinstance(layer, keras.layers.EinsumDense):
        operands, _, outputs = equation.replace("...", "").partition("->")
        return tuple(axis for axis, letter in enumerate(operands.partition(",")[2]) if letter not in outputs)
    if rank == 2:
        return (0,)
    transposed = tuple(getattr(keras.layers, f"Conv{dimensions}DTranspose") for dimensions in (1, 2, 3))
    return (rank - 1,) if isinstance(layer, transposed) else (rank - 2,)


_KERNELS: dict[str, tuple[str, ...]] = {
    "DepthwiseConv1D": (),
    "DepthwiseConv2D": (),
    "SeparableConv1D": ("pointwise_kernel",),
    "SeparableConv2D": ("pointwise_kernel",),
    "Conv1D": ("kernel",),
    "Conv2D": ("kernel",),
    "Conv3D": ("kernel",),
    "Conv1DTranspose": ("kernel",),
    "Conv2DTranspose": ("kernel",),
    "Conv3DTranspose": ("kernel",),
    "Dense": ("kernel",),
    "EinsumDense": ("kernel",),
    "Embedding": ("embeddings",),
    "LSTMCell": ("kernel", "recurrent_kernel"),
    "GRUCell": ("kernel", "recurrent_kernel"),
    "SimpleRNNCell": ("kernel", "recurrent_kernel"),
}
"""The variables of Keras's layers that are pruned: those which tfmot 0.8.1 prunes (prune_registry.py), and
EinsumDense.
"""
