"""Names of the variables of Keras layers, in the order in which a weights store numbers them.

A store writes a layer's variables as ``vars/0``, ``vars/1``, …: trainable ones first, each group in the order
in which the layer made them (``save_own_variables`` in keras/src/layers/layer.py and in the layers that have
their own, such as Dense).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from modelinspect.core.names import WrapperClass
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import DType
from modelinspect.formats.keras.config import LayerConfig, quantization_mode


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the store: what distinguishes one from another without its name."""

    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Name:
    """A variable's name, and the setting that its layer makes it by: a flag with its default."""

    name: str
    setting: str = ""
    default: bool = True

    def is_made(self, settings: Mapping[str, object]) -> bool:
        """Return whether a layer of these settings has the variable."""
        value = settings.get(self.setting, self.default) if self.setting else True
        return bool(value)


_BIAS = _Name("bias", "use_bias")
_KERNEL = (_Name("kernel"), _BIAS)
_DEPTHWISE = (_Name("depthwise_kernel"), _BIAS)
_SEPARABLE = (_Name("depthwise_kernel"), _Name("pointwise_kernel"), _BIAS)
_RECURRENT = (_Name("kernel"), _Name("recurrent_kernel"), _BIAS)
_SCALED = (_Name("gamma", "scale"), _Name("beta", "center"))
_MOVING = (_Name("moving_mean"), _Name("moving_variance"))
_RENORM = tuple(
    _Name(name, "renorm", default=False) for name in ("moving_stddev", "renorm_mean", "renorm_stddev")
)

_LAYERS: dict[str, tuple[_Name, ...]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), _KERNEL),
    "EinsumDense": (_Name("kernel"), _Name("bias", "bias_axes", default=False)),
    **dict.fromkeys(
        ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "LocallyConnected1D", "LocallyConnected2D"),
        _KERNEL,
    ),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _KERNEL),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell", "ConvLSTMCell"), _RECURRENT),
    **dict.fromkeys(("BatchNormalization", "SyncBatchNormalization"), (*_SCALED, *_MOVING, *_RENORM)),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization"), _SCALED),
    "Embedding": (_Name("embeddings"),),
    "ReversibleEmbedding": (_Name("embeddings"),),
    "PReLU": (_Name("alpha"),),
    "RMSNormalization": (_Name("scale"),),
    "UnitNormalization": (),
    "Normalization": tuple(map(_Name, ("mean", "variance", "count"))),
    "Attention": (_Name("scale", "use_scale", default=False),),
    "AdditiveAttention": (_Name("scale", "use_scale"),),
    "SpectralNormalization": (_Name("kernel"), _Name("vector_u")),
    "SeedGenerator": (_Name("seed_generator_state"),),
}
"""The variables of a layer that nothing quantized, by its class."""

_KERNELS = {"Embedding": "embeddings", "ReversibleEmbedding": "embeddings"}
_FLOAT8 = 6
"""How many helper variables a layer has that computes in float8."""
_QUANTIZED: dict[str, tuple[str, ...]] = {
    "int8": ("{0}", "bias", "{0}_scale"),
    "int4": ("{0}", "bias", "{0}_scale", "{0}_zero", "g_idx"),
    "float8": (
        "{0}",
        "bias",
        "inputs_scale",
        "inputs_amax_history",
        "kernel_scale",
        "kernel_amax_history",
        "outputs_grad_scale",
        "outputs_grad_amax_history",
    ),
    "gptq": ("bias", "{0}", "{0}_scale", "{0}_zero", "g_idx"),
    "awq": ("bias", "{0}", "{0}_scale", "{0}_zero", "awq_scales", "g_idx"),
    "ternary": ("{0}", "bias", "{0}_scale"),
}
"""``variable_serialization_spec`` of Keras's Dense and Embedding, by the way of quantizing; ``{0}`` is the
layer's main variable.
"""
_BY_LAYER_CLASS = {
    "LSTM": "lstm_cell",
    "GRU": "gru_cell",
    "SimpleRNN": "simple_rnn_cell",
    "ConvLSTM1D": "conv_lstm_cell",
    "ConvLSTM2D": "conv_lstm_cell",
    "ConvLSTM3D": "conv_lstm_cell",
}
"""What recurrent layers call the cells that they make."""

_CELLS = {
    "lstm_cell": "LSTMCell",
    "gru_cell": "GRUCell",
    "simple_rnn_cell": "SimpleRNNCell",
    "conv_lstm_cell": "ConvLSTMCell",
}
_PROJECTIONS = {
    "query_dense": "query",
    "key_dense": "key",
    "value_dense": "value",
    "output_dense": "attention_output",
}
"""The layers that attention makes: as the store has them, and what they are called."""

WRAPPERS = frozenset(WrapperClass) - {WrapperClass.QUANTIZE_LAYER}
"""tfmot's wrappers, which hold variables beside those of the layer within."""


def plain_class(name: str) -> str:
    """Return a class's name without the package that registered it."""
    return name.rpartition(">")[2]


