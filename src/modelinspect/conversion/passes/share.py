"""Let operators with equal constants have one, as the converter does at first and at last, and loops those of
the network around them.
"""

from __future__ import annotations

from dataclasses import replace

from modelinspect.conversion.network import LATE, Location, Network, Op, Value, fused
from modelinspect.conversion.operators import FLOAT32, INT32, INT64, PAD, TRANSPOSE

NOTHING: Location = ("",)
"""What a constant that several operators share is called within the name of something fused."""


def share_integers(network: Network) -> None:
    """Lose the location of whole numbers that several operators have."""
    ghosts = {key_of(value) for value in network.ghosts}
    for op in network.ops:
        for value in op.inputs:
            if value is not None and value.constant is not None and key_of(value) in ghosts:
                value.location = ()
    lasting: dict[object, Value] = {}
    for value in network.lasting:
        first = lasting.setdefault(key_of(value), value)
        if key_of(value) in ghosts or first.location != value.location:
            first.location = value.location = ()
    for value in [
        value for op in network.ops for value in op.inputs if value is not None and value.constant is not None
    ]:
        other = lasting.get(key_of(value))
        if other is not None and other.location != value.location:
            value.location = other.location = ()
    share(network, location=NOTHING, kinds=(INT32,))
    for op in network.ops:
        for value in op.inputs:
            if value is not None and value.location == NOTHING and op.code not in (PAD, TRANSPOSE):
                value.location = ()


def key_of(value: Value) -> tuple[object, ...]:
    """Return what two constants have in common that are one to the converter."""
    return (value.constant.key if value.constant is not None else None, value.shape, value.kind)


def share(
    network: Network, location: Location = (), kinds: tuple[int, ...] = (FLOAT32, INT32, INT64)
) -> None:
    """Give operators with equal constants one constant, whose location is not known."""
    first: dict[object, Value] = {}
    for op in network.ops:
        for place, value in enumerate(op.inputs):
            if (
                value is None
                or value.constant is None
                or value.constant.key is None
                or value.kind not in kinds
            ):
                continue
            same = first.setdefault(key_of(value), value)
            if same is not value:
                differs = (same.location, same.origin) != (value.location, value.origin)
                if differs and not same.origin == value.origin == LATE and not _is_one_variable(same, value):
                    same.location = location
                op.inputs[place] = same


def _is_one_variable(first: Value, second: Value) -> bool:
    owner = first.constant.owner if first.constant is not None else None
    return owner is not None and second.constant is not None and second.constant.owner == owner


def share_operators(network: Network) -> None:
    """Compute once what several operators compute of the same inputs, as MLIR's common-subexpression pass
    does: the first of them stays.

    What keeps a state, or runs other networks, is left as it is.
    """
    kept: dict[tuple[object, ...], Op] = {}
    instead: dict[int, Value] = {}
    ops: list[Op] = []
    for op in network.ops:
        op.inputs = [value if value is None else instead.get(id(value), value) for value in op.inputs]
        if op.networks or any(value is not None and value.is_variable for value in op.inputs):
            ops.append(op)
            continue
        same = kept.setdefault(_expression(op), op)
        if same is op:
            ops.append(op)
            continue
        instead.update((id(own), other) for own, other in zip(op.outputs, same.outputs, strict=True))
    network.ops = ops
    network.outputs = [(name, instead.get(id(value), value)) for name, value in network.outputs]


def _expression(op: Op) -> tuple[object, ...]:
    """Return what two operators have in common that compute the same."""
    taken = tuple(_identity(value) for value in op.inputs)
    settings = None if op.options is None else tuple(sorted(op.options.values.items()))
    return (
        op.code,
        op.number,
        op.version,
        taken,
        settings,
        tuple((value.shape, value.kind) for value in op.outputs),
    )


def _identity(value: Value | None) -> object:
    if value is None or value.constant is None or value.constant.key is None:
        return id(value)
    return key_of(value)


def capture(network: Network) -> None:
    """Let loops take whole numbers that the network around them has too."""
    held = {key_of(value): value for value in network.lasting}
    for op in network.ops:
        held |= {
            key_of(value): value
            for value in op.inputs
            if value is not None and value.constant is not None and value.kind == INT32
        }
    for loop in [op for op in network.ops if op.networks]:
        for inner in loop.networks:
            for op in inner.ops:
                op.inputs = [
                    value if value is None else _captured(loop, inner, value, held) for value in op.inputs
                ]


def share_factors(network: Network) -> None:
    """Lose the names of the factors of GELUs and of attention where there are several, which have them in
    common.
    """
    for suffixes in (("/Gelu/mul/x", "/Gelu/Cast/x"), ("/Cast/x",)):
        found = {name for op in network.ops for name in op.output.location if name.endswith(suffixes[-1])}
        shared = {name for name in found if suffixes[0].startswith("/Gelu") or "/Gelu/" not in name}
        if len(shared) > 1:
            for op in network.ops:
                op.output.location = fused(
                    tuple("" if _is_of(name, suffixes) else name for name in op.output.location)
                )


def _is_of(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.endswith(suffixes) and ("/Gelu/" in name) == suffixes[0].startswith("/Gelu")


def lend_zeros(network: Network) -> None:
    """Let loops start with the zeros that a variable starts with, where they are as many."""
    held = {
        value.shape: value
        for op in reversed(network.ops)
        for value in op.inputs
        if value is not None and value.is_variable
    }
    for op in network.ops:
        if op.networks:
            op.inputs = [
                value if value is None or not _is_zeros(value) else held.get(value.shape, value)
                for value in op.inputs
            ]


def _is_zeros(value: Value) -> bool:
    return value.constant is not None and not value.kind and value.constant.is_all(0.0)


def _captured(loop: Op, inner: Network, value: Value, held: dict[tuple[object, ...], Value]) -> Value:
    """Return what stands for a constant of the network around a loop, where it has an equal one."""
    outer = held.get(key_of(value)) if value.constant is not None and value.kind == INT32 else None
    if outer is None or any(value is each for each in inner.captures):
        return value
    taken = loop.inputs[len(loop.inputs) - loop.captured :]
    for place, one in enumerate(taken):
        if one is outer:
            return inner.captures[place]
    loop.inputs.append(outer)
    loop.captured += 1
    for each in loop.networks:
        each.captures.append(replace(outer))
    return inner.captures[-1]
