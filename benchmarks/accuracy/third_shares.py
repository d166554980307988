"""How often the third grammar draws each layer and each activation."""

from __future__ import annotations

ACTIVATIONS = {"relu": 22, "tanh": 4, "sigmoid": 3, "elu": 3, "selu": 2, "swish": 4, "gelu": 3, "softplus": 1}
"""How often an activation is given by its name."""
MAP_LAYERS: dict[str, float] = {
    "Conv2D": 30,
    "BatchNormalization": 13,
    "Activation": 13,
    "MaxPooling2D": 10,
    "Dropout": 5,
    "SeparableConv2D": 5,
    "DepthwiseConv2D": 5,
    "Conv2DTranspose": 4,
    "AveragePooling2D": 4,
    "UpSampling2D": 3,
    "ZeroPadding2D": 3,
    "LayerNormalization": 2,
    "SpatialDropout2D": 2,
    "Dense": 1.5,
    "Cropping2D": 1,
    "GroupNormalization": 1,
    "GaussianNoise": 0.7,
    "Rescaling": 0.7,
    "Resizing": 0.5,
    "Permute": 0.4,
    "UnitNormalization": 0.3,
    "ActivityRegularization": 0.3,
    "GaussianDropout": 0.3,
    "excited": 3,
}
"""Layers for maps."""
SERIES_LAYERS: dict[str, float] = {
    "Conv1D": 24,
    "BatchNormalization": 8,
    "MaxPooling1D": 7,
    "Dropout": 6,
    "Activation": 8,
    "Dense": 8,
    "LayerNormalization": 4,
    "SeparableConv1D": 3,
    "AveragePooling1D": 3,
    "MultiHeadAttention": 3,
    "Conv1DTranspose": 2,
    "SpatialDropout1D": 2,
    "TimeDistributed": 2,
    "UpSampling1D": 1.5,
    "ZeroPadding1D": 1,
    "Cropping1D": 1,
    "DepthwiseConv1D": 1,
    "Permute": 1,
    "Attention": 1,
    "GaussianNoise": 0.7,
    "Rescaling": 0.5,
    "UnitNormalization": 0.3,
}
"""Layers for series."""
VECTOR_LAYERS: dict[str, float] = {
    "Dense": 34,
    "BatchNormalization": 9,
    "Dropout": 9,
    "Activation": 9,
    "LayerNormalization": 2,
    "gated": 1.5,
    "GaussianNoise": 1,
    "GaussianDropout": 0.7,
    "AlphaDropout": 0.7,
    "Rescaling": 0.4,
    "UnitNormalization": 0.4,
    "ActivityRegularization": 0.4,
    "reshaped": 0.8,
}
"""Layers for vectors."""
