"""What the converter makes of each activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelinspect.conversion.keras.call import Call, UnknownLayerError
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import (
    ABS,
    ADD,
    BOOL,
    CAST,
    DIV,
    ELU,
    EXP,
    GELU,
    GREATER,
    HARD_SWISH,
    LEAKY_RELU,
    LOG,
    LOG_SOFTMAX,
    LOGISTIC,
    MAXIMUM,
    MINIMUM,
    MUL,
    RELU,
    RELU6,
    SELECT_V2,
    SOFTMAX,
    SUB,
    TANH,
)

Activation = Callable[[Call, Value], Value]
_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772


def activate(call: Call, value: Value, setting: object) -> Value:
    """Apply the activation that a setting names. Raises `UnknownLayerError`."""
    if isinstance(setting, Mapping):  # its own activation with settings
        setting = setting.get("class_name") if not setting.get("config") else setting.get("config")
    if setting in (None, "linear"):
        return value
    rule = _ACTIVATIONS.get(setting) if isinstance(setting, str) else None
    if rule is None:
        raise UnknownLayerError(
            f"activation {setting!r}" if isinstance(setting, str) else "a custom activation"
        )
    return rule(call, value)


def _single(code: int, name: str) -> Activation:
    return lambda call, value: call.op(code, [value], value.shape, name)


def _softmax(call: Call, value: Value) -> Value:
    return call.op(SOFTMAX, [value], value.shape, "Softmax", {"beta": 1.0})


def _selu(call: Call, value: Value) -> Value:
    """Put a SELU together: six operators of one location."""
    one, scale, factor, zero = (call.floats(number, "Selu") for number in (1.0, _SCALE * _ALPHA, _SCALE, 0.0))
    made = []

    def add(code: int, inputs: list[Value | None], kind: int = 0) -> Value:
        made.append(call.op(code, inputs, value.shape, "Selu", kind=kind))
        made[-1].location = call.at("Selu")
        return made[-1]

    positive = add(GREATER, [value, zero], BOOL)
    scaled = add(MUL, [value, factor])
    below = add(MUL, [add(SUB, [add(EXP, [value]), one]), scale])
    return add(SELECT_V2, [positive, scaled, below])


def _swish(call: Call, value: Value) -> Value:
    gate = call.op(LOGISTIC, [value], value.shape, "Sigmoid")
    return call.op(MUL, [value, gate], value.shape, "mul_1")


def leaky(call: Call, value: Value, alpha: float) -> Value:
    """Apply a ReLU that lets some of what is negative through."""
    return call.op(LEAKY_RELU, [value], value.shape, "LeakyRelu", {"alpha": alpha})


def relu(call: Call, value: Value) -> Value:
    """Apply a ReLU layer: limited to 6, leaky, or plain. Raises `UnknownLayerError`."""
    limit, slope, threshold = (
        call.settings.get("max_value"),
        call.real("negative_slope", 0.0),
        call.real("threshold", 0.0),
    )
    if threshold or (limit is not None and limit not in (6, 6.0)):
        if slope or not isinstance(limit, int | float | None):
            raise UnknownLayerError("unsupported ReLU limits")
        return limited(call, value, limit, threshold)
    if slope:
        if limit is not None:
            raise UnknownLayerError("unsupported ReLU limits")
        return leaky(call, value, slope)
    return call.op(
        RELU6 if limit is not None else RELU, [value], value.shape, "Relu6" if limit is not None else "Relu"
    )


def _gelu(call: Call, value: Value) -> Value:
    """Apply a GELU, which the converter knows by its parts."""
    output = call.op(GELU, [value], value.shape, "Gelu/mul_2")
    output.location = call.at(
        *(f"Gelu/{part}" for part in ("mul_2", "mul/x", "mul", "Neg", "Cast/x", "mul_1", "Erfc"))
    )
    return output


def _softplus(call: Call, value: Value) -> Value:
    one = call.floats(1.0, "Softplus")
    made = call.op(EXP, [value], value.shape, "Softplus")
    for code, inputs in ((ADD, [one]), (LOG, [])):
        made.location = call.at("Softplus")
        made = call.op(code, [made, *inputs], value.shape, "Softplus")
    made.location = call.at("Softplus")
    return made


def _softsign(call: Call, value: Value) -> Value:
    one = call.floats(1.0, "Softsign")
    size = call.op(ABS, [value], value.shape, "Softsign")
    more = call.op(ADD, [size, one], value.shape, "Softsign")
    output = call.op(DIV, [value, more], value.shape, "Softsign")
    size.location = more.location = output.location = call.at("Softsign")
    return output


def _hard_sigmoid(call: Call, value: Value) -> Value:
    """Scale, move and clip: the upper bound is a minimum, the lower one a ReLU; Keras 3 clips at 6 before it
    scales.
    """
    if call.keras != 2:
        moved = call.op(ADD, [value, call.floats(3.0, "Const")], value.shape, "add")
        limited = call.op(RELU6, [moved], value.shape, "Relu6")
        names = call.at("truediv", "Const_1")
        share = call.floats(1 / 6)
        share.location = names
        output = call.op(MUL, [limited, share], value.shape, "truediv")
        output.location = names
        return output
    scaled = call.op(MUL, [value, call.floats(0.2, "Const")], value.shape, "Mul")
    moved = call.op(ADD, [scaled, call.floats(0.5, "Const_1")], value.shape, "Add")
    below = call.op(
        MINIMUM, [moved, call.floats(1.0, "clip_by_value/Minimum/y")], value.shape, "clip_by_value/Minimum"
    )
    return call.op(RELU, [below], value.shape, "clip_by_value")


def _hard_swish(call: Call, value: Value) -> Value:
    """Apply a hard swish, which the converter knows by its parts."""
    output = call.op(HARD_SWISH, [value], value.shape, "mul")
    output.location = call.at("mul", "Const", "Relu6", "add", "truediv", "Const_1")
    return output


def _mish(call: Call, value: Value) -> Value:
    gate = call.op(TANH, [_softplus(call, value)], value.shape, "Tanh")
    return call.op(MUL, [value, gate], value.shape, "mul")


def elu(call: Call, value: Value, slope: float) -> Value:
    """Apply an ELU whose negative part is scaled."""
    made = call.op(ELU, [value], value.shape, "Elu")
    scaled = call.op(MUL, [made, call.floats(slope, "mul/x")], value.shape, "mul")
    positive = call.op(GREATER, [value, call.floats(0.0, "Greater/y")], value.shape, "Greater", kind=BOOL)
    return call.op(SELECT_V2, [positive, made, scaled], value.shape, "SelectV2")


def limited(call: Call, value: Value, limit: float | None, threshold: float) -> Value:
    """Apply a ReLU that begins at a threshold, ends at a limit, or both."""
    keras3, count = call.keras != 2, 0
    if threshold:
        least = call.floats(threshold, "Cast/x" if keras3 else "Greater/y")
        above = call.op(GREATER, [value, least], value.shape, "Greater", kind=BOOL)
        if keras3:
            value = call.op(SELECT_V2, [above, value, call.floats(0.0, "Const")], value.shape, "SelectV2")
            count = 1
        else:
            value = call.op(MUL, [value, call.op(CAST, [above], value.shape, "Cast")], value.shape, "mul")
    else:
        value = call.op(RELU, [value], value.shape, "Relu")
    if limit is None:
        return value
    names = (
        (f"Cast_{count + 1}/x", f"Cast_{count}/x" if count else "Cast/x") if keras3 else ("Const", "Const_1")
    )
    below = call.op(MINIMUM, [value, call.floats(limit, names[0])], value.shape, "clip_by_value/Minimum")
    zero = call.floats(0.0, names[1])
    return call.op(MAXIMUM, [below, zero], value.shape, "clip_by_value")


_ACTIVATIONS: dict[str, Activation] = {
    "elu": _single(ELU, "Elu"),
    "gelu": _gelu,
    "exponential": _single(EXP, "Exp"),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_swish,
    "hard_swish": _hard_swish,
    "leaky_relu": lambda call, value: leaky(call, value, 0.2),
    "log_softmax": _single(LOG_SOFTMAX, "LogSoftmax"),
    "mish": _mish,
    "relu": _single(RELU, "Relu"),
    "relu6": _single(RELU6, "Relu6"),
    "selu": _selu,
    "sigmoid": _single(LOGISTIC, "Sigmoid"),
    "silu": _swish,
    "softmax": _softmax,
    "softplus": _softplus,
    "softsign": _softsign,
    "swish": _swish,
    "tanh": _single(TANH, "Tanh"),
}
