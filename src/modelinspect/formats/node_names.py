"""The layer that the name of a graph's node or of a TFLite tensor belongs to.

TensorFlow names a node after the scopes in which it was made: ``model/stem/Conv2D``,
``model/stem/BiasAdd/ReadVariableOp``. The last part is the operation; scopes that TensorFlow's own functions
open (``Tensordot``, ``batchnorm``, ``while``) are not layers either.
"""

from __future__ import annotations

import re
from functools import lru_cache

from modelinspect.core.tensors import Role

_READS = frozenset(("ReadVariableOp", "read", "resource", "Identity", "Enter"))
"""Nodes that only read a variable: the node that uses it is the part before."""
_SCOPES = frozenset(
    (
        "Tensordot",
        "einsum",
        "batchnorm",
        "moments",
        "cond",
        "zeros",
        "ones",
        "TensorArrayUnstack",
        "Initializer",
    )
)
_LOOP = "while"
"""The scope of a loop's body, which is cut off with all below it."""
_DROPPED = frozenset(("StatefulPartitionedCall", "PartitionedCall"))
_FUNCTION = "__inference_"
"""How the names of traced functions begin."""
_SCOPES_KEPT = 256
"""Scopes whose layer is kept: nodes of one scope mostly follow one another."""
_NUMBER = re.compile(r"_?\d+$")
_DIGITS = "0123456789"
_FUSED_KERNELS = (
    "Conv2D",
    "Conv3D",
    "MatMul",
    "depthwise",
    "DepthwiseConv2dNative",
    "conv2d_transpose",
    "BatchMatMulV2",
    "embedding_lookup",
)
"""What the part of a fused name ends in that multiplies by the kernel."""
TORCH = "torch.nn.modules."
"""What ai-edge-torch puts into the name of a layer, which is then the last part of a fused name."""

VARIABLE_ROLES = {
    **dict.fromkeys(
        ("kernel", "weights", "bias", "biases", "gamma", "beta", "embeddings", "alpha"), Role.WEIGHT
    ),
    **dict.fromkeys(
        (
            "recurrent_kernel",
            "depthwise_kernel",
            "depthwise_weights",
            "pointwise_kernel",
            "pointwise_weights",
        ),
        Role.WEIGHT,
    ),
    **dict.fromkeys(("moving_mean", "moving_variance"), Role.STATISTIC),
}
"""Variables of TensorFlow's and Keras's layers: frozen, their constants keep the name."""


def layer_of_node(name: str) -> str | None:
    """Return the layer of a node by its name, None where the name has no scope."""
    scope, _, last = name.partition(":")[0].rpartition("/")
    if last in _DROPPED or last.startswith(_FUNCTION) or _bare(last) in _READS:
        return _layer(f"{scope}/{last}")
    return _layer_in(scope)


@lru_cache(_SCOPES_KEPT)
def _layer_in(scope: str) -> str | None:
    """Return the layer of a node whose name ends, after its scope, in a part that says nothing of it."""
    return _layer(f"{scope}/") if scope else None


def _layer(name: str) -> str | None:
    parts = [part for part in name.split("/") if part not in _DROPPED and not part.startswith(_FUNCTION)]
    while parts and _bare(parts[-1]) in _READS:
        parts.pop()
    loop = len(parts) - 1
    if _LOOP in name:
        loop = next((place for place, part in enumerate(parts) if _bare(part) == _LOOP), loop)
    parts = parts[: max(loop, 0)]
    while parts and _bare(parts[-1]) in _SCOPES:
        parts.pop()
    return "/".join(parts) or None


def layer_of_fused(name: str) -> str | None:
    """Return the layer of a TFLite tensor, whose name joins those of the nodes that the converter fused: the
    one with the kernel.
    """
    parts = name.split(";")
    if TORCH in name:
        return next(part for part in reversed(parts) if TORCH in part)
    kernels = (
        part for part in parts if part.rpartition("/")[2].rstrip("0123456789_").startswith(_FUSED_KERNELS)
    )
    return layer_of_node(next(kernels, parts[0]))


def variable_of_node(name: str) -> str:
    """Return the last part of a node's name that says what the node is, without those that only read it and
    without a number.
    """
    parts = name.partition(":")[0].split("/")
    while len(parts) > 1 and _bare(parts[-1]) in _READS:
        parts.pop()
    return _bare(parts[-1])


def _bare(part: str) -> str:
    """Return a part of a name without the number at its end and the underscore before that."""
    if not part[-1:].isdecimal():
        return part
    return part.rstrip(_DIGITS).removesuffix("_") if part.isascii() else _NUMBER.sub("", part)
