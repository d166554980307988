"""Layers whose conversion is known to the byte: those that the networks of docs/developer/predictions.md were
made of.
"""

from __future__ import annotations

from collections.abc import Callable

from modelinspect.conversion.keras.call import Call, items

_ACTIVATIONS = (None, "elu", "linear", "relu", "relu6", "selu", "sigmoid", "softmax", "tanh")
_Test = Callable[[Call], bool]


def is_certain(call: Call) -> bool:
    """Return whether a use of a layer was always predicted to the byte."""
    test = _CERTAIN.get(call.kind)
    plain = call.settings.get("activation") in _ACTIVATIONS and not call.number("lora_rank", 0)
    drawn = call.given.shape[:1] == (-1,)  # of networks with a fixed batch there were not enough
    return test is not None and plain and drawn and not _has_zero_bias(call) and test(call)


def _has_zero_bias(call: Call) -> bool:
    """Return whether a bias is all zeros, as before training: the converter shares such constants."""
    return any(
        each.name in ("bias", "beta") and each.values is not None and not each.values.any()
        for each in call.parameters
    )


def _always(_: Call) -> bool:
    return True


def _of_rank(rank: int) -> _Test:
    return lambda call: len(call.given.shape) == rank


def _convolution(call: Call) -> bool:
    return (
        len(call.given.shape) == 4 and call.number("groups", 1) == 1 and call.pair("dilation_rate") == (1, 1)
    )


def _single(call: Call) -> bool:
    return call.number("depth_multiplier", 1) == 1 and _convolution(call)


def _normalization(call: Call) -> bool:
    """Return whether a normalization scales and moves, and follows no other."""
    maker = call.network.ops[-3] if len(call.network.ops) > 2 else None
    follows = maker is not None and any("batch" in name for value in maker.outputs for name in value.location)
    return call.flag("scale", default=True) and call.flag("center", default=True) and not follows


def _same_shapes(call: Call) -> bool:
    return len({value.shape for value in call.inputs}) == 1 and len(call.inputs) == 2


def _plain_relu(call: Call) -> bool:
    limit = call.settings.get("max_value")
    plain = limit in (None, 6, 6.0) and not call.real("threshold", 0.0)
    return plain and not call.real("negative_slope", 0.0)


def _padded(call: Call) -> bool:
    return items(call.settings.get("padding")) is not None


_CERTAIN: dict[str, _Test] = {
    "Activation": _always,
    "Add": _same_shapes,
    "AveragePooling2D": _of_rank(4),
    "BatchNormalization": _normalization,
    "Concatenate": _always,
    "Conv2D": _convolution,
    "Dense": _of_rank(2),
    "DepthwiseConv2D": _single,
    "Flatten": _always,
    "GlobalAveragePooling2D": _of_rank(4),
    "GlobalMaxPooling2D": _of_rank(4),
    "MaxPooling2D": _of_rank(4),
    "ReLU": _plain_relu,
    "SeparableConv2D": _single,
    "ZeroPadding2D": _padded,
}
