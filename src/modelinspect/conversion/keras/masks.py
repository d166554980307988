"""Masks of sequences: which layers do nothing with them, and the mean of the steps that one leaves."""

from __future__ import annotations

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import Call, UnknownLayerError
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import BOOL, FLOAT32

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
_IGNORE_MASKS = IDENTITIES | {
    "Activation",
    "Add",
    "AveragePooling1D",
    "Concatenate",
    "Conv1D",
    "Dense",
    "Embedding",
    "Flatten",
    "Functional",
    "GlobalMaxPooling1D",
    "InputLayer",
    "LayerNormalization",
    "MaxPooling1D",
    "Model",
    "Multiply",
    "ReLU",
    "Reshape",
    "SeparableConv1D",
    "Sequential",
}
_AVERAGE = "GlobalAveragePooling1D"
MASKED = frozenset((_AVERAGE,))
"""Layers whose masks are followed."""


def ignores_masks(kind: str) -> bool:
    """Return whether layers of a class do nothing with a mask at inference: the converter drops what makes a
    mask that none takes.
    """
    return kind in _IGNORE_MASKS or kind == _AVERAGE


def mask_zero(call: Call) -> None:
    """Let an embedding mask the steps whose index is zero. Raises `UnknownLayerError`.

    Keras 3 writes the mask even where none takes it; a mean that takes it names it.
    """
    if call.takes_masks:
        raise UnknownLayerError("an embedding that masks")
    if call.keras == 3:
        outer = call.scope.rpartition("/")[0]
        for name in ("Const", "Cast", "NotEqual"):
            call.scopes.unique(f"{outer}/{name}" if outer else name)


def is_masked(call: Call) -> bool:
    """Return whether a mean of steps has a mask. Raises `UnknownLayerError` where that is not known."""
    if call.kind != _AVERAGE:
        return False
    if call.keras == 3:
        return len(call.inputs) == 2 and call.inputs[1].kind == BOOL
    if call.masks and id(call.given) not in call.masks:
        raise UnknownLayerError("with a mask that other layers passed on")
    return id(call.given) in call.masks


def masked_mean(t: Trace) -> Item:
    """Sum the steps that are not masked, and divide by their number."""
    x = t.given
    if t.is_keras3:
        mask = t.expand(t.call.inputs[1], 2, "ExpandDims")
        zero = t.constant(0.0, "Const", FLOAT32)
        kept = t.node("SelectV2", [mask, x, zero], "SelectV2")
        numbers = t.node("Cast", [mask], "Cast", DstT=1)
    else:
        numbers = t.expand(_given_by(t), 2, "ExpandDims")
        kept = t.node("Mul", [x, numbers], "mul")
    total = t.reduce("Sum", kept, 1, keep=False)
    count = t.reduce("Sum", numbers, 1, keep=False, name="Sum_1")
    return t.node("RealDiv", [total, count], "truediv")


def _given_by(t: Trace) -> Value:
    """Return the mask that the embedding makes, as numbers."""
    index = t.call.masks[id(t.given)]
    scope = t.given.location[0].rpartition("/")[0]
    zero = t.constant(0, f"{scope}/NotEqual/y", index.kind, inside=False)
    mask = t.outside("NotEqual", [index, zero], f"{scope}/NotEqual")
    return t.value("Cast", [mask], "Cast", DstT=1)
