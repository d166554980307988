"""Describe the weights that Keras packs into bytes: int4, GPTQ, AWQ and ternary layers.

Sources: ``quantized_build`` and ``variable_serialization_spec`` in keras/src/layers/core/dense.py,
einsum_dense.py and embedding.py, ``pack_int4`` in keras/src/quantizers/quantizers.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import DTYPES, ElementKind, PackedPayload, Role, Tensor, ZeroPoints, dense_size
from modelinspect.formats.base import Parsing
from modelinspect.formats.keras.config import LayerConfig, quantization_mode

_TRITS = 5
_MAIN = ("kernel", "embeddings")


@dataclass(frozen=True, slots=True)
class _Layer:
    """The quantized variables of one layer by their names, and its configuration where there is one."""

    variables: Mapping[str, tuple[TensorId, Tensor]]
    config: LayerConfig | None

    @property
    def mode(self) -> str:
        """How Keras quantized it, "" where nothing says."""
        return quantization_mode(self.config) if self.config is not None else ""

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a helper, empty where there is none."""
        found = self.variables.get(name)
        return found[1].shape if found is not None else ()

    def length(self, name: str) -> int:
        """Return the length of a helper that is a vector, 0 where there is none."""
        shape = self.shape(name)
        return shape[0] if len(shape) == 1 else 0

    def number(self, setting: str) -> int:
        """Return a setting of the layer that is a length, 0 where it has none."""
        value = self.config.settings.get(setting) if self.config is not None else None
        return value if isinstance(value, int) and value > 0 else 0


def describe_packed(parsing: Parsing, ids: range, configs: Mapping[str, LayerConfig]) -> None:
    """Give packed weights their own element type, shape and payload.

    ``ids`` are the tensors of one model, which have their names; ``configs`` are configurations of layers by
    their path in a store or by their name.
    """
    layers: dict[str, dict[str, tuple[TensorId, Tensor]]] = {}
    for number in ids:
        tensor = parsing.tensor(TensorId(number))
        owner, _, name = tensor.name.rpartition("/")
        if tensor.role in (Role.WEIGHT, Role.QUANTIZATION) and owner:
            layers.setdefault(owner, {})[name] = TensorId(number), tensor
    for owner, variables in layers.items():
        for name in _MAIN:
            found = variables.get(name)
            if found is not None and _may_be_packed(found[1]):
                places = (found[1].path.rpartition("/vars/")[0], owner, owner.rpartition("/")[2])
                config = next((configs[place] for place in places if place in configs), None)
                packed = _packed(found[1], name, _Layer(variables, config))
                if packed is not None:
                    parsing.replace_tensor(found[0], packed)


def _may_be_packed(tensor: Tensor) -> bool:
    whole = tensor.dtype.kind in (ElementKind.INT, ElementKind.UINT) and tensor.dtype.bits == 8
    return whole and len(tensor.shape) == 2 and tensor.payload is not None and tensor.element_count > 0


def _packed(tensor: Tensor, name: str, layer: _Layer) -> Tensor | None:
    """Return the description of a packed tensor, None where it is not packed or its shape is not known."""
    match layer.mode:
        case "gptq" | "awq":
            return _by_columns(tensor, name, layer)
        case "ternary":
            return _ternary(tensor, name, layer)
        case "int4":
            return _int4(tensor, name, layer)
        case "":
            zero = layer.variables.get(f"{name}_zero")
            if tensor.dtype.kind is ElementKind.UINT:
                return _by_columns(tensor, name, layer) if zero is not None else None
            scale = layer.shape(f"{name}_scale")
            halved = name == "kernel" and bool(scale) and tensor.shape[1] == (scale[-1] + 1) // 2 != scale[-1]
            return _int4(tensor, name, layer) if halved or layer.variables.get("g_idx") is not None else None
        case _:
            return None


