"""The order in which the converter has the constants of a network.

MLIR's greedy rewriter (GreedyPatternRewriteDriver.cpp, FoldUtils.cpp) leaves the constants that a function
begins with where they are. Whenever a pass begins, and with every turn of it, it moves each later one to the
front. What a rule makes is beside its operator until then. So what is made last is first, and of what one
turn makes the last operator's is first; only what is made beside the first operator stays after the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

from modelinspect.conversion.network import Network, Op, Value
from modelinspect.conversion.operators import (
    CONV,
    DEPTHWISE,
    FLOAT32,
    FULLY_CONNECTED,
    PRELU,
    SEQUENCE_LSTM,
    TRANSPOSE_CONV,
)
from modelinspect.conversion.passes.imported import Origin, in_imported_order, origin_of
from modelinspect.conversion.passes.share import key_of


class Stage(IntEnum):
    """When a constant is made, before operators are fused.

    Up to ``FOLDED`` they are in the graph, or are computed of what is in it. Then `PrepareTFPass` makes what
    normalizations and fused LSTMs become, the kernels of products, and those of convolutions;
    `LegalizeTFPass` makes what operators of TensorFlow Lite take, and `OptimizePass` what patterns of several
    operators become.
    """

    WRITTEN, COMPUTED, READ, FOLDED, NORMALIZED, PRODUCTS, CONVOLUTIONS, LEGALIZED, OPTIMIZED = range(9)


_GRAPH = {
    Origin.WRITTEN: Stage.WRITTEN,
    Origin.COMPUTED: Stage.COMPUTED,
    Origin.READ: Stage.READ,
    Origin.FOLDED: Stage.FOLDED,
}
_PREPARED = (Stage.FOLDED, Stage.NORMALIZED, Stage.PRODUCTS, Stage.CONVOLUTIONS, Stage.LEGALIZED)
_CONVOLUTIONS = (CONV, DEPTHWISE, TRANSPOSE_CONV)
_NORMALIZATION = "/FusedBatchNormV3"


def begin(network: Network) -> None:
    """Put the constants of the graph in the order that they have after it was read: first it has those that
    are written in it, then variables are read, then numbers are computed.
    """
    things = in_imported_order(network)
    stages = _stages(network)
    origins = {id(each): _GRAPH[origin_of(each)] for each in things if isinstance(each, Value)}
    order: list[Value] = []
    seen: set[object] = set()
    for stage in _GRAPH.values():
        leads = True
        front: list[Value] = []
        for each in things:
            if isinstance(each, Op) or origins[id(each)] > stage:
                leads = False
                continue
            is_there = origins[id(each)] == stage and stages.get(id(each), stage) <= Stage.FOLDED
            if is_there and _key(each) not in seen:
                seen.add(_key(each))
                (order if leads else front).append(each)
        order = [*reversed(front), *order]
    network.beginning = order


def prepare(network: Network) -> None:
    """Move constants that are made before operators are fused, stage after stage."""
    _forget_turns(network)
    stages = _stages(network)
    for stage in _PREPARED:
        gather(network, {one for one, when in stages.items() if when <= stage}, are_equal_one=True)


def settle(network: Network, *, is_last: bool = False) -> None:
    """Move the constants that one pass made, turn after turn; those of patterns are made in the last one."""
    stages = _stages(network)
    known = None if is_last else {one for one, when in stages.items() if when < Stage.OPTIMIZED}
    held = [value for _, value in _constants(network)]
    for value in held:
        if is_last and stages[id(value)] is Stage.OPTIMIZED:
            value.made = (1, 0)
    for turn in sorted({value.made[0] for value in held}):
        gather(network, known, turn=turn)
    _forget_turns(network)


def gather(
    network: Network,
    known: set[int] | None = None,
    *,
    turn: int | None = None,
    are_equal_one: bool = False,
) -> None:
    """Move constants to the beginning as one turn of the rewriter does; ``known`` are those that are there
    already, all if it is None, and ``turn`` is the last of which it moves them.

    Where equal ones are one by now, it is where the first of them was.
    """
    used = {id(value): value for _, value in _constants(network)}
    equal = {_key(value): value for value in reversed(used.values())} if are_equal_one else {}
    kept: dict[int, Value] = {}
    for value in reversed(network.beginning):  # of equal ones the one made first
        same = used.get(id(value)) or equal.get(_key(value))
        if same is not None:
            kept.setdefault(id(same), same)
    order = [*reversed(kept.values())]
    seen = set(kept)
    front: list[Value] = []
    first = network.ops[0] if network.ops else None
    for op in network.ops:
        for value in sorted(_held(op), key=lambda each: (each.made, _is_kernel(op, each))):
            is_there = (known is None or id(value) in known) and (turn is None or value.made[0] <= turn)
            if is_there and id(value) not in seen:
                seen.add(id(value))
                (order if op is first else front).append(value)
    network.beginning = [*reversed(front), *order]


def in_order(network: Network) -> list[Value]:
    """Return the constants of a network in the converter's order."""
    gather(network)
    return network.beginning


def _stages(network: Network) -> Mapping[int, Stage]:
    """Return when each constant is made, the last of what its operators say."""
    found: dict[int, Stage] = {}
    for op, value in _constants(network):
        found[id(value)] = max(found.get(id(value), Stage.WRITTEN), _stage(op, value))
    for _, value in _constants(network):
        if found[id(value)] in (*_GRAPH.values(), Stage.LEGALIZED):
            value.stage = found[id(value)]  # its location, which tells it, may be lost
    return found


def _stage(op: Op, value: Value) -> Stage:
    place = next(number for number, each in enumerate(op.inputs) if each is value)
    name = value.location[-1] if value.location else ""
    if op.code == FULLY_CONNECTED and place == 1:
        return Stage.PRODUCTS
    if op.code in _CONVOLUTIONS and place in (1, 2):
        return Stage.CONVOLUTIONS
    if op.code == PRELU:
        return Stage.OPTIMIZED
    if name.endswith(_NORMALIZATION) or (op.code == SEQUENCE_LSTM and value.kind == FLOAT32):
        return Stage.NORMALIZED
    if value.stage >= 0:
        return Stage(value.stage)
    origin = origin_of(value)
    if name and value.location == op.output.location and origin is not Origin.READ:
        return Stage.LEGALIZED
    return _GRAPH[origin]


def _key(value: Value) -> object:
    """Return what equal constants have in common."""
    return id(value) if value.constant is None or value.constant.key is None else key_of(value)


def _is_kernel(op: Op, value: Value) -> bool:
    """Return whether it is a convolution's kernel, which is made after its bias."""
    return op.code != SEQUENCE_LSTM and value.constant is not None and value.constant.kernel is not None


def _held(op: Op) -> list[Value]:
    return [value for value in op.inputs if value is not None and value.constant is not None]


def _constants(network: Network) -> Iterator[tuple[Op, Value]]:
    return ((op, value) for op in network.ops for value in _held(op))


def _forget_turns(network: Network) -> None:
    for op in network.ops:
        op.turn, op.is_unsettled = 0, False
    for _, value in _constants(network):
        value.made = (0, 0)
