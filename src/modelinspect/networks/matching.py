"""Find which tensor of one artifact is which of another, also across formats.

Each way of matching works on what the ones before left over, surest first: the name once its writer's
decoration is gone, the elements themselves (in any order, as converters transpose), the end of the name, the
layer with the shape, and at last the order of layers with shapes that agree but for a permutation.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from enum import StrEnum

from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ElementKind, Role, Tensor
from modelinspect.networks.kernels import frozen_masks
from modelinspect.networks.names import bare_layer
from modelinspect.networks.optimizer_state import average_names
from modelinspect.networks.subject import Subject


class MatchedBy(StrEnum):
    """How two tensors were matched."""

    NAME = "name"
    CONTENT = "content"
    LAYER = "layer"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor before and after; one of them is None where it has no counterpart."""

    before: TensorId | None
    after: TensorId | None
    by: MatchedBy | None


_MODEL = frozenset((Role.WEIGHT, Role.STATISTIC, Role.CONSTANT, Role.OTHER))
_SCOPED = frozenset((FormatName.TFLITE, FormatName.LITERTLM, FormatName.GRAPH_DEF))
"""Formats whose layers are scopes of nodes: a Keras layer is the last part of one."""
_SEPARATORS = re.compile(r"[/;]")
_PURPOSE = re.compile(
    r"(?:^|[/_.])(average|momentums?|velocity|velocities|velocity_hat|m|v|vhat|rms|accumulator|accum_\w+)(?=[/_.:]|$)"
)


def match_tensors(before: Subject, after: Subject) -> tuple[Pair, ...]:
    """Pair the tensors of two artifacts; each tensor is in one pair.

    The pairs of (after, before) are the same, turned.
    """
    matcher = _Matcher(before, after)
    matcher.match(_MODEL)
    matcher.note_renamed_layers()
    for role_group in (
        frozenset((Role.OPTIMIZER,)),
        frozenset((Role.PRUNING,)),
        frozenset((Role.QUANTIZATION,)),
    ):
        matcher.match(role_group)
    matcher.averages = True
    matcher.match(frozenset((Role.OPTIMIZER,)))
    return tuple(matcher.pairs())