def variable_names(
    layer: LayerConfig | None, class_name: str, variables: Sequence[Variable], keras: int = 3
) -> tuple[str, ...] | None:
    """Return the names of a layer's variables in their order; None where the class is not known or they do
    not fit it.

    ``class_name`` is used where there is no configuration; ``keras`` is the writer's major version.
    """
    kind = plain_class(layer.class_name) if layer is not None else class_name
    if kind == WrapperClass.PRUNE and layer is not None and layer.children:
        return _wrapper_names(plain_class(layer.children[0].class_name), variables)
    if kind not in _LAYERS:
        return None
    settings: Mapping[str, object] = layer.settings if layer is not None else {}
    mode = quantization_mode(layer) if layer is not None else _guessed_mode(kind, variables)
    if mode and layer is None:
        settings = {"use_bias": _has_bias(variables)}
    if mode:
        return _quantized_names(kind, mode, settings, len(variables))
    listed = _LAYERS[kind]
    if keras < 3 and kind.startswith("DepthwiseConv"):
        listed = _DEPTHWISE
    made = [each.name for each in listed if each.is_made(settings)]
    if layer is None:  # without its settings, a layer has as many of its optional variables as there are
        made = _guessed(listed, len(variables))
    if kind == "ReversibleEmbedding" and not settings.get("tie_weights", True):
        made.append("reverse_embeddings")
    return tuple(made) if len(made) == len(variables) else None


def cell_name(class_name: str, part: str) -> str | None:
    """Return what a layer of a class calls a part of it that the store has under ``part``; None where it has
    no name for it.
    """
    kind = plain_class(class_name)
    if part == "cell":
        return _BY_LAYER_CLASS.get(kind)
    return _PROJECTIONS.get(part.strip("_")) if kind == "MultiHeadAttention" else None


def part_class(name: str) -> str:
    """Return the class of a part that `cell_name` names, "" where that does not say."""
    if name in _CELLS:
        return _CELLS[name]
    return "EinsumDense" if name in _PROJECTIONS.values() else ""


def class_in_snake_case(name: str) -> str:
    """Return the layer class that a name in snake case is of, "" where it is none of those whose variables
    are known.
    """
    return _SNAKE.get(name, "")


def snake_case(name: str) -> str:
    """Return the name that Keras gives to an object of a class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


_SNAKE = {snake_case(name): name for name in _LAYERS}


def _wrapper_names(kind: str, variables: Sequence[Variable]) -> tuple[str, ...] | None:
    """Return the names of what tfmot's pruning wrapper lists: the pruned kernels, a mask and a threshold for
    each, the step.
    """
    kind = _CELLS.get(_BY_LAYER_CLASS.get(kind, ""), kind)
    kept = sum(1 for variable in variables if variable.shape) // 2
    kernels = [each.name for each in _LAYERS.get(kind, ()) if each.name != "bias"][:kept]
    helpers = [
        f"{name}_{number}" if number else name for number in range(kept) for name in ("mask", "threshold")
    ]
    names = (*kernels, *helpers, "pruning_step")
    return names if len(kernels) == kept and len(names) == len(variables) else None


def _guessed(listed: Sequence[_Name], count: int) -> list[str]:
    """Return the names of as many variables as there are: all, or those that no setting can leave out."""
    for names in (
        [each.name for each in listed if not each.setting or each.default],
        [each.name for each in listed if not each.setting],
        [each.name for each in listed],
    ):
        if len(names) == count:
            return names
    return []


def _quantized_names(
    kind: str, mode: str, settings: Mapping[str, object], count: int
) -> tuple[str, ...] | None:
    """Return the names of the variables of a layer that Keras quantized, None where as many are not what it
    writes.
    """
    main = _KERNELS.get(kind, "kernel")
    spec = [name.format(main) for name in _QUANTIZED.get(mode, ())]
    has_bias = (
        settings.get("bias_axes")
        if kind == "EinsumDense" and "equation" in settings
        else settings.get("use_bias", True)
    )
    if main != "kernel" or not has_bias:
        spec = [name for name in spec if name != "bias"]
    if kind == "ReversibleEmbedding" and not settings.get("tie_weights", True):
        spec += ["reverse_embeddings", "reverse_embeddings_scale", "reverse_embeddings_zero"]
    for name in ("g_idx", f"{main}_zero", "reverse_embeddings_zero"):  # only where scales are for groups
        if len(spec) > count and name in spec:
            spec.remove(name)
    return tuple(spec) if spec and len(spec) == count else None


def _has_bias(variables: Sequence[Variable]) -> bool:
    """Return whether a bias is among the variables of a packed or int8 layer: zero points, whole numbers,
    follow the scale.
    """
    zero = next(
        (number for number, item in enumerate(variables[1:], start=1) if item.dtype.name == "int8"), None
    )
    return len(variables) == 3 if zero is None else zero == 3


def _guessed_mode(kind: str, variables: Sequence[Variable]) -> str:
    """Return how Keras quantized a layer that no configuration describes, "" where its variables do not
    say.
    """
    if kind not in ("Dense", "EinsumDense", "Embedding", "ReversibleEmbedding"):
        return ""
    if len(variables) > _FLOAT8 and [len(item.shape) for item in variables[-_FLOAT8:]] == [0, 1] * (
        _FLOAT8 // 2
    ):
        return "float8"
    return "int4" if variables and variables[0].dtype.name == "int8" and len(variables[0].shape) > 1 else ""
