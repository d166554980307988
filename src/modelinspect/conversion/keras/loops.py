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
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.network import LATE, Network, Value, floats, integers
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
    SELECT,
    SELECT_V2,
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
    ``is_zeroed`` means that steps which a mask leaves out give zeros, and not what the step before gave.
    """

    length: str
    last: str
    times: tuple[str, str]
    whole: bool
    is_backwards: bool = False
    inlined: bool = False
    is_zeroed: bool = False


def loop(
    call: Call,
    steps: Steps,
    sequence: Value,
    states: Sequence[Value],
    cell: Cell,
    mask: Value | None = None,
    taken: Sequence[Value] = (),
) -> Value:
    """Run a cell over a sequence; return its last output, or all of them.

    ``call`` has the scope of the loop. ``mask`` tells which steps of which samples count: the others change
    neither the output nor the states. ``taken`` are constants of the network around the loop, which the cell
    finds in the order that they have here, after the number of steps.
    """
    batch, length, width = sequence.shape
    units = states[0].shape[-1]
    known = len(call.network.ops)
    given = _by_step(call, steps, sequence, (length, batch, width), "transpose")
    masks: list[Value] = []
    if mask is not None:
        t = Trace(call, call.lowering)
        column = t.finished(t.expand(mask, -1, "ExpandDims"))
        call.network.lasting.append(integers(-1, call.at("ExpandDims/dim")))
        masks = [_by_step(call, steps, column, (length, batch, 1), "transpose_1")]
    if steps.is_backwards:
        given, *masks = (
            call.op(
                REVERSE,
                [each, call.integers([0], f"{name}/axis")],
                each.shape,
                name,
                None,
                each.kind,
            )
            for each, name in zip((given, *masks), ("ReverseV2", "ReverseV2_1"), strict=False)
        )
    count = length if steps.whole else 1
    made = call.floats(np.zeros((count, batch, units), np.float32), "TensorArrayV2_1")
    if not steps.inlined:
        made.origin = LATE
    counter, time = call.integers(0, "while/loop_counter"), call.integers(0, "time")
    told = call.integers(length, steps.length)
    _haunt(call, steps, length)
    if masks and not steps.is_zeroed:
        states = [call.floats(np.zeros((batch, units), np.float32), "zeros_like"), *states]
    carried = [counter, time, made, *states, *masks, given]
    outputs = _while(call, steps, carried, [told, *taken], cell, is_masked=bool(masks))
    output = _taken(call, steps, outputs[2], (batch, length, units), is_masked=bool(masks))
    if steps.inlined:
        _mark(call, known)
    return output


def _taken(call: Call, steps: Steps, made: Value, whole: Shape, *, is_masked: bool) -> Value:
    """Take the last output, or all of them."""
    if steps.whole:
        label = "transpose_2" if is_masked else "transpose_1"
        other = call.integers([1, 0, 2], f"{label}/perm")
        return call.op(TRANSPOSE, [made, other], whole, label)
    name, (batch, _, units) = steps.last, whole
    parts = [call.integers(part, name) for part in ([-1, 0, 0], [0, batch, units], [1, 1, 1])]
    masks = {"begin_mask": 6, "end_mask": 6, "shrink_axis_mask": 1}
    return call.op(STRIDED_SLICE, [made, *parts], (batch, units), name, masks)


def _by_step(call: Call, steps: Steps, sequence: Value, shape: Shape, name: str) -> Value:
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
    perm = call.integers([1, 0, 2], f"{name}/perm")
    if steps.inlined:
        perm.location = NOTHING
    return call.op(TRANSPOSE, [sequence, perm], shape, name, None, sequence.kind)


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
    if call.keras == 2:  # what states start with
        call.network.ghosts.append(floats(np.array(0, np.float32), ()))
    if call.keras == 2 or not steps.whole:
        call.network.ghosts += [integers([number], ()) for number in (-1, 0, 1)]
    if call.keras == 3 or not steps.whole:
        call.network.ghosts.append(integers(1, ()))
    if call.keras == 3 and steps.whole:
        call.network.ghosts.append(integers(length, ()))


def _while(
    call: Call, steps: Steps, carried: Sequence[Value], taken: Sequence[Value], cell: Cell, *, is_masked: bool
) -> list[Value]:
    scope = call.at("while")[0]
    condition, body = Network(name=f"{scope}_cond"), Network(name=f"{scope}_body")
    for network in (condition, body):
        network.inputs = [("", Value(value.shape, (), value.kind)) for value in carried]
        network.captures = [replace(value) for value in taken]
    first, second = (
        replace(
            call, network=each, lowering=Lowering(each, call.lowering.reading), scopes=Scopes(), scope=scope
        )
        for each in (condition, body)
    )
    _condition(first)
    _body(second, steps, cell, is_masked=is_masked)
    outputs = [Value(value.shape, call.at("while"), value.kind) for value in carried]
    call.op(WHILE, [*carried, *taken], (), "while", {})
    op = call.network.ops[-1]
    op.outputs, op.networks, op.captured = outputs, (condition, body), len(taken)
    return outputs


def _condition(call: Call) -> None:
    inputs = [value for _, value in call.network.inputs]
    length = call.network.captures[0]
    going = call.op(LESS, [inputs[1], length], (), "Less", {}, BOOL)
    if call.keras == 3:
        other = call.op(LESS, [inputs[0], length], (), "Less_1", {}, BOOL)
        going = call.op(LOGICAL_AND, [other, going], (), "LogicalAnd", {}, BOOL)
    call.network.outputs = [("", going)]


def _body(call: Call, steps: Steps, cell: Cell, *, is_masked: bool) -> None:
    counter, time, made, *states, sequence = (value for _, value in call.network.inputs)
    masks, before = (states[-1:], states[:-1]) if is_masked else ([], [])
    if is_masked:
        states = before if steps.is_zeroed else before[1:]
    first, second = steps.times
    later = call.op(ADD, [time, call.integers(1, "add/y")], (), first, {}, INT32)
    more = call.op(ADD, [counter, call.integers(1, "add_1/y")], (), second, {}, INT32)
    _, batch, width = sequence.shape
    step = call.op(GATHER, [sequence, time], (batch, width), "TensorArrayV2Read/TensorListGetItem", {})
    name = "TensorArrayV2Read_1/TensorListGetItem"
    marks = [call.op(GATHER, [mask, time], (batch, 1), name, {}, BOOL) for mask in masks]
    new = list(cell(call, step, states))
    output, kept = new[0], new
    if is_masked:  # the output, and each state, is that of the step before where the mask says so
        if steps.is_zeroed:
            output = _chosen(call, marks[0], output, floats(np.array(0, np.float32), ()))
            output.location = (*output.location, "")
        else:
            output = _chosen(call, marks[0], output, before[0])
        chosen = [_chosen(call, marks[0], *pair) for pair in zip(new, states, strict=True)]
        kept = [*([] if steps.is_zeroed else [output]), *chosen]
    item = _set_item(call, made, time, later, output)
    call.network.outputs = [("", value) for value in (more, later, item, *kept, *masks, sequence)]


def _chosen(call: Call, mark: Value, value: Value, other: Value) -> Value:
    code = SELECT if mark.shape == value.shape else SELECT_V2
    return call.op(code, [mark, value, other], value.shape, "SelectV2")


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
