"""Masks of sequences: which layers make, pass on, take and ignore them, and the nodes that make them."""

from __future__ import annotations

import numpy as np

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import Call, UnknownLayerError
from modelinspect.conversion.keras.mask import Mask
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import BOOL, FLOAT32
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.networks.keras_layers import class_of

IDENTITIES = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "RandomBrightness",
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
_LOOPS = frozenset({"Bidirectional", "GRU", "LSTM", "SimpleRNN"})
_AVERAGE = "GlobalAveragePooling1D"
_WIRED = _LOOPS | {_AVERAGE}
"""Layers that take the mask that the model is wired with in Keras 3: the others find it at the tensor."""
_WITH_ARGUMENT = _WIRED | {"BatchNormalization", "Softmax", "TimeDistributed"}
"""Layers that a chain of Keras 3 gives the mask, also if they do nothing with it."""
TAKES = _WIRED | {
    "AdditiveAttention",
    "Attention",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "Lambda",
    "MultiHeadAttention",
    "RNN",
    "Softmax",
}
"""Layers whose result depends on the mask of what they take."""
MASKED = _WIRED | {"BatchNormalization", "TimeDistributed"}
"""Layers whose masks are followed, those among them that ignore them."""
_PASSES = frozenset(
    {
        "Activation",
        "BatchNormalization",
        "Dense",
        "ELU",
        "LayerNormalization",
        "LeakyReLU",
        "MultiHeadAttention",
        "PReLU",
        "ReLU",
        "ThresholdedReLU",
        "TimeDistributed",
        "UnitNormalization",
    }
)
_MERGES = frozenset({"Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"})


def passed_on(layer: LayerConfig, given: list[Mask | None]) -> Mask | None:
    """Return the mask of what a layer makes, given those of what it takes."""
    kind = class_of(layer)
    masks = [mask for mask in given if mask is not None]
    if not masks:
        return None
    if kind in _MERGES:
        return Mask(_unknown, _unknown)
    return given[0] if _gives_sequence(layer) or kind in _PASSES else None


def masks_first(model: LayerConfig) -> frozenset[str]:
    """Return the embeddings of chains of Keras 3 whose mask is computed before them.

    A model runs its layers by their distance from the output, and of equal ones those first that it meets
    first on its way from the output: the mask, if a later layer takes it too.
    """
    found = set[str]()
    for chain in model.walk():
        if class_of(chain) != "Sequential":
            continue
        layers = chain.children
        for place, layer in enumerate(layers):
            if class_of(layer) != "Embedding" or layer.settings.get("mask_zero") is not True:
                continue
            takers = list[int]()
            for number, other in enumerate(layers[place + 1 :]):
                kind = class_of(other)
                if kind in _WITH_ARGUMENT:
                    takers.append(number)
                if kind not in _PASSES | IDENTITIES and not _gives_sequence(other):
                    break
            if len(takers) > 1 and takers[0] == 0:
                found.add(layer.name)
    return frozenset(found)


def _gives_sequence(layer: LayerConfig) -> bool:
    """Return whether a recurrent layer gives out all steps, also one that a layer wraps."""
    inner = layer.children[0] if class_of(layer) == "Bidirectional" and layer.children else layer
    return class_of(layer) in _LOOPS and inner.settings.get("return_sequences") is True


def _unknown() -> Value:
    raise UnknownLayerError("with a mask that other layers put together")


def taken_mask(call: Call) -> Value | None:
    """Return the mask that a layer takes, None where there is none. Raises `UnknownLayerError`."""
    told = [value for value in call.inputs[1:] if value.kind == BOOL]
    if told:
        return told[0]
    mask = call.masks.get(id(call.given))
    if mask is None or (call.keras == 3 and call.is_wired):
        return None
    return mask.write() if call.keras == 2 else mask.wired()