class _Matcher:
    """What is paired already and what is left, of both sides."""

    def __init__(self, before: Subject, after: Subject) -> None:
        self.before = before
        self.after = after
        self.found: dict[TensorId, tuple[TensorId, MatchedBy]] = {}
        self.taken: set[TensorId] = set()
        self.averages = False
        self._renamed: dict[str, str] = {}
        self._aside: dict[int, set[TensorId]] = {id(before): set(), id(after): set()}
        self._averages = {id(side): average_names(side.artifact) for side in (before, after)}
        sides = [side for side in (before, after) if side.artifact.format not in _SCOPED] or [before, after]
        self._layers = {
            bare_layer(tensor.layer) for side in sides for tensor in side.artifact.tensors if tensor.layer
        }

    def match(self, roles: frozenset[Role]) -> None:
        """Pair the tensors of some roles, surest way first."""
        self._aside = {key: set() for key in self._aside}
        self._by_key(roles, MatchedBy.NAME, _name_and_content)
        self._by_key(roles, MatchedBy.NAME, _name_and_shape)
        self._by_key(roles, MatchedBy.CONTENT, _content, uneven=True)
        self._by_key(roles, MatchedBy.CONTENT, _reshaped_content, uneven=True)
        self._by_key(roles, MatchedBy.NAME, _name_and_shape, uneven=True)
        self._by_key(roles, MatchedBy.NAME, _name)
        self._by_key(roles, MatchedBy.NAME, _end_and_shape)
        if roles == _MODEL:
            self._set_aside()
        else:
            self._by_key(roles, MatchedBy.LAYER, self._renamed_layer)
        self._by_key(roles, MatchedBy.LAYER, self._layer_and_shape)
        self._by_key(roles, MatchedBy.LAYER, self._layer_and_shape, uneven=True)
        self._by_key(roles, MatchedBy.LAYER, self._layer_and_count)
        self._by_key(roles, MatchedBy.LAYER, self._layer_and_rank)
        if roles == _MODEL:
            self._by_key(roles, MatchedBy.ORDER, _shape)
            self._by_order(roles)
        else:
            self._by_key(roles, MatchedBy.ORDER, _slot_shape, uneven=True)

    def note_renamed_layers(self) -> None:
        """Note what after calls the layers, by their weights: Keras numbers layers again in each model."""
        names: dict[str, set[str]] = defaultdict(set)
        for one, (other, _) in self.found.items():
            mine, theirs = self.before.tensor(one).layer, self.after.tensor(other).layer
            if mine and theirs:
                names[bare_layer(mine)].add(bare_layer(theirs))
        self._renamed = {name: found.pop() for name, found in names.items() if len(found) == 1}

    def _renamed_layer(self, side: Subject, tensor: TensorId) -> Hashable | None:
        """Return the layer as after calls it, with the purpose, the variable and the shape: what is kept of a
        weight belongs to its counterpart's.
        """
        layer, found = self._layer(side, tensor), side.tensor(tensor)
        if side is self.before and layer is not None:
            layer = self._renamed.get(layer)
        variable = side.canonical_name(tensor).rpartition("/")[2]
        return None if layer is None else (layer, _purpose(side, tensor), variable, _loose_shape(found))

    def _layer_and_shape(self, side: Subject, tensor: TensorId) -> Hashable | None:
        """Return a layer that either side knows, with the shape."""
        layer, found = self._layer(side, tensor), side.tensor(tensor)
        return None if layer is None else (layer, _purpose(side, tensor), _loose_shape(found))

    def _layer_and_count(self, side: Subject, tensor: TensorId) -> Hashable | None:
        """Return a layer that either side knows, with the count of elements: converters join axes, those of
        attention's heads for one.
        """
        layer, found = self._layer(side, tensor), side.tensor(tensor)
        return (
            None
            if layer is None or found.element_count < 2
            else (layer, _purpose(side, tensor), found.element_count, _is_index(found))
        )

    def _layer_and_rank(self, side: Subject, tensor: TensorId) -> Hashable | None:
        """Return a layer that either side knows, with the count of axes, of kernels: those of 4 bits hold two
        elements in a byte.
        """
        layer, rank = self._layer(side, tensor), len(side.tensor(tensor).shape)
        return (
            None
            if layer is None or rank < 2
            else (layer, _purpose(side, tensor), rank, _is_index(side.tensor(tensor)))
        )

    def _set_aside(self) -> None:
        """Leave out what is not a counterpart by its place: masks that were frozen into a graph, and all
        copies of a tensor but one.
        """
        for side, paired in ((self.before, set(self.found)), (self.after, self.taken)):
            aside = set(frozen_masks(side.artifact, side.measurements))
            for group in _copies(side):
                kept = next((one for one in group if one in paired), group[0])
                aside.update(one for one in group if one != kept)
            self._aside[id(side)] = aside

    def _layer(self, side: Subject, tensor: TensorId) -> str | None:
        """Return the layer of a tensor, as either side knows it; converters keep layers' names as parts of
        tensors'.
        """
        found = side.tensor(tensor)
        names = [found.layer, *reversed(found.layer.split("/"))] if found.layer else []
        names += [part for part in _SEPARATORS.split(found.name) if part]
        return next((bare for name in names if (bare := bare_layer(name)) in self._layers), None)

    def _left(self, side: Subject, roles: frozenset[Role]) -> list[TensorId]:
        gone: Callable[[TensorId], bool] = (
            self.found.__contains__ if side is self.before else self.taken.__contains__
        )
        averages = self._averages[id(side)]  # a slot is not a counterpart of an average
        tensors = (
            (TensorId(index), tensor)
            for index, tensor in enumerate(side.artifact.tensors)
            if tensor.role in roles
        )
        aside = self._aside[id(side)]
        return [
            index
            for index, tensor in tensors
            if not gone(index) and index not in aside and (tensor.path in averages) is self.averages
        ]

    def _pair(self, one: TensorId, other: TensorId, by: MatchedBy) -> None:
        self.found[one] = other, by
        self.taken.add(other)

    def _by_key(
        self,
        roles: frozenset[Role],
        by: MatchedBy,
        key: Callable[[Subject, TensorId], Hashable | None],
        *,
        uneven: bool = False,
    ) -> None:
        """Pair tensors whose keys agree; among several of one key, in order, and ``uneven`` says whether one
        side may have more.
        """
        groups = [_grouped(side, self._left(side, roles), key) for side in (self.before, self.after)]
        for shared in groups[0].keys() & groups[1].keys():
            mine, theirs = groups[0][shared], groups[1][shared]
            if uneven or len(mine) == len(theirs):
                for one, other in zip(mine, theirs, strict=False):
                    self._pair(one, other, by)

    def _by_order(self, roles: frozenset[Role]) -> None:
        """Pair what is left in order where shapes agree but for a permutation, scalars and vectors of
        constants apart.
        """
        mine, theirs = (
            [tensor for tensor in self._left(side, roles) if side.tensor(tensor).element_count > 1]
            for side in (self.before, self.after)
        )
        shapes = [
            [_kind_and_shape(side.tensor(t)) for t in ids]
            for side, ids in ((self.before, mine), (self.after, theirs))
        ]
        for block in _aligned(*shapes):
            for step in range(block[2]):
                self._pair(mine[block[0] + step], theirs[block[1] + step], MatchedBy.ORDER)

    def pairs(self) -> Iterator[Pair]:
        """Yield the pairs in the order of before, then what only after has."""
        for index in range(len(self.before.artifact.tensors)):
            other = self.found.get(TensorId(index))
            yield Pair(TensorId(index), other[0] if other else None, other[1] if other else None)
        for index in range(len(self.after.artifact.tensors)):
            if TensorId(index) not in self.taken:
                yield Pair(None, TensorId(index), None)


