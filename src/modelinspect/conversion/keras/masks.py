"""Which layers do nothing with the mask of a sequence."""

from __future__ import annotations

from modelinspect.conversion.keras.layers import IDENTITIES

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


def ignores_masks(kind: str) -> bool:
    """Return whether layers of a class do nothing with a mask at inference: the converter drops what makes a
    mask that none takes.
    """
    return kind in _IGNORE_MASKS
