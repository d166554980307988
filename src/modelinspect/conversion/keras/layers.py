"""The rule of each Keras layer, Keras 2 and Keras 3: most write nodes, recurrent ones operators."""

from __future__ import annotations

from modelinspect.conversion.keras.call import Rule
from modelinspect.conversion.keras.masks import masked
from modelinspect.conversion.keras.nodes import activations
from modelinspect.conversion.keras.nodes.attention import TRACED_ATTENTION
from modelinspect.conversion.keras.nodes.convolutions import TRACED_CONVOLUTIONS
from modelinspect.conversion.keras.nodes.dense import dense
from modelinspect.conversion.keras.nodes.merging import TRACED_MERGING
from modelinspect.conversion.keras.nodes.normalizations import TRACED_NORMALIZATIONS
from modelinspect.conversion.keras.nodes.pooling import TRACED_POOLING
from modelinspect.conversion.keras.nodes.products import TRACED_PRODUCTS
from modelinspect.conversion.keras.nodes.trace import traced
from modelinspect.conversion.keras.nodes.wrappers import distributed, normalized
from modelinspect.conversion.keras.recurrent import RECURRENT

LAYERS: dict[str, Rule] = {
    "Activation": traced(lambda t: t.finish(t.given)),
    "ELU": traced(activations.elu),
    "LeakyReLU": traced(activations.leaky),
    "PReLU": traced(activations.prelu),
    "ReLU": traced(activations.relu),
    "Softmax": traced(activations.softmax),
    "ThresholdedReLU": traced(activations.thresholded),
    "Dense": dense,
    **TRACED_ATTENTION,
    **RECURRENT,
    **TRACED_MERGING,
    **TRACED_POOLING,
    **TRACED_CONVOLUTIONS,
    **TRACED_NORMALIZATIONS,
    **TRACED_PRODUCTS,
    "Masking": traced(masked),
}
"""The rule of each class of layers."""
LAYERS |= {"SpectralNormalization": normalized(LAYERS), "TimeDistributed": distributed(LAYERS)}
