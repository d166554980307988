"""What a variable of a Keras layer is for, from its layer's class and its own name."""

from __future__ import annotations

import re

from modelinspect.core.names import WrapperClass, WrapperName
from modelinspect.core.tensors import Role

_STATISTICS: dict[str, frozenset[str]] = {
    "BatchNormalization": frozenset(
        {"moving_mean", "moving_variance", "moving_var", "renorm_mean", "renorm_stddev", "moving_stddev"}
    ),
    "Normalization": frozenset({"mean", "variance", "count"}),
    "SpectralNormalization": frozenset({"vector_u", "u", "sn_u"}),
}
_SAME = {
    "SyncBatchNormalization": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Custom>Normalization": "Normalization",
}
_ANYWHERE = frozenset({"moving_mean", "moving_variance", "running_mean", "running_std"})
"""Names that mean a moving average whatever the class; Keras 1 wrote the last two."""

_PRUNING = frozenset({"mask", "threshold", "pruning_step"})
_CLUSTERING = re.compile(r"(cluster_centroids|pulling_indices|original_weights|sparsity_mask)(_.*)?")
_QUANTIZE = re.compile(r"(.*_)?(min|max)(_var)?|optimizer_step|unquantized_.*|sparsity_mask")
_SCALES = re.compile(r"(.*_)?(scale|zero|zero_point|amax_history)|g_idx")
_COUNTED = re.compile(r"(.*)_\d+")

PRUNING_WRAPPERS = frozenset({WrapperClass.PRUNE})
CLUSTERING_WRAPPERS = frozenset({WrapperClass.CLUSTER, WrapperClass.CLUSTER_ATTENTION})
QUANTIZE_WRAPPERS = frozenset(
    {WrapperClass.QUANTIZE, WrapperClass.QUANTIZE_V2, WrapperClass.QUANTIZE_LAYER, "QuantizeAnnotate"}
)


def bare_class(class_name: str) -> str:
    """Return a class's name without the package that registered it."""
    return class_name.rpartition(">")[2]


def role_of(variable: str, class_name: str = "", *, quantized: bool = False) -> Role:
    """Say what a variable is for.

    ``variable`` is its own name without path and ``:0``; ``class_name`` the class of the layer that made it
    ("" where no configuration says); ``quantized`` says that Keras quantized the layer, so its scales are
    known for scales.
    """
    known = bare_class(class_name)
    name = variable
    if known in PRUNING_WRAPPERS and _stem(name) in _PRUNING:
        return Role.PRUNING
    if known in CLUSTERING_WRAPPERS and _CLUSTERING.fullmatch(name):
        return Role.PRUNING
    if known in QUANTIZE_WRAPPERS and _QUANTIZE.fullmatch(name):
        return Role.PRUNING
    if quantized and _SCALES.fullmatch(name):
        return Role.QUANTIZATION
    statistics = _STATISTICS.get(_SAME.get(known, known), frozenset())
    if name in statistics or _stem(name) in statistics:
        return Role.STATISTIC
    return Role.STATISTIC if _stem(name) in _ANYWHERE or name in _ANYWHERE else Role.WEIGHT


def wrapper_class(layer_name: str) -> str:
    """Return the class of the wrapper that tfmot names so, "" for another layer; for files without a
    configuration.
    """
    if layer_name.startswith(f"{WrapperName.PRUNE}_"):
        return WrapperClass.PRUNE
    if layer_name.startswith("cluster_"):
        return WrapperClass.CLUSTER
    if layer_name == WrapperName.QUANTIZE_LAYER or layer_name.startswith(
        ("quant_", f"{WrapperName.QUANTIZE_LAYER}_")
    ):
        return WrapperClass.QUANTIZE_V2
    return ""


def _stem(name: str) -> str:
    """Return a name without the number that makes it unique."""
    match = _COUNTED.fullmatch(name)
    return match.group(1) if match else name
