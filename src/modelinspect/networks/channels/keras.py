"""Follow the channels of a Keras model from layer to layer, as its configuration connects them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass, field, replace
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.networks.channels.builder import Builder, UnfollowedError
from modelinspect.networks.channels.functions import KERAS, keeps_zero, relu
from modelinspect.networks.channels.layer_use import Use
from modelinspect.networks.channels.wires import INPUTS, OUTPUTS, Reals, Wire, unknown
from modelinspect.networks.keras_layers import Traversal, class_of
from modelinspect.networks.keras_variables import Parameter, items, parameters, parameters_of, read_model


def follow_keras(builder: Builder) -> bool:
    """Follow a Keras artifact's channels; return whether it says how its layers are connected.

    Raises `UnmeasurableError`.
    """
    model = read_model(builder.artifact, builder.reading)
    if model is None:
        return False
    variables = parameters(builder.artifact, builder.reading, model)
    tensors = {id(tensor): TensorId(index) for index, tensor in enumerate(builder.artifact.tensors)}
    network = _Network(builder, variables, tensors)
    outputs = [wire for _, wire in network.call_model(model, None, "", "")]
    network.leave(outputs, OUTPUTS)
    return bool(outputs)


@dataclass(slots=True)
class _Network(Traversal[Wire]):
    """A model whose channels are followed."""

    builder: Builder
    variables: Mapping[str, Sequence[Parameter]]
    tensors: Mapping[int, TensorId]
    used: dict[str, list[Wire]] = field(default_factory=dict)

    def make_input(self, name: str, layer: LayerConfig) -> Wire:
        for key in ("batch_input_shape", "batch_shape"):
            fact = items(layer.settings.get(key))
            if fact and len(fact) > 1 and isinstance(fact[-1], int) and fact[-1] > 0:
                wire = self.builder.wires.new(fact[-1], len(fact))
                self.builder.wires.stop([wire], INPUTS)
                return wire
        return unknown()

    def leave(self, values: list[Wire], why: str = "") -> None:
        for wire in values:
            if wire.reader is not None:
                wire.reader.alone = False
        self.builder.wires.stop(values, why or "where they go is not reported")

    def apply(self, layer: LayerConfig, given: list[Wire], scope: str, path: str) -> list[Wire]:
        kind = class_of(layer)
        for wire in given:
            if wire.reader is not None:
                wire.reader.alone = (
                    wire.reader.alone and kind == "BatchNormalization" and not wire.reader.normalized
                )
                wire.reader.normalized = kind == "BatchNormalization"
        use = Use(self.builder, layer, kind, parameters_of(self.variables, path), self.tensors, given, path)
        rule = _RULES.get(kind)
        try:
            if rule is None or not given or use.has_channels_first or not layer.is_of_keras:
                raise UnfollowedError
            made = rule(use)
            self.builder.wires.spend(len(made.fixed))
        except (
            UnfollowedError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # settings can be anything
            more = f" {error}" if isinstance(error, UnfollowedError) and str(error) else ""
            self.leave(given, f"{layer.name} ({kind}) takes them{more}")
            return [unknown()]
        return [made]


_Rule = Callable[[Use], Wire]


def _activated(use: Use, wire: Wire, key: str = "activation") -> Wire:
    """Apply what a layer ends with; a kernel with nothing after it stays known, so a normalization can take
    its constants.
    """
    name = use.settings.get(key) or "linear"
    if isinstance(name, Mapping):  # Keras 3 may write {"class_name": "relu", ...} for its own functions
        name = name.get("config")
    if name == "linear":
        return wire
    function = KERAS.get(name) if isinstance(name, str) else None
    if function is None:
        use.builder.wires.stop(
            [wire],
            f"{use.layer.name} ({name if isinstance(name, str) else 'a custom activation'}) takes them"
            " together",
        )
        return unknown(wire.rank)
    return use.builder.mapped(wire, function)


def _dense(use: Use) -> Wire:
    kernel, bias = use.need("kernel"), use.find("bias")
    if len(use.shape(kernel)) != 2:
        raise UnfollowedError
    spreads = use.given.rank == 2
    reader = use.builder.read(
        use.layer.name, use.given, kernel, 0, bias=bias is not None, folds=True, spreads=spreads
    )
    return _ended(use, replace(use.builder.make(kernel, 1, bias, use.given.rank), reader=reader), kernel)


def _convolution(use: Use) -> Wire:
    kernel, bias = use.need("kernel"), use.find("bias")
    shape = use.shape(kernel)
    if use.number("groups", 1) != 1:
        raise UnfollowedError("in groups")
    folds = not use.padded or max(shape[:-2]) == 1
    rank = len(shape)
    reader = use.builder.read(
        use.layer.name, use.given, kernel, rank - 2, bias=bias is not None, folds=folds, spreads=False
    )
    return _ended(use, replace(use.builder.make(kernel, rank - 1, bias, rank), reader=reader), kernel)


def _ended(use: Use, wire: Wire, kernel: TensorId) -> Wire:
    """Apply what a layer of a kernel and a bias ends with."""
    if "/" in use.path:  # a model within the model has it
        return _activated(use, wire)
    if wire.reader is not None:
        wire.reader.plain = wire.reader.bias
    made = _activated(use, wire)
    return replace(made, maker=kernel if use.find("bias") is not None else None)


def _transposed(use: Use) -> Wire:
    """Its borders overlap otherwise than its middle, so no constant adds the same everywhere."""
    kernel, bias = use.need("kernel"), use.find("bias")
    rank = len(use.shape(kernel))
    reader = use.builder.read(
        use.layer.name, use.given, kernel, rank - 1, bias=bias is not None, folds=False, spreads=False
    )
    return _activated(use, replace(use.builder.make(kernel, rank - 2, bias, rank), reader=reader))


def _depthwise(use: Use) -> Wire:
    kernel = use.find("depthwise_kernel")
    kernel = use.need("kernel") if kernel is None else kernel
    padded = use.padded and max(use.shape(kernel)[:-2]) > 1
    return _activated(
        use, use.builder.depthwise(use.layer.name, use.given, kernel, -2, use.find("bias"), padded=padded)
    )


def _separable(use: Use) -> Wire:
    first, second, bias = use.need("depthwise_kernel"), use.need("pointwise_kernel"), use.find("bias")
    padded = use.padded and max(use.shape(first)[:-2]) > 1
    between = use.builder.depthwise(use.layer.name, use.given, first, -2, None, padded=padded)
    rank = len(use.shape(second))
    reader = use.builder.read(
        use.layer.name, between, second, rank - 2, bias=bias is not None, folds=True, spreads=False
    )
    return _activated(use, replace(use.builder.make(second, rank - 1, bias, rank), reader=reader))


def _embedding(use: Use) -> Wire:
    table = use.need("embeddings")
    use.builder.wires.stop([use.given], "they choose rows")
    return use.builder.make(table, 1, None, use.given.rank + 1 if use.given.rank else 3)


def _normalization(use: Use) -> Wire:
    if not use.is_last(use.settings.get("axis", -1)) or use.settings.get("renorm"):
        raise UnfollowedError("over another axis")
    known = {name: use.find(name) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    vectors = {name: tensor for name, tensor in known.items() if tensor is not None}
    others = any(each.name not in known for each in use.parameters)
    if others or "moving_variance" not in vectors or "moving_mean" not in vectors:
        raise UnfollowedError("with variables of other names")
    epsilon = use.number("epsilon", 1e-3)

    def change(values: Reals, read: list[Reals]) -> Reals:
        each = dict(zip(vectors, read, strict=True))
        scale = each.get("gamma", np.ones(1)) / np.sqrt(each["moving_variance"] + epsilon)
        return (values - each["moving_mean"]) * scale + each.get("beta", np.zeros(1))

    return use.builder.scaled(use.given, list(vectors.values()), change)


def _slope(use: Use) -> Wire:
    alpha = use.need("alpha")
    shape = use.shape(alpha)
    wire = use.builder.fitted(use.given, shape[-1])
    if len(shape) != wire.rank - 1 or wire.ids is None:
        raise UnfollowedError
    use.builder.wires.cut(alpha, len(shape) - 1, wire.ids)
    kept = wire.fixed & (wire.values >= 0)
    return replace(
        use.builder.mapped(wire, lambda values: np.where(values >= 0, values, np.nan)),
        even=wire.even & (kept | ~wire.fixed),
    )


def _flatten(use: Use) -> Wire:
    return replace(use.given, flat=use.given.flat or use.given.rank != 2, rank=2, reader=None)


def _reshape(use: Use) -> Wire:
    target, given = items(use.settings.get("target_shape")) or [], use.given
    if given.ids is None or not target:
        raise UnfollowedError
    if target[-1] == len(given.ids):
        return replace(given, flat=False, rank=len(target) + 1, reader=None)
    if len(target) == 1:
        return replace(given, flat=True, rank=2, reader=None)
    raise UnfollowedError("in another shape")


def _permute(use: Use) -> Wire:
    order = items(use.settings.get("dims")) or []
    if not order or order[-1] != use.given.rank - 1 or use.given.flat:
        raise UnfollowedError
    return replace(use.given, reader=None)


def _concatenate(use: Use) -> Wire:
    axis, rank = use.settings.get("axis", -1), use.given.rank
    if use.is_last(axis):
        return use.builder.joined(use.inputs)
    if not isinstance(axis, int) or not 0 < axis % max(rank, 1) < rank - 1 or not -rank < axis < rank:
        raise UnfollowedError
    return use.builder.stacked(use.inputs)


def _merged(combine: Callable[[Reals, Reals], Reals], *, zero_wins: bool = False) -> _Rule:
    def rule(use: Use) -> Wire:
        made = (
            use.builder.wires.merge(use.inputs, combine, zero_wins=zero_wins) if len(use.inputs) > 1 else None
        )
        if made is None:
            raise UnfollowedError("beside channels that are not followed")
        return made

    return rule


def _kept(use: Use) -> Wire:
    return replace(use.given, reader=None)


def _mapped(function: Callable[[Reals], Reals]) -> _Rule:
    return lambda use: use.builder.mapped(use.given, function)


def _relu_layer(use: Use) -> Wire:
    plain = not use.settings.get("negative_slope") and not use.settings.get("threshold")
    most = use.settings.get("max_value")
    limit = float(most) if isinstance(most, int | float) else np.inf
    return use.builder.mapped(
        use.given, (lambda values: np.minimum(relu(values), limit)) if plain else keeps_zero
    )


def _rescaled(use: Use) -> Wire:
    scale, offset = use.number("scale", 1), use.number("offset", 0)
    return use.builder.mapped(use.given, lambda values: values * scale + offset)


def _moved(use: Use) -> Wire:
    """Hand on channels that are pooled, cut or repeated over the positions."""
    if use.given.flat:
        raise UnfollowedError
    return replace(use.given, reader=None)


def _repeated(use: Use) -> Wire:
    if use.given.flat or use.given.rank != 2:
        raise UnfollowedError
    return replace(use.given, rank=3, reader=None)


def _pooled(use: Use) -> Wire:
    return use.builder.pooled(use.given, use.given.rank if use.settings.get("keepdims") else 2)


def _padded(use: Use) -> Wire:
    if use.given.flat:
        raise UnfollowedError
    return use.builder.padded(use.given)


def _each(names: str, rule: _Rule) -> dict[str, _Rule]:
    return dict.fromkeys(names.split(), rule)


_RULES: Mapping[str, _Rule] = {
    **_each("Conv1D Conv2D Conv3D", _convolution),
    **_each("Conv1DTranspose Conv2DTranspose Conv3DTranspose", _transposed),
    **_each("DepthwiseConv1D DepthwiseConv2D", _depthwise),
    **_each("SeparableConv1D SeparableConv2D", _separable),
    **_each(
        "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D", _moved
    ),
    **_each("UpSampling1D UpSampling2D UpSampling3D Cropping1D Cropping2D Cropping3D", _moved),
    **_each("ZeroPadding1D ZeroPadding2D ZeroPadding3D", _padded),
    **_each("GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D", _pooled),
    **_each("GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D", _pooled),
    **_each("ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise", _kept),
    **_each("SpatialDropout1D SpatialDropout2D SpatialDropout3D", _kept),
    **_each("ELU LeakyReLU ThresholdedReLU", _mapped(keeps_zero)),
    "Activation": lambda use: _activated(use, replace(use.given, reader=None)),
    "Add": _merged(np.add),
    "Average": _merged(lambda one, other: np.where((one == 0) & (other == 0), 0.0, np.nan)),
    "BatchNormalization": _normalization,
    "Concatenate": _concatenate,
    "Dense": _dense,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "Maximum": _merged(np.maximum),
    "Minimum": _merged(np.minimum),
    "Multiply": _merged(np.multiply, zero_wins=True),
    "PReLU": _slope,
    "Permute": _permute,
    "ReLU": _relu_layer,
    "RepeatVector": _repeated,
    "Rescaling": _rescaled,
    "Reshape": _reshape,
    "Subtract": _merged(np.subtract),
}
"""What each class of layers does to channels; those that are not here end the way."""
