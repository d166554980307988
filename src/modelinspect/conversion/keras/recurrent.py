"""What the converter makes of recurrent layers, where the batch is known: it refuses loops of others.

An LSTM of Keras 2 with its usual activations becomes one operator (prepare_composite_functions_tf.cc,
lstm_utils.cc); all others are loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from modelinspect.conversion.keras.call import (
    Call,
    Parameter,
    Rule,
    Scopes,
    Shape,
    UnknownLayerError,
    items,
    known,
    vector,
)
from modelinspect.conversion.keras.loops import Steps, loop
from modelinspect.conversion.keras.masks import taken_mask
from modelinspect.conversion.keras.nodes.activations import activate
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.network import Constant, Kernel, Value, floats, integers, kernel
from modelinspect.conversion.operators import (
    ADD,
    BOOL,
    CONCATENATION,
    FULLY_CONNECTED,
    MUL,
    RESHAPE,
    REVERSE,
    SEQUENCE_LSTM,
    SPLIT,
    STRIDED_SLICE,
    SUB,
)
from modelinspect.core.records import dataclass, replace
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.measure.kept import Layout

_MOST_OUTPUTS = 1 << 23
"""Elements of what a loop writes into, which are zeros that the file stores."""
_GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
_PLAIN = {
    "go_backwards": False,
    "recurrent_dropout": 0.0,
    "return_state": False,
    "stateful": False,
    "time_major": False,
    "unroll": False,
    "use_bias": True,
}
"""Settings that a layer may not have otherwise."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One recurrent layer: its kernels, which read the input and the state, its bias, and how many units it
    has.
    """

    kernel: Parameter
    recurrent: Parameter
    bias: np.ndarray
    units: int

    def matrix(self, weight: Parameter, location: tuple[str, ...]) -> Value:
        """Return one of its kernels whole."""
        rows, columns = weight.shape
        return kernel(weight.tensor, Layout(rows, columns, 1, 0), (columns, rows), location)


def _recurrent(call: Call) -> Value:
    return _run(call, call.kind, whole=_is_whole(call))


def _is_whole(call: Call) -> bool:
    return call.flag("return_sequences", default=False)


def _run(
    call: Call, kind: str, *, whole: bool, is_backwards: bool = False, is_one_of_two: bool = False
) -> Value:
    """Run a layer over what it is given. Raises `UnknownLayerError`."""
    layer = _layer(call, kind)
    mask = taken_mask(call)
    is_plain = call.keras == 2 and _activations(call) == ("tanh", "sigmoid")
    if is_plain and kind == "LSTM" and mask is None:
        return _fused(call, layer, whole=whole, is_backwards=is_backwards)
    steps = _steps(call, kind, whole=whole, is_backwards=is_backwards)
    is_zeroed = call.flag("zero_output_for_mask", default=False) or (is_one_of_two and whole)
    batch = call.given.shape[0]
    count = 2 if kind == "LSTM" else 1
    states = [
        call.floats(np.zeros((batch, layer.units), np.float32), name) for name in ("zeros", "zeros_1")[:count]
    ]
    outer = replace(call, scope="", scopes=Scopes()) if steps.inlined else call
    taken = [call.floats(layer.bias, "Read_2/ReadVariableOp")] if steps.inlined and kind == "LSTM" else []
    return loop(
        outer,
        replace(steps, is_zeroed=is_zeroed),
        call.given,
        states,
        partial(_CELLS[kind], layer),
        mask,
        taken,
    )


def _layer(call: Call, kind: str) -> _Layer:
    given = known(call.given.shape)
    if len(given) != 3 or any(value.kind != BOOL for value in call.inputs[1:]):
        raise UnknownLayerError("not of one sequence")
    if given[0] <= 0:
        raise UnknownLayerError("the converter refuses it unless the batch is fixed")
    for name, usual in _PLAIN.items():
        if call.settings.get(name, usual) not in (usual, None):
            raise UnknownLayerError(f"with {name}")
    weight, recurrent, bias = call.need("kernel"), call.need("recurrent_kernel"), call.need("bias")
    if call.keras == 3 and call.real("dropout", 0.0) > 0:
        raise UnknownLayerError("with dropout, whose seed Keras 3 keeps in the graph")
    units, gates = recurrent.shape[0], _GATES[kind]
    if given[0] * given[1] * units > _MOST_OUTPUTS:
        raise UnknownLayerError("more outputs than any layer has")
    if weight.shape != (given[2], gates * units) or recurrent.shape != (units, gates * units):
        raise UnknownLayerError("kernels of another shape")
    values = vector(bias.values).reshape(-1)
    if values.size != gates * units * (2 if kind == "GRU" else 1):
        raise UnknownLayerError(
            "which resets before its product" if kind == "GRU" else "a bias of another length"
        )
    return _Layer(weight, recurrent, values, units)


def _activations(call: Call) -> tuple[object, object]:
    return call.settings.get("activation", "tanh"), call.settings.get("recurrent_activation", "sigmoid")


def _steps(call: Call, kind: str, *, whole: bool, is_backwards: bool) -> Steps:
    if call.keras == 3:
        return Steps("Max", "strided_slice_2", ("add", "add_1"), whole, is_backwards)
    if kind == "GRU" and _activations(call) == ("tanh", "sigmoid"):
        return Steps(
            "strided_slice", "strided_slice_2", ("add_4", "add_5"), whole, is_backwards, inlined=True
        )
    if kind == "LSTM" and _activations(call) == ("tanh", "sigmoid"):
        return Steps(
            "strided_slice", "strided_slice_2", ("add_2", "add_3"), whole, is_backwards, inlined=True
        )
    if kind == "GRU":
        raise UnknownLayerError("with other activations")
    return Steps("strided_slice_1", "strided_slice_3", ("add", "add_1"), whole, is_backwards)


def _fused(call: Call, layer: _Layer, *, whole: bool, is_backwards: bool) -> Value:
    """Fuse an LSTM: gates of input, forgetting, cell and output have their own kernels."""
    batch, length, _ = call.given.shape
    units, given = layer.units, call.given
    if is_backwards:
        given = _plain(call, REVERSE, [given, integers([1], ())], given.shape, "reverse_v2")
    kernels = [_part(weight, gate, units) for weight in (layer.kernel, layer.recurrent) for gate in range(4)]
    biases = [floats(layer.bias[gate * units : (gate + 1) * units], ()) for gate in range(4)]
    states = [Value((batch, units), (), is_variable=True) for _ in range(2)]
    inputs: list[Value | None] = [
        given,
        *kernels,
        None,
        None,
        None,
        *biases,
        None,
        None,
        *states,
        None,
        None,
        None,
        None,
    ]
    settings = {"fused_activation_function": 4, "cell_clip": 10.0}
    output = _plain(
        call, SEQUENCE_LSTM, inputs, (batch, length, units), "unidirectional_sequence_lstm", settings
    )
    if whole:
        return output
    parts = [integers(part, ()) for part in ([0, -1, 0], [0, 0, 0], [1, 1, 1])]
    masks = {"begin_mask": 5, "end_mask": 5, "shrink_axis_mask": 2}
    return _plain(call, STRIDED_SLICE, [output, *parts], (batch, units), "strided_slice", masks)


def _part(weight: Parameter, gate: int, units: int) -> Value:
    """Return the kernel of one gate."""
    rows, columns = weight.shape
    source = Kernel(weight.tensor, Layout(rows, columns, 1, 0), columns=(gate * units, (gate + 1) * units))
    return Value(
        (units, rows), (), constant=Constant(4 * units * rows, None, source, key=(id(weight.tensor), gate))
    )


def _plain(
    call: Call,
    code: int,
    inputs: Sequence[Value | None],
    shape: Shape,
    name: str,
    settings: Mapping[str, int | float] | None = None,
) -> Value:
    """Add an operator that the converter made itself, whose location is not known."""
    output = call.op(code, inputs, shape, "", settings or {})
    output.location = (f"tfl.{name}",)
    return output


def _simple(layer: _Layer, call: Call, step: Value, states: Sequence[Value]) -> Sequence[Value]:
    """One step of a layer that has no gates."""
    inner = _cell(call, "simple_rnn_cell")
    product = _product(inner, layer, step, layer.kernel, "MatMul", bias=layer.bias)
    again = _product(inner, layer, states[0], layer.recurrent, "MatMul_1")
    total = inner.op(ADD, [product, again], again.shape, "add")
    return [_activated(inner, _activations(call)[0], total)]


def _lstm(layer: _Layer, call: Call, step: Value, states: Sequence[Value]) -> Sequence[Value]:
    taken = call.network.captures[1:]  # the bias, where the loop was its own function
    inner = call if taken else _cell(call, "lstm_cell")
    hidden, old = states
    batch, units = hidden.shape
    wide = (batch, 4 * units)
    product, again = (
        _product(inner, layer, step, layer.kernel, "MatMul"),
        _product(inner, layer, hidden, layer.recurrent, "MatMul_1"),
    )
    if call.keras == 3 and batch == 1:  # Keras 3 takes the row for a bias
        row = inner.op(RESHAPE, [again, inner.integers([4 * units], "Squeeze")], (4 * units,), "Squeeze")
        total, last = inner.op(ADD, [product, row], wide, "BiasAdd"), "BiasAdd_1"
    else:
        total, last = inner.op(ADD, [product, again], wide, "add" if call.keras == 2 else "Add"), "BiasAdd"
    bias = taken[0] if taken else inner.floats(layer.bias, f"{last}/ReadVariableOp")
    total = inner.op(ADD, [total, bias], wide, last)
    parts = _split(inner, total, 4, "split")
    act, gate = (partial(_activated, inner, setting) for setting in _activations(call))
    opened, kept, out = gate(parts[0]), gate(parts[1]), gate(parts[3])
    remembered = inner.op(MUL, [kept, old], old.shape, "mul")
    learned = inner.op(MUL, [opened, act(parts[2])], old.shape, "mul_1")
    cell = inner.op(
        ADD, [remembered, learned], old.shape, "add" if call.keras == 3 and batch == 1 else "add_1"
    )
    return [inner.op(MUL, [out, act(cell)], old.shape, "mul_2"), cell]


def _gru(layer: _Layer, call: Call, step: Value, states: Sequence[Value]) -> Sequence[Value]:
    """One step of a GRU that resets after its product."""
    keras2 = call.keras == 2
    inner = call if keras2 else _cell(call, "gru_cell")
    hidden, units = states[0], layer.units
    biases = layer.bias.reshape(2, -1)
    again = _product(
        inner,
        layer,
        hidden,
        layer.recurrent,
        "MatMul_1",
        bias=biases[1],
        total="BiasAdd_1" if keras2 else "add",
    )
    product = _product(inner, layer, step, layer.kernel, "MatMul", bias=biases[0])
    second = _split(inner, again, 3, "split_1") if keras2 else _cut(inner, again, units)
    first = _split(inner, product, 3, "split" if keras2 else "split_1")
    act, gate = (partial(_activated, inner, setting) for setting in _activations(call))
    names = ("add", "add_1", "add_2", "add_3") if keras2 else ("add_1", "add_2", "add_3", "add_4")
    update = gate(inner.op(ADD, [first[0], second[0]], hidden.shape, names[0]))
    reset = gate(inner.op(ADD, [first[1], second[1]], hidden.shape, names[1]))
    held = inner.op(MUL, [reset, second[2]], hidden.shape, "mul")
    new = act(inner.op(ADD, [first[2], held], hidden.shape, names[2]))
    old = inner.op(MUL, [update, hidden], hidden.shape, "mul_1")
    rest = inner.op(SUB, [inner.floats(1.0, "sub/x"), update], hidden.shape, "sub")
    return [inner.op(ADD, [old, inner.op(MUL, [rest, new], hidden.shape, "mul_2")], hidden.shape, names[3])]


def _cell(call: Call, name: str) -> Call:
    """Return a call within the cell's scope; Keras 3 opens it twice."""
    return replace(
        call, scope=f"{call.scope}/{name}" if call.keras == 2 else f"{call.scope}/{name}_1", scopes=Scopes()
    )


