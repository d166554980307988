"""Draw two artifacts as trees side by side, with every tensor linked to its counterpart."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from modelinspect.analyses.diff import shared_layers
from modelinspect.analyses.pictures import TreePath, make_tree
from modelinspect.analyses.summary import zero_counts
from modelinspect.core.bytemap import NO_TENSOR, TensorId
from modelinspect.core.records import dataclass, field
from modelinspect.ledger.attribution import attribute
from modelinspect.ledger.rollup import Key, roll_up
from modelinspect.networks.matching import match_tensors
from modelinspect.networks.subject import Subject
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.pictures import Comparison, Counterparts

_NO_LAYER = "(no layer)"
_NO_NAME = "(no name)"


@dataclass(frozen=True, slots=True)
class _Thing:
    """What a box of a tree shows, the same on both sides; ``pair`` is the number of a pair of tensors."""

    kind: str
    label: str
    pair: int = -1


@dataclass(slots=True)
class _Side:
    """The bytes of one artifact by path and by thing, and the thing at each path."""

    sizes: dict[TreePath, int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[_Thing, int] = field(default_factory=lambda: defaultdict(int))
    things: dict[TreePath, _Thing] = field(default_factory=dict)
    layers: dict[_Thing, str] = field(default_factory=dict)

    def add(self, path: TreePath, things: tuple[_Thing, ...], size: int) -> None:
        """Count bytes at a path; ``things`` are what the path's parts show."""
        self.sizes[()] += size
        for depth, thing in enumerate(things, 1):
            self.sizes[path[:depth]] += size
            self.totals[thing] += size
            self.things[path[:depth]] = thing


def draw_comparison(before: Subject, after: Subject) -> Comparison:
    """Draw both artifacts; with the sides exchanged, the trees are exchanged and nothing else changes but the
    order of counterparts.
    """
    pairs = match_tensors(before, after)
    layers = shared_layers(before, after, pairs)
    old_pairs = {pair.before: number for number, pair in enumerate(pairs) if pair.before is not None}
    new_pairs = {pair.after: number for number, pair in enumerate(pairs) if pair.after is not None}
    names = [_pair_name(before, after, pair.before, pair.after) for pair in pairs]
    old = _side(before, layers[0], old_pairs, names)
    new = _side(after, layers[1], new_pairs, names)
    things = tuple(dict.fromkeys((*old.totals, *new.totals)))
    places = {thing: place for place, thing in enumerate(things)}
    (old_tree, old_paths), (new_tree, new_paths) = make_tree(old.sizes), make_tree(new.sizes)
    return Comparison(
        "Bytes before and after, by category, layer and tensor",
        (before.artifact.location, after.artifact.location),
        old_tree,
        new_tree,
        tuple(places[old.things[path]] if path else -1 for path in old_paths),
        tuple(places[new.things[path]] if path else -1 for path in new_paths),
        Counterparts(
            labels=tuple(thing.label for thing in things),
            kinds=tuple(thing.kind for thing in things),
            layers=tuple(new.layers.get(thing) or old.layers.get(thing) for thing in things),
            before=tuple(old.totals.get(thing, 0) for thing in things),
            after=tuple(new.totals.get(thing, 0) for thing in things),
            leaf=tuple(thing.kind in ("tensor", "structure") for thing in things),
        ),
    )


def _pair_name(before: Subject, after: Subject, one: TensorId | None, other: TensorId | None) -> str:
    """Return the name of a pair: both names where they differ."""
    names = [
        side.tensor(tensor).name for side, tensor in ((before, one), (after, other)) if tensor is not None
    ]
    return " → ".join(dict.fromkeys(names))


def _side(side: Subject, layers: list[str | None], pairs: dict[TensorId, int], names: list[str]) -> _Side:
    ledger = attribute(side.artifact, zero_counts(side.measurements))
    counted = _Side()
    for row in roll_up(ledger, (Key.CATEGORY, Key.TENSOR, Key.STRUCTURE)):
        category, tensor, structure = row.values or (None, None, None)
        if tensor is None:
            label = structure or _NO_NAME
            counted.add(
                (category or "", label),
                (_Thing("category", category or ""), _Thing("structure", label)),
                row.size,
            )
    count = len(side.artifact.tensors)
    inside = ledger.tensors != NO_TENSOR
    codes = ledger.categories[inside].astype(np.int64) * max(count, 1) + ledger.tensors[inside]
    found, places = np.unique(codes, return_inverse=True)
    sizes = np.zeros(len(found), dtype=np.int64)
    np.add.at(sizes, places, ledger.sizes[inside])
    for code, size in zip(found.tolist(), sizes.tolist(), strict=True):
        category, tensor_id = str(CATEGORIES[code // count]), TensorId(code % count)
        layer, pair = layers[tensor_id] or _NO_LAYER, pairs[tensor_id]
        thing = _Thing("tensor", names[pair], pair)
        counted.layers[thing] = layer
        path = (category, layer, side.artifact.tensors[tensor_id].name)
        counted.add(path, (_Thing("category", category), _Thing("layer", layer), thing), size)
    return counted
