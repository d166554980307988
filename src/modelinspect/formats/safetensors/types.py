"""Element types and roles of the tensors in safetensors files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelinspect.core.tensors import DTYPES, DType, ElementKind, Role, opaque

_TYPES: dict[str, DType] = {
    "BOOL": DTYPES["bool"],
    "F4": DTYPES["float4_e2m1fn"],
    "F6_E2M3": opaque("float6_e2m3fn", 6),
    "F6_E3M2": opaque("float6_e3m2fn", 6),
    "F8_E5M2": DTYPES["float8_e5m2"],
    "F8_E4M3": DTYPES["float8_e4m3fn"],
    "F8_E5M2FNUZ": DTYPES["float8_e5m2fnuz"],
    "F8_E4M3FNUZ": DTYPES["float8_e4m3fnuz"],
    "F8_E8M0": DType("float8_e8m0fnu", ElementKind.FLOAT, 8),
    "F16": DTYPES["float16"],
    "BF16": DTYPES["bfloat16"],
    "F32": DTYPES["float32"],
    "F64": DTYPES["float64"],
    "C64": DTYPES["complex64"],
    **{f"I{bits}": DTYPES[f"int{bits}"] for bits in (8, 16, 32, 64)},
    **{f"U{bits}": DTYPES[f"uint{bits}"] for bits in (8, 16, 32, 64)},
}


def dtype_of(name: str) -> DType | None:
    """Return the element type that a header names, None for one that the format does not define."""
    return _TYPES.get(name)


_STATISTICS = frozenset(
    ("running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance")
)
_CONSTANTS = frozenset(("position_ids", "inv_freq", "relative_position_index", "attn_mask", "masked_bias"))
_SCALES = frozenset(
    (
        *("scale", "scales", "zeros", "qzeros", "zero_point", "g_idx", "kernel_scale", "kernel_zero"),
        *("weight_scale", "weight_scale_inv", "weight_zero_point", "input_scale"),
        *("SCB", "absmax", "nested_absmax", "quant_map", "nested_quant_map"),
    )
)
_STATE = re.compile(r"\.weight\.(absmax|nested_absmax|quant_map|nested_quant_map|quant_state\..*)$")
_QUANTIZED = frozenset(("qweight", "weight", "kernel", "weight_packed", "blocks"))
_OPTIMIZER = re.compile(r"^(optimizer|optimizer_state|opt_state)[./]|\.(exp_avg|exp_avg_sq|momentum_buffer)$")


def owner(name: str) -> str:
    """Return the module that a tensor belongs to: its name without the last part (``encoder.layer.0.dense``),
    "" for none.
    """
    return name.rpartition("/" if "/" in name else ".")[0]


def roles(tensors: Iterable[tuple[str, str]]) -> dict[str, Role]:
    """Return what each tensor is for, from pairs of name and element type as the header gives them.

    A scale counts as quantization only beside a weight of whole numbers or of 8 bits or fewer: layer norms
    also have a ``scale``.
    """
    pairs = list(tensors)
    quantized = {
        owner(name) for name, dtype in pairs if name.rpartition(".")[2] in _QUANTIZED and _is_quantized(dtype)
    }
    return {name: _role(name, quantized) for name, _ in pairs}


def _role(name: str, quantized: set[str]) -> Role:
    last = name.replace("/", ".").rpartition(".")[2]
    if _OPTIMIZER.search(name):
        return Role.OPTIMIZER
    if _STATE.search(name) or (last in _SCALES and owner(name) in quantized):
        return Role.QUANTIZATION
    if last in _STATISTICS:
        return Role.STATISTIC
    return Role.CONSTANT if last in _CONSTANTS else Role.WEIGHT


def _is_quantized(dtype: str) -> bool:
    known = dtype_of(dtype)
    return known is not None and (known.kind in (ElementKind.INT, ElementKind.UINT) or known.bits <= 8)
