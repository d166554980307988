"""The rules of functions of tensors, by the names that configurations have for them."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.conversion.keras.call import Rule
from modelinspect.conversion.keras.nodes import choices
from modelinspect.conversion.keras.nodes.arguments import arguments_of
from modelinspect.conversion.keras.nodes.functions import (
    Writer,
    binary,
    clipped,
    elu,
    expanded,
    gelu,
    joined,
    multiplied,
    normalized,
    normalized_by_root,
    not_equal,
    padded,
    part_of,
    reduced,
    reshaped,
    silu,
    softmax,
    squeezed,
    stacked,
    transposed,
    unary,
)
from modelinspect.conversion.keras.nodes.several import split, unstacked
from modelinspect.conversion.keras.nodes.trace import traced
from modelinspect.formats.keras.config import LayerConfig


def _rule(writer: Writer) -> Rule:
    return traced(lambda t: writer(t, arguments_of(t)))


_OPERATIONS: Mapping[str, Rule] = {
    name: _rule(writer)
    for name, writer in {
        "Absolute": unary("Abs"),
        "Abs": unary("Abs"),
        "Add": binary("AddV2", "Add"),
        "Any": reduced("Any"),
        "Clip": clipped,
        "Concatenate": joined,
        "Cos": unary("Cos"),
        "Divide": binary("RealDiv", "truediv"),
        "Elu": elu,
        "Exp": unary("Exp"),
        "ExpandDims": expanded,
        "Gelu": gelu,
        "GetItem": part_of,
        "Log": unary("Log"),
        "LogSoftmax": unary("LogSoftmax"),
        "Matmul": multiplied,
        "Max": reduced("Max"),
        "Maximum": binary("Maximum", "Maximum"),
        "Mean": reduced("Mean"),
        "Min": reduced("Min"),
        "Minimum": binary("Minimum", "Minimum"),
        "Multiply": binary("Mul", "Mul"),
        "Negative": unary("Neg"),
        "Normalize": normalized,
        "NotEqual": not_equal,
        "Pad": padded,
        "Power": binary("Pow", "Pow"),
        "Relu": unary("Relu"),
        "Relu6": unary("Relu6"),
        "Reshape": reshaped,
        "Rsqrt": unary("Rsqrt"),
        "Selu": unary("Selu"),
        "Sigmoid": unary("Sigmoid"),
        "Silu": silu,
        "Sin": unary("Sin"),
        "Softmax": softmax,
        "Softplus": unary("Softplus"),
        "Softsign": unary("Softsign"),
        "Split": split,
        "Sqrt": unary("Sqrt"),
        "Square": unary("Square"),
        "Squeeze": squeezed,
        "Stack": stacked,
        "Subtract": binary("Sub", "Sub"),
        "Sum": reduced("Sum"),
        "Tanh": unary("Tanh"),
        "Transpose": transposed,
        "TrueDivide": binary("RealDiv", "truediv"),
        "Unstack": unstacked,
    }.items()
}
_OPERATIONS_OF_CHOICE: Mapping[str, Rule] = {
    name: _rule(writer)
    for name, writer in {
        "AveragePool": choices.pooled("AvgPool", "AvgPool2D", "AvgPool"),
        "Cast": choices.cast,
        "Cumsum": choices.summed_up,
        "Equal": binary("Equal", "Equal"),
        "Flip": choices.turned,
        "Floor": unary("Floor"),
        "Greater": binary("Greater", "Greater"),
        "GreaterEqual": binary("GreaterEqual", "GreaterEqual"),
        "LeakyRelu": choices.leaky,
        "Less": binary("Less", "Less"),
        "LessEqual": binary("LessEqual", "LessEqual"),
        "MaxPool": choices.pooled("MaxPool", "MaxPool2d", "MaxPool2d"),
        "Norm": choices.length,
        "Prod": reduced("Prod"),
        "Resize": choices.resized,
        "Std": choices.spread(is_root=True),
        "Swapaxes": choices.exchanged,
        "Take": choices.taken,
        "Tile": choices.tiled,
        "TopK": choices.best,
        "Var": choices.spread(is_root=False),
        "Where": choices.chosen,
    }.items()
}
_TF_FUNCTIONS_OF_CHOICE: Mapping[str, Rule] = {
    f"tf.{name}": _rule(writer)
    for name, writer in {
        "cast": choices.cast,
        "compat.v1.gather": choices.taken,
        "compat.v1.norm": choices.length,
        "image.resize": choices.resized,
        "math.argmax": choices.largest,
        "math.cumsum": choices.summed_up,
        "math.floor": unary("Floor"),
        "math.greater": binary("Greater", "", "Greater"),
        "math.greater_equal": binary("GreaterEqual", "", "GreaterEqual"),
        "math.less": binary("Less", "", "Less"),
        "math.less_equal": binary("LessEqual", "", "LessEqual"),
        "math.reduce_prod": reduced("Prod"),
        "math.reduce_std": choices.spread(is_root=True),
        "math.reduce_variance": choices.spread(is_root=False),
        "math.top_k": choices.best,
        "nn.avg_pool2d": choices.pooled("AvgPool", "AvgPool2D", "AvgPool"),
        "nn.depth_to_space": choices.blocks("DepthToSpace"),
        "nn.leaky_relu": choices.leaky,
        "nn.max_pool2d": choices.pooled("MaxPool", "MaxPool2d", "MaxPool2d"),
        "nn.space_to_depth": choices.blocks("SpaceToDepth"),
        "reverse": choices.turned,
        "tile": choices.tiled,
        "where": choices.chosen,
    }.items()
}
_TF_FUNCTIONS: Mapping[str, Rule] = {
    f"tf.{name}": _rule(writer)
    for name, writer in {
        "__operators__.add": binary("AddV2", "", "AddV2", constant=""),
        "__operators__.getitem": part_of,
        "abs": unary("Abs"),
        "clip_by_value": clipped,
        "compat.v1.pad": padded,
        "compat.v1.squeeze": squeezed,
        "compat.v1.transpose": transposed,
        "concat": joined,
        "exp": unary("Exp"),
        "expand_dims": expanded,
        "linalg.matmul": multiplied,
        "math.abs": unary("Abs"),
        "math.add": binary("AddV2", "", "Add"),
        "math.cos": unary("Cos"),
        "math.divide": binary("RealDiv", "", "truediv"),
        "math.exp": unary("Exp"),
        "math.l2_normalize": normalized_by_root,
        "math.log": unary("Log"),
        "math.maximum": binary("Maximum", "", "Maximum"),
        "math.minimum": binary("Minimum", "", "Minimum"),
        "math.multiply": binary("Mul", "", "Mul"),
        "math.negative": unary("Neg"),
        "math.pow": binary("Pow", "", "Pow"),
        "math.reduce_max": reduced("Max"),
        "math.reduce_mean": reduced("Mean"),
        "math.reduce_min": reduced("Min"),
        "math.reduce_sum": reduced("Sum"),
        "math.rsqrt": unary("Rsqrt"),
        "math.sigmoid": unary("Sigmoid"),
        "math.sin": unary("Sin"),
        "math.sqrt": unary("Sqrt"),
        "math.square": unary("Square"),
        "math.subtract": binary("Sub", "", "Sub"),
        "math.tanh": unary("Tanh"),
        "math.truediv": binary("RealDiv", "", "truediv"),
        "matmul": multiplied,
        "nn.elu": elu,
        "nn.gelu": gelu,
        "nn.log_softmax": unary("LogSoftmax"),
        "nn.relu": unary("Relu"),
        "nn.relu6": unary("Relu6"),
        "nn.selu": unary("Selu"),
        "nn.sigmoid": unary("Sigmoid"),
        "nn.silu": silu,
        "nn.softmax": softmax,
        "nn.softplus": unary("Softplus"),
        "nn.softsign": unary("Softsign"),
        "nn.swish": silu,
        "nn.tanh": unary("Tanh"),
        "pad": padded,
        "reshape": reshaped,
        "sigmoid": unary("Sigmoid"),
        "split": split,
        "sqrt": unary("Sqrt"),
        "square": unary("Square"),
        "squeeze": squeezed,
        "stack": stacked,
        "tanh": unary("Tanh"),
        "transpose": transposed,
        "unstack": unstacked,
    }.items()
}
FUNCTIONS: Mapping[str, Rule] = {
    **_OPERATIONS,
    **_OPERATIONS_OF_CHOICE,
    **_TF_FUNCTIONS,
    **_TF_FUNCTIONS_OF_CHOICE,
}
"""The rules of functions, by the names that `function_of` gives."""


def is_operation(layer: LayerConfig) -> bool:
    """Return whether a node of a functional model of Keras 3 is an operation of `keras.ops` and no layer."""
    return ".ops." in f"{layer.module}."


def function_of(layer: LayerConfig) -> str | None:
    """Return the name of the function that a node of a functional model is, None where it is a layer."""
    kind = layer.class_name.rpartition(">")[2]
    if is_operation(layer):
        return kind
    if kind == "SlicingOpLambda":
        return "tf.__operators__.getitem"
    function = layer.settings.get("function")
    return f"tf.{function}" if kind == "TFOpLambda" and isinstance(function, str) else None