def _product(
    call: Call,
    layer: _Layer,
    given: Value,
    weight: Parameter,
    name: str,
    *,
    bias: np.ndarray | None = None,
    total: str = "BiasAdd",
) -> Value:
    shape = (given.shape[0], weight.shape[1])
    inputs = [given, layer.matrix(weight, call.at(name)), None]
    output = call.op(FULLY_CONNECTED, inputs, shape, name, {"fused_activation_function": 0})
    return (
        output
        if bias is None
        else call.op(ADD, [output, call.floats(bias, f"{total}/ReadVariableOp")], shape, total)
    )


def _activated(call: Call, setting: object, value: Value) -> Value:
    t = Trace(call, call.lowering)
    return t.finished(activate(t, value, setting))


def _split(call: Call, value: Value, count: int, name: str) -> list[Value]:
    axis = 1 if call.keras == 2 or count == 4 else -1
    call.op(SPLIT, [call.integers(axis, f"{name}/split_dim"), value], (), name, {"num_splits": count})
    shape = (value.shape[0], value.shape[1] // count)
    call.network.ops[-1].outputs = [Value(shape, call.at(name)) for _ in range(count)]
    return call.network.ops[-1].outputs


def _cut(call: Call, value: Value, units: int) -> list[Value]:
    """Take the three parts by slices."""
    found = []
    for place, (begin, end) in enumerate(((3, 1), (1, 1), (1, 3))):
        bounds = (0, place * units), (0, (place + 1) * units if place < 2 else 0)
        parts = [integers(part, ()) for part in (*bounds, (1, 1))]
        name = f"strided_slice_{place}" if place else "strided_slice"
        found.append(
            call.op(
                STRIDED_SLICE,
                [value, *parts],
                (value.shape[0], units),
                name,
                {"begin_mask": begin, "end_mask": end},
            )
        )
    return found


_CELLS = {"SimpleRNN": _simple, "LSTM": _lstm, "GRU": _gru}


def _bidirectional(call: Call) -> Value:
    """Run a layer from both ends, and join what it makes."""
    if not call.layer.children:
        raise UnknownLayerError("of nothing")
    inner = call.layer.children[0]
    kind, mode = inner.class_name.rpartition(">")[2], call.text("merge_mode", "concat")
    if kind not in _CELLS or mode not in ("concat", "sum", "mul"):
        raise UnknownLayerError("of another kind")
    whole = inner.settings.get("return_sequences") is True
    before, after = (_directed(call, inner, kind, way) for way in ("backward", "forward"))
    last = _run(before, kind, whole=whole, is_backwards=True, is_one_of_two=True)
    if whole:
        last = call.op(REVERSE, [last, call.integers([1], "ReverseV2/axis")], last.shape, "ReverseV2")
    first = _run(after, kind, whole=whole, is_one_of_two=True)
    if mode != "concat":
        return call.op(
            ADD if mode == "sum" else MUL, [first, last], first.shape, "add" if mode == "sum" else "mul"
        )
    axis = len(first.shape) - 1 if call.keras == 2 else -1
    call.network.lasting.append(call.integers(axis, "concat/axis"))
    return call.op(
        CONCATENATION, [first, last], (*first.shape[:-1], 2 * first.shape[-1]), "concat", {"axis": axis}
    )


def _directed(call: Call, inner: LayerConfig, kind: str, way: str) -> Call:
    scope = f"{call.scope}/{way}_{inner.name.removeprefix('forward_')}" + ("" if call.keras == 2 else "_1")
    many = [each for each in call.parameters if f"/{way}_" in each.tensor.path]
    return replace(call, layer=inner, kind=kind, parameters=many, scope=scope, scopes=Scopes())


RECURRENT: dict[str, Rule] = {
    "Bidirectional": _bidirectional,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "SimpleRNN": _recurrent,
}
"""The rules of layers that run over the steps of a sequence."""


def needs_batch(model: LayerConfig) -> bool:
    """Return whether a model has loops and an input whose batch is not fixed, which the converter refuses."""
    given = [
        items(layer.settings.get(key))
        for layer in model.walk()
        for key in ("batch_input_shape", "batch_shape")
    ]
    if not any(shape and shape[0] is None for shape in given):
        return False
    return any(
        layer.class_name.rpartition(">")[2] in _CELLS and not layer.settings.get("unroll")
        for layer in model.walk()
    )
