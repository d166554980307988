"""What the converter makes of each Keras layer, Keras 2 and Keras 3: operators, constants, and their
names.
"""

from __future__ import annotations

from modelinspect.conversion.keras.activations import activate, elu, leaky, limited, relu
from modelinspect.conversion.keras.call import Call, Rule, UnknownLayerError
from modelinspect.conversion.keras.dense import dense
from modelinspect.conversion.keras.nodes.attention import TRACED_ATTENTION
from modelinspect.conversion.keras.nodes.convolutions import TRACED_CONVOLUTIONS
from modelinspect.conversion.keras.nodes.merging import TRACED_MERGING
from modelinspect.conversion.keras.nodes.normalizations import TRACED_NORMALIZATIONS
from modelinspect.conversion.keras.nodes.pooling import TRACED_POOLING
from modelinspect.conversion.keras.nodes.products import TRACED_PRODUCTS, masked, softmax
from modelinspect.conversion.keras.nodes.wrappers import distributed, normalized
from modelinspect.conversion.keras.recurrent import RECURRENT
from modelinspect.conversion.network import Value, kernel
from modelinspect.conversion.operators import (
    PRELU,
)
from modelinspect.measure.kept import Layout

IDENTITIES = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "RandomContrast",
        "RandomFlip",
        "RandomRotation",
        "RandomTranslation",
        "RandomZoom",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    }
)
"""Layers that do nothing but in training."""


def _activation(call: Call) -> Value:
    return activate(call, call.given, call.settings.get("activation"))


def _named(name: str) -> Rule:
    return lambda call: activate(call, call.given, name)


def _leaky(call: Call) -> Value:
    return leaky(call, call.given, call.real("negative_slope", call.real("alpha", 0.3)))


def _relu(call: Call) -> Value:
    return relu(call, call.given)


def _elu(call: Call) -> Value:
    slope = call.real("alpha", 1.0)
    if slope != 1.0:
        return elu(call, call.given, slope)
    return activate(call, call.given, "elu")


def _softmax(call: Call) -> Value:
    axis, rank = call.settings.get("axis", -1), len(call.given.shape)
    if axis not in (-1, rank - 1):
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise UnknownLayerError("a softmax of several axes")
        return softmax(call, axis % rank)
    return activate(call, call.given, "softmax")


def _prelu(call: Call) -> Value:
    slope = call.need("alpha")
    names = ("add", "Relu", "Neg_1", "Relu_1", "mul")
    if len(slope.shape) != len(call.given.shape) - 1:
        raise UnknownLayerError("a slope of another rank")
    layout = Layout(slope.tensor.element_count, 1, None)
    output = call.op(
        PRELU,
        [call.given, kernel(slope.tensor, layout, slope.shape, call.at(*names))],
        call.given.shape,
        "add",
    )
    output.location = call.at(*names)
    return output


LAYERS: dict[str, Rule] = {
    "Activation": _activation,
    "Dense": dense,
    "ELU": _elu,
    "LeakyReLU": _leaky,
    "ReLU": _relu,
    "PReLU": _prelu,
    "Softmax": _softmax,
    "ThresholdedReLU": lambda call: limited(call, call.given, None, call.real("theta", 1.0)),
    **TRACED_ATTENTION,
    **RECURRENT,
    **TRACED_MERGING,
    **TRACED_POOLING,
    **TRACED_CONVOLUTIONS,
    **TRACED_NORMALIZATIONS,
    **TRACED_PRODUCTS,
    "Masking": masked,
}
"""The rule of each class of layers."""
LAYERS |= {"SpectralNormalization": normalized(LAYERS), "TimeDistributed": distributed(LAYERS)}