def _copies(side: Subject) -> list[list[TensorId]]:
    """Return the tensors of the model that hold the same elements; those of a single value also have one
    name.
    """
    if side.measurements is None:
        return []
    groups: dict[Hashable, list[TensorId]] = defaultdict(list)
    for index, (tensor, measure) in enumerate(
        zip(side.artifact.tensors, side.measurements.tensors, strict=True)
    ):
        if (
            tensor.role in (Role.WEIGHT, Role.STATISTIC)
            and measure.digest is not None
            and tensor.element_count > 1
        ):
            alike = measure.distinct_count == 1 or measure.zero_count == measure.element_count
            name = side.canonical_name(TensorId(index)) if alike else None
            groups[tensor.dtype.name, tensor.shape, measure.digest, name].append(TensorId(index))
    return [group for group in groups.values() if len(group) > 1]


def _grouped(
    side: Subject, ids: list[TensorId], key: Callable[[Subject, TensorId], Hashable | None]
) -> dict[Hashable, list[TensorId]]:
    groups: dict[Hashable, list[TensorId]] = defaultdict(list)
    for tensor in ids:
        value = key(side, tensor)
        if value is not None:
            groups[value].append(tensor)
    return groups


def _name_and_content(side: Subject, tensor: TensorId) -> Hashable | None:
    fingerprint = side.fingerprint(tensor)
    return None if fingerprint is None else (side.canonical_name(tensor), fingerprint)


def _name_and_shape(side: Subject, tensor: TensorId) -> Hashable:
    return side.canonical_name(tensor), side.tensor(tensor).shape


def _name(side: Subject, tensor: TensorId) -> Hashable | None:
    """Return the name, but for optimizers whose slots are numbers: those of another optimizer are for
    something else.
    """
    return None if _is_numbered_slot(side, tensor) else side.canonical_name(tensor)


def _is_numbered_slot(side: Subject, tensor: TensorId) -> bool:
    return (
        side.tensor(tensor).role is Role.OPTIMIZER
        and side.canonical_name(tensor).rpartition("/")[2].isdigit()
    )


def _slot_shape(side: Subject, tensor: TensorId) -> Hashable | None:
    found = side.tensor(tensor)
    return found.shape if found.element_count > 1 and _is_numbered_slot(side, tensor) else None


def _purpose(side: Subject, tensor: TensorId) -> str | None:
    """Return what a slot of an optimizer is for, where its name says: a momentum is not a velocity of the
    same weight.
    """
    found = (
        _PURPOSE.findall(side.canonical_name(tensor)) if side.tensor(tensor).role is Role.OPTIMIZER else ()
    )
    return found[-1] if found else None


def _end_and_shape(side: Subject, tensor: TensorId) -> Hashable | None:
    """Return the last two parts of the name: models within models, and scopes, put names before them."""
    parts = side.canonical_name(tensor).split("/")
    return (*parts[-2:], _loose_shape(side.tensor(tensor))) if len(parts) > 1 else None


def _content(side: Subject, tensor: TensorId) -> Hashable | None:
    fingerprint = side.fingerprint(tensor)
    return None if fingerprint is None else (_loose_shape(side.tensor(tensor)), fingerprint)


def _reshaped_content(side: Subject, tensor: TensorId) -> Hashable | None:
    """Return only the elements: a converter joins axes, such as those of the heads of attention."""
    found, fingerprint = side.tensor(tensor), side.fingerprint(tensor)
    return None if fingerprint is None or found.element_count < 2 else (found.element_count, fingerprint)


def _shape(side: Subject, tensor: TensorId) -> Hashable | None:
    found = side.tensor(tensor)
    return _kind_and_shape(found) if found.element_count > 1 else None


def _kind_and_shape(tensor: Tensor) -> tuple[int, ...]:
    return (int(_is_index(tensor)), *_loose_shape(tensor))


def _is_index(tensor: Tensor) -> bool:
    """Return whether the elements are whole numbers that quantize nothing, such as shapes and axes."""
    whole = tensor.dtype.kind in (ElementKind.INT, ElementKind.UINT) and tensor.dtype.bits > 16
    return tensor.dtype.kind in (ElementKind.BOOL, ElementKind.STRING) or (
        whole and tensor.quantization is None
    )


def _loose_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the lengths in order of size, without axes of length 1, which converters add and drop."""
    return tuple(sorted(length for length in tensor.shape if length != 1))


def _aligned(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int, int]]:
    """Return runs (place in one, place in other, length) that agree, the same whichever side comes first."""
    if (len(one), _text(one)) > (len(other), _text(other)):
        return [(theirs, mine, size) for mine, theirs, size in _aligned(other, one)]
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return [(block.a, block.b, block.size) for block in matcher.get_matching_blocks() if block.size]


def _text(items: Sequence[Hashable]) -> str:
    return repr(tuple(items))
