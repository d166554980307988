"""Layers that use another one: at every step of a sequence, or with a kernel that training normalizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import Call, Rule, UnknownLayerError, known
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.network import Value, integers
from modelinspect.conversion.operators import RESHAPE
from modelinspect.formats.keras.config import LayerConfig

_MOST_STEPS = 1_024


def _inner(call: Call, rules: Mapping[str, Rule]) -> tuple[LayerConfig, str, Rule]:
    inner = call.layer.children[0] if call.layer.children else None
    kind = inner.class_name.rpartition(">")[2] if inner is not None else ""
    if inner is None or kind not in rules:
        raise UnknownLayerError(f"of a layer that is not known, {kind}")
    call.lowering.operations.add("")  # of these networks there were not enough
    return inner, kind, rules[kind]


def distributed(rules: Mapping[str, Rule]) -> Rule:
    """Return the rule of a layer that is used at every step, given those of other layers."""

    def rule(call: Call) -> Value:
        shape = known(call.given.shape)
        if len(shape) < 3:
            raise UnknownLayerError("of another shape")
        return _at_each(call, rules) if call.keras == 3 else _all_at_once(call, rules)

    return rule


def _all_at_once(call: Call, rules: Mapping[str, Rule]) -> Value:
    """Use a layer of Keras 2 on all steps of all samples, as if they were samples."""
    inner, kind, rule = _inner(call, rules)
    shape = call.given.shape
    within = replace(call, layer=inner, kind=kind, scope=f"{call.scope}/{inner.name}")
    target = integers([-1, *shape[2:]], ())
    samples = shape[0] * shape[1] if shape[0] > 0 else -1
    flat = call.op(RESHAPE, [call.given, target], (samples, *shape[2:]), "Reshape")
    call.network.ops[-1].is_reshape = True
    made = known(rule(replace(within, inputs=[flat])).shape), call.network.ops[-1].output
    whole = (shape[0], shape[1], *made[0][1:])
    output = call.op(RESHAPE, [made[1], integers([-1, *whole[1:]], ())], whole, "Reshape_1")
    call.network.ops[-1].is_reshape = True
    return output


def _at_each(call: Call, rules: Mapping[str, Rule]) -> Value:
    """Use a layer of Keras 3 on each step, and join what it makes."""
    inner, kind, rule = _inner(call, rules)
    shape = call.given.shape
    if shape[1] > _MOST_STEPS:
        raise UnknownLayerError("of too many steps")

    def writer(t: Trace) -> Item:
        order = [1, 0, *range(2, len(shape))]
        turned = t.transpose(t.given, order, "transpose")
        made: list[Item] = []
        for step in range(shape[1]):
            name = f"strided_slice_{step + 1}"
            parts = [
                t.constant([number], f"{name}/{part}")
                for number, part in ((step, "stack"), (step + 1, "stack_1"), (1, "stack_2"))
            ]
            one = t.value("StridedSlice", [turned, *parts], name, shrink_axis_mask=1)
            made.append(rule(replace(call, layer=inner, kind=kind, inputs=[one])))
        stacked = t.node("Pack", made, "stack")
        order = [1, 0, *range(2, len(stacked.shape))]
        return t.transpose(stacked, order, "transpose_1")

    return traced(writer)(call)


def normalized(rules: Mapping[str, Rule]) -> Rule:
    """Return the rule of a layer whose kernel training normalizes: at inference it is the layer itself."""

    def rule(call: Call) -> Value:
        inner, kind, inside = _inner(call, rules)
        whole = f"{call.scope}/{inner.name}"
        if call.keras == 3:
            call.scopes.unique(whole)
        scope = call.scopes.unique(whole)
        return inside(replace(call, layer=inner, kind=kind, scope=scope))

    return rule
