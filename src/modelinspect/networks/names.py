"""Names of tensors and layers without what their writers add."""

from __future__ import annotations

import re
from functools import lru_cache

from modelinspect.core.names import ATTRIBUTES, LAYER_DEPENDENCIES, MODEL_WEIGHTS, VARIABLE_VALUE, WrapperName
from modelinspect.core.tensors import Tensor

"""What the keys of a checkpoint's variables end in."""
_DROPPED = frozenset(
    (
        "",
        MODEL_WEIGHTS,
        ATTRIBUTES,
        VARIABLE_VALUE,
        "StatefulPartitionedCall",
        "layers",
        LAYER_DEPENDENCIES,
        "vars",
    )
)
_DECORATION = re.compile(rf"^(?:(?:{WrapperName.PRUNE}|quant|cluster)_(?!(?:weights)?(?:_?\d+)?$))+")
_TRACED = re.compile(r"^(__inference_.*?)_\d+$")
_OUTPUT = re.compile(r":\d+$")
_STORED = re.compile(r"(?:^|/)vars/(\d+)$")


def canonical_name(tensor: Tensor) -> str:
    """Return a tensor's name without what its writer added: wrappers' prefixes, output indices, attribute
    suffixes.

    Variables that only a number in a Keras store distinguishes have the name of their layer put before it.
    """
    parts: list[str] = []
    name = tensor.name
    stored = _STORED.search(tensor.name)
    if stored and tensor.layer:
        name = f"{tensor.layer}/{stored.group(1)}"
    for part in _OUTPUT.sub("", name).split("/"):
        bare = _untraced(part)
        if bare not in _DROPPED and (not parts or parts[-1] != bare):
            parts.append(bare)
    return "/".join(parts) or tensor.name


@lru_cache(maxsize=1 << 12)
def _untraced(part: str) -> str:
    """Return a part of a name without wrappers' prefixes and the number of a trace; most parts are in many
    names.
    """
    return _TRACED.sub(r"\1", bare_layer(part))


def bare_layer(name: str) -> str:
    """Return a layer's name without the prefix of a wrapper."""
    return _DECORATION.sub("", name)


def is_bias(name: str) -> bool:
    """Return whether a variable is a bias: those of recurrent layers and of the heads of attention have two
    axes, and begin as zeros.
    """
    return (
        name.rpartition("/")[2].partition(":")[0].endswith("bias") or _NUMBERED_BIAS.search(name) is not None
    )


_NUMBERED_BIAS = re.compile(r"(?:cell(?:_\d+)?/vars/2|(?:query|key|value|output)_dense/vars/1)$")
"""In a Keras store: of a GRU's cell, and of the projections of attention."""