def mask_zero(t: Trace) -> Mask:
    """Return the mask of the steps whose index is zero.

    Keras 3 writes the mask even where none takes it: its names are gone.
    """
    call, index = t.call, t.given
    if call.keras == 2:
        name = call.at("NotEqual")[0]

        def write() -> Value:
            zero = t.constant(0, f"{name}/y", index.kind, inside=False)
            return t.finished(t.outside("NotEqual", [index, zero], name))

        return Mask(write, write)
    if call.layer.name in call.masks_first:
        wired, own = _names(call), _names(call)
        return Mask(lambda: _differs(t, index, *own), lambda: _differs(t, index, *wired))
    own = _names(call)
    return Mask(lambda: _differs(t, index, *own), lambda: _differs(t, index, *_names(call)))


def _names(call: Call) -> tuple[str, str]:
    """Take the names that a comparison has outside of the layer: of the number, and its own."""
    outer = call.scope.rpartition("/")[0]
    _, number, name = (
        call.scopes.unique(f"{outer}/{each}" if outer else each) for each in ("Const", "Cast", "NotEqual")
    )
    return number, name


def _differs(t: Trace, index: Value, number: str, name: str) -> Value:
    zero = Held((), index.kind, (number,), None, np.array(0))
    return t.finished(t.outside("NotEqual", [index, zero], name))


def masked(t: Trace) -> Item:
    """Set steps to zero that have only the value that masks them."""
    number = t.call.real("mask_value", 0.0)
    if not t.is_keras3:
        constant = t.constant(number, "NotEqual/y", FLOAT32)
        differs = t.node("NotEqual", [t.given, constant], "NotEqual")
        is_kept = t.reduce("Any", differs, -1, keep=True)
        made = t.finished(t.node("Mul", [t.given, t.node("Cast", [is_kept], "Cast", DstT=1)], "mul"))

        def write() -> Value:
            return t.finished(t.outside("Squeeze", [is_kept], t.call.at("Squeeze")[0], squeeze_dims=[-1]))

        t.call.masks[id(made)] = Mask(write, write)
        return made
    outer = t.call.scope.rpartition("/")[0]

    def outside(op: str, inputs: list[Item]) -> Value:
        name = t.call.scopes.unique(f"{outer}/{op}" if outer else op)
        return t.finished(t.outside(op, inputs, name))

    constants = t.constant(number, "Const", FLOAT32), t.constant(0.0, "Const_1", FLOAT32)
    if not t.call.is_wired and t.call.takes_masks:
        outside("NotEqual", [t.given, constants[0]])
    differs = t.node("NotEqual", [t.given, constants[0]], "NotEqual")
    is_kept = t.reduce("Any", differs, -1, keep=True)
    chosen = t.finished(t.node("SelectV2", [is_kept, t.given, constants[1]], "SelectV2"))

    def wire() -> Value:
        axes = t.constant([-1], f"{outer}/Any/reduction_indices", inside=False)
        return outside("Any", [differs, axes])

    def squeeze() -> Value:
        return t.finished(t.outside("Squeeze", [is_kept], t.call.at("Squeeze")[0], squeeze_dims=[-1]))

    t.call.masks[id(chosen)] = Mask(squeeze, wire)
    return chosen


def masked_mean(t: Trace, mask: Value) -> Item:
    """Sum the steps that are not masked, and divide by their number."""
    x = t.given
    if t.is_keras3:
        column = t.expand(mask, 2, "ExpandDims")
        zero = t.constant(0.0, "Const", FLOAT32)
        kept = t.node("SelectV2", [column, x, zero], "SelectV2")
        numbers = t.node("Cast", [column], "Cast", DstT=1)
    else:
        numbers = t.expand(t.value("Cast", [mask], "Cast", DstT=1), 2, "ExpandDims")
        kept = t.node("Mul", [x, numbers], "mul")
    total = t.reduce("Sum", kept, 1, keep=False)
    count = t.reduce("Sum", numbers, 1, keep=False, name="Sum_1")
    return t.node("RealDiv", [total, count], "truediv")
