"""Take the names of constants that TensorFlow before 2.21 moves to the start of the graph.

MLIR's OperationFolder (mlir/lib/Transforms/Utils/FoldUtils.cpp) moves every constant to the start of its
block, and what is moved loses its location; constants that are there already, one after the other, keep it.
In the importer's order (`modelinspect.conversion.passes.imported`) those are at the start whose names are
smaller than all that the first of the other nodes needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from modelinspect.conversion.network import UNKNOWN, Location, Network
from modelinspect.conversion.operators import FULLY_CONNECTED
from modelinspect.conversion.passes.groups import Group, Placed
from modelinspect.conversion.passes.imported import argument
from modelinspect.conversion.releases import ConstantNames, Release
from modelinspect.core.records import replace

_CONSTANT = re.compile(r"/[xy]$|ReadVariableOp(_\d+)?$")
"""How the nodes end that are constants, within the names of what is fused."""
_SQUEEZED = "/Squeeze"
"""How the node ends that gives a bias of Keras 3 its shape again."""
_FACTORS = ("/batchnorm/mul", "/batchnorm/sub")
"""How the nodes end that make the factors and the summands of a normalization."""
_ADDS = ("biasadd", "add")
_KERNEL = 1
_BIAS = 2


def forget_moved(network: Network, constants: Sequence[Placed], release: Release) -> list[Placed]:
    """Take the names of constants that are moved, also out of what is fused; return the constants in
    order.
    """
    last = _last(network, constants)
    joined = {name for op in network.ops for value in op.outputs for name in value.location}
    made = {name for name in joined if not _CONSTANT.search(name)}
    order = list(constants)
    if release.constants is ConstantNames.READS:
        order = _read_later(order, last, joined)
    for each in order:
        if each.group is Group.LAST or each.value.location == UNKNOWN:
            continue
        is_written = each.group in (Group.SCALARS, Group.OTHERS)
        if not is_written or not _stays(each.value.location, made, last):
            each.value.location = UNKNOWN
    ends = [each.value for each in order if each.group is Group.LAST]
    for value in (*ends, *(value for op in network.ops for value in op.outputs)):
        value.location = tuple(dict.fromkeys(_without_moved(value.location, last)))
    return order


def _without_moved(location: Location, last: str) -> Iterator[str]:
    """Yield the parts of a name; of constants that are moved nothing is left."""
    for name in location:
        source = name
        if name.endswith(_SQUEEZED) and f"{name.removesuffix(_SQUEEZED)}/BiasAdd" in location:
            source = f"{name.removesuffix(_SQUEEZED)}/Reshape/ReadVariableOp"
        elif name.endswith(_FACTORS):
            source = f"{name.rpartition('/')[0]}/ReadVariableOp"
        yield "" if len(location) > 1 and _CONSTANT.search(source) and argument(source) > last else name


def _stays(location: Location, made: set[str], last: str) -> bool:
    """Return whether a constant of the graph is at the start already."""
    return len(location) == 1 and location[0] not in made and argument(location[0]) <= last


def _last(network: Network, constants: Sequence[Placed]) -> str:
    """Return the largest name that constants at the start of the graph may have."""
    inputs = {id(value): name for name, value in network.inputs}
    held = {(id(each.op), each.number): each.value for each in constants}
    found = []
    for op in network.ops:
        computed = [value for value in op.inputs if value is not None and value.constant is None]
        if any(id(value) not in inputs for value in computed):
            continue
        names = [inputs[id(value)] for value in computed]
        for number in range(len(op.inputs)):
            value = held.get((id(op), number))
            if value is None or not value.location or number == _BIAS:
                continue
            is_kernel = value.constant is not None and value.constant.kernel is not None
            name = value.location[-1]
            names.append(
                argument(f"{name}/ReadVariableOp") if is_kernel and number == _KERNEL else argument(name)
            )
        found.append(max(names, default=""))
    return min(found, default="")


def _read_later(constants: list[Placed], last: str, joined: set[str]) -> list[Placed]:
    """Return constants with the biases that are read as they are where the graph's constants are: before
    them, if they are moved, else after them and named after the node that reads the variable.
    """
    last = min([last, *(argument(name) for name in _computed(joined))])
    read = {id(each): name for each in constants if (name := _read_name(each))}
    found = sorted(
        (each for each in constants if id(each) in read), key=lambda each: argument(read[id(each)])
    )
    kept = [each for each in found if argument(read[id(each)]) <= last]
    moved = found[: len(kept) - 1 if kept else None : -1]  # one after the other to the start
    for each in moved:
        each.value.location = UNKNOWN
    for each in kept:
        each.value.location = (read[id(each)],)
    rest = [each for each in constants if id(each) not in read]
    early = [each for each in rest if each.group < Group.SCALARS or Group.SCALARS < each.group < Group.OTHERS]
    written = [each for each in rest if each.group in (Group.SCALARS, Group.OTHERS)]
    ends = [each for each in rest if each.group is Group.LAST]
    return [*early, *moved, *written, *(replace(each, group=Group.LAST) for each in kept), *ends]


def _computed(joined: set[str]) -> Iterator[str]:
    """Yield what is read to be computed with at once: biases that get their shape again, and the factors of
    normalizations.
    """
    for name in joined:
        layer, _, last = name.rpartition("/")
        if last == "Squeeze" and f"{layer}/BiasAdd" in joined:
            yield f"{layer}/Reshape/ReadVariableOp"
        elif last == "ExpandDims":
            yield f"{name}_1/ReadVariableOp"
        elif layer.endswith("/batchnorm"):
            yield f"{layer.removesuffix('/batchnorm')}/Cast/ReadVariableOp"


def _read_name(each: Placed) -> str:
    """Return the name of the node that reads a bias; nothing, where it is another constant."""
    if each.op.code != FULLY_CONNECTED or each.number != _BIAS:
        return ""
    if any("batchnorm" in name.lower() for name in each.value.location):
        return ""
    for name in each.value.location:
        if name.rpartition("/")[2].lower().startswith(_ADDS):
            return f"{name}/ReadVariableOp"
    return ""