def _int4(tensor: Tensor, name: str, layer: _Layer) -> Tensor | None:
    """Dense, EinsumDense and Embedding pack their last axis; older ones the first of a kernel."""
    rows, columns = tensor.shape
    scale = layer.shape(f"{name}_scale")
    if not scale:
        return None
    if name == "embeddings":
        whole = layer.length("g_idx") or layer.number("output_dim") or 2 * columns
        return _made(tensor, (rows, whole), 1, 4, layer, name) if columns == (whole + 1) // 2 else None
    whole = scale[-1]
    if columns == (whole + 1) // 2 and (
        columns != whole or rows == layer.length("g_idx") or _inputs(layer) in (0, rows)
    ):
        return _made(tensor, (rows, whole), 1, 4, layer, name)
    if columns == whole:
        inputs = _inputs(layer) or 2 * rows
        return _made(tensor, (inputs, whole), 0, 4, layer, name) if rows == (inputs + 1) // 2 else None
    return None


def _by_columns(tensor: Tensor, name: str, layer: _Layer) -> Tensor | None:
    """GPTQ and AWQ store the kernel's columns as rows, and pack them where they have 4 or 2 bits."""
    scale = layer.shape(f"{name}_scale")
    if len(scale) != 2:
        return None
    stored, rows = tensor.shape
    for bits, per_byte in ((8, 1), (4, 2), (2, 4)):
        if stored == -(-scale[0] // per_byte):
            return _made(tensor, (scale[0], rows), 0, bits, layer, name, is_signed=False)
    return None


def _ternary(tensor: Tensor, name: str, layer: _Layer) -> Tensor | None:
    """Five values share a byte along the first axis: base 3."""
    rows, columns = tensor.shape
    inputs = _inputs(layer)
    if not inputs or rows != -(-inputs // _TRITS):
        return None
    made = _made(tensor, (inputs, columns), 0, 2, layer, name)
    if not isinstance(made.payload, PackedPayload):
        return None
    payload = replace(made.payload, per_byte=_TRITS, is_ternary=True, zeros=None)
    return replace(made, dtype=DTYPES["ternary"], payload=payload, logical_size=tensor.logical_size)


def _inputs(layer: _Layer) -> int:
    """Return the length of the last axis of the layer's input, 0 where nothing says."""
    shape: Sequence[int | None] = layer.config.inputs if layer.config is not None else ()
    return (shape[-1] if shape else 0) or 0


def _made(
    tensor: Tensor,
    shape: tuple[int, int],
    axis: int,
    bits: int,
    layer: _Layer,
    name: str,
    *,
    is_signed: bool = True,
) -> Tensor:
    if tensor.payload is None:
        return tensor
    rows, columns = tensor.shape
    dtype = DTYPES[f"{'int' if is_signed else 'uint'}{bits}"]
    made = replace(tensor, dtype=dtype, shape=shape, logical_size=dense_size(dtype, shape))
    zeros = None
    if f"{name}_zero" in layer.variables:
        zeros = _zero_points(
            shape, 0 if axis == 1 and name == "kernel" else 1, layer, name, is_signed=is_signed
        )
        if zeros is None:
            return replace(made, payload=None, payload_note="the zero points of its groups are not known")
    return replace(
        made,
        payload=PackedPayload(tensor.payload, (rows, columns), axis, bits, 8 // bits, is_signed, zeros=zeros),
    )


def _zero_points(
    shape: tuple[int, int], axis: int, layer: _Layer, name: str, *, is_signed: bool
) -> ZeroPoints | None:
    """Return the zero points of groups along an axis, None where it is not known which group each row or
    column is of.
    """
    zero, groups = layer.variables[f"{name}_zero"][1], layer.variables.get("g_idx")
    if zero.payload is None or len(zero.shape) != 2 or zero.dtype.bits != 8:
        return None
    points = ZeroPoints(zero.payload, (zero.shape[0], zero.shape[1]), is_signed, axis, size=shape[axis])
    if (
        groups is not None
        and groups[1].dtype.name == "float32"
        and groups[1].shape == (shape[axis],)
        and groups[1].payload is not None
    ):
        return replace(points, groups=groups[1].payload)
    return points if zero.shape[axis] == 1 else None
