"""Build loops over the steps of a sequence, as the converter writes those of Keras: an operator that runs two
networks.

Sources: tensorflow/compiler/mlir/lite: transforms/while_loop_outline.cc (names, captured constants),
transforms/lower_static_tensor_list.cc (lists of tensors become tensors, and setting an item a concatenation
of slices).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from modelinspect.conversion.graph.lowering import Lowering
from modelinspect.conversion.keras.call import Call, Scopes, Shape
from modelinspect.conversion.network import LATE, Network, Value, integers
from modelinspect.conversion.operators import (
    ADD,
    BOOL,
    CONCATENATION,
    GATHER,
    INT32,
    LESS,
    LOGICAL_AND,
    RESHAPE,
    REVERSE,
    SLICE,
    STRIDED_SLICE,
    TRANSPOSE,
    WHILE,
)
from modelinspect.core.records import dataclass, replace

NOTHING = ("",)
Cell = Callable[[Call, Value, Sequence[Value]], Sequence[Value]]
"""What one step makes: given the step's input and the states, the new states; the first of them is the
output.
"""


@dataclass(frozen=True, slots=True)
class Steps:
    """How a loop runs: the names of its parts in each version of Keras, what it gives out, and whether from
    the last step on.

    ``inlined`` means that it was its own function, which is why the names of its parts have no scope.
    """

    length: str
    last: str
    times: tuple[str, str]
    whole: bool
    is_backwards: bool = False
    inlined: bool = False


def loop(call: Call, steps: Steps, sequence: Value, states: Sequence[Value], cell: Cell) -> Value:
    """Run a cell over a sequence; return its last output, or all of them.

    ``call`` has the scope of the loop.
    """
    batch, length, width = sequence.shape
    units = states[0].shape[-1]
    known = len(call.network.ops)
    given = _by_step(call, steps, sequence, (length, batch, width))
    if steps.is_backwards:
        given = call.op(REVERSE, [given, call.integers([0], "ReverseV2/axis")], given.shape, "ReverseV2")
    count = length if steps.whole else 1
    made = call.floats(np.zeros((count, batch, units), np.float32), "TensorArrayV2_1")
    if not steps.inlined:
        made.origin = LATE
    counter, time = call.integers(0, "while/loop_counter"), call.integers(0, "time")
    told = call.integers(length, steps.length)
    _haunt(call, steps, length)
    carried = [counter, time, made, *states, given]
    outputs = _while(call, steps, carried, told, cell)
    output = _taken(call, steps, outputs[2], (batch, length, units))
    if steps.inlined:
        _mark(call, known)
    return output


def _taken(call: Call, steps: Steps, made: Value, whole: Shape) -> Value:
    """Take the last output, or all of them."""
    if steps.whole:
        other = call.integers([1, 0, 2], "transpose_1/perm")
        return call.op(TRANSPOSE, [made, other], whole, "transpose_1")
    name, (batch, _, units) = steps.last, whole
    parts = [call.integers(part, name) for part in ([-1, 0, 0], [0, batch, units], [1, 1, 1])]
    masks = {"begin_mask": 6, "end_mask": 6, "shrink_axis_mask": 1}
    return call.op(STRIDED_SLICE, [made, *parts], (batch, units), name, masks)


def _by_step(call: Call, steps: Steps, sequence: Value, shape: Shape) -> Value:
    """Exchange samples and steps, once where two loops take the same."""
    for op in call.network.ops:
        if (
            op.code == TRANSPOSE
            and op.inputs[0] is sequence
            and op.output.shape == shape
            and op.inputs[1] is not None
        ):
            op.inputs[1].location = NOTHING
            return op.output
    perm = call.integers([1, 0, 2], "transpose/perm")
    if steps.inlined:
        perm.location = NOTHING
    return call.op(TRANSPOSE, [sequence, perm], shape, "transpose")


def _mark(call: Call, known: int) -> None:
    """Tell the constants of a function that became part of the network from those of another one, which are
    called the same.
    """
    for value in (value for op in call.network.ops[known:] for value in (*op.inputs, *op.outputs)):
        if value is not None and not value.origin:
            value.origin = known + 1


def _haunt(call: Call, steps: Steps, length: int) -> None:
    """Note the constants of what is computed away: of the last output, of the number of outputs, of the
    longest length.
    """
    if call.keras == 2 or not steps.whole:
        call.network.ghosts += [integers([number], ()) for number in (-1, 0, 1)]
    if call.keras == 3 or not steps.whole:
        call.network.ghosts.append(integers(1, ()))
    if call.keras == 3 and steps.whole:
        call.network.ghosts.append(integers(length, ()))


def _while(call: Call, steps: Steps, carried: Sequence[Value], told: Value, cell: Cell) -> list[Value]:
    scope = call.at("while")[0]
    condition, body = Network(name=f"{scope}_cond"), Network(name=f"{scope}_body")
    for network in (condition, body):
        network.inputs = [("", Value(value.shape, (), value.kind)) for value in carried]
        network.captures = [replace(told)]
    first, second = (
        replace(
            call, network=each, lowering=Lowering(each, call.lowering.reading), scopes=Scopes(), scope=scope
        )
        for each in (condition, body)
    )
    _condition(first)
    _body(second, steps, cell)
    outputs = [Value(value.shape, call.at("while"), value.kind) for value in carried]
    call.op(WHILE, [*carried, told], (), "while", {})
    op = call.network.ops[-1]
    op.outputs, op.networks, op.captured = outputs, (condition, body), 1
    return outputs


def _condition(call: Call) -> None:
    inputs = [value for _, value in call.network.inputs]
    length = call.network.captures[0]
    going = call.op(LESS, [inputs[1], length], (), "Less", {}, BOOL)
    if call.keras == 3:
        other = call.op(LESS, [inputs[0], length], (), "Less_1", {}, BOOL)
        going = call.op(LOGICAL_AND, [other, going], (), "LogicalAnd", {}, BOOL)
    call.network.outputs = [("", going)]


def _body(call: Call, steps: Steps, cell: Cell) -> None:
    counter, time, made, *states, sequence = (value for _, value in call.network.inputs)
    first, second = steps.times
    later = call.op(ADD, [time, call.integers(1, "add/y")], (), first, {}, INT32)
    more = call.op(ADD, [counter, call.integers(1, "add_1/y")], (), second, {}, INT32)
    _, batch, width = sequence.shape
    step = call.op(GATHER, [sequence, time], (batch, width), "TensorArrayV2Read/TensorListGetItem", {})
    new = list(cell(call, step, states))
    item = _set_item(call, made, time, later, new[0])
    call.network.outputs = [("", value) for value in (more, later, item, *new, sequence)]


def _set_item(call: Call, made: Value, time: Value, later: Value, output: Value) -> Value:
    """Put an output into its place among the others."""
    where = call.at("TensorArrayV2Write/TensorListSetItem")
    one = (1, *output.shape)

    def add(code: int, inputs: list[Value | None], shape: Shape, kind: int = 0) -> Value:
        value = call.op(code, inputs, shape, "set", {"axis": 0} if code == CONCATENATION else {}, kind)
        value.location = where
        return value

    if made.shape[0] == 1:
        return add(RESHAPE, [output, integers(one, where)], one)
    axis = integers([1], ())
    begin = add(
        CONCATENATION, [add(RESHAPE, [time, axis], (1,), INT32), integers([-1, -1], where)], (3,), INT32
    )
    before = add(SLICE, [made, integers([0, 0, 0], where), begin], (-1, -1, -1))
    end = add(CONCATENATION, [add(RESHAPE, [later, axis], (1,), INT32), integers([0, 0], where)], (3,), INT32)
    behind = add(SLICE, [made, end, integers([-1, -1, -1], where)], (-1, *output.shape))
    item = add(RESHAPE, [output, integers(one, where)], one)
    return add(CONCATENATION, [before, item, behind], made.shape)
