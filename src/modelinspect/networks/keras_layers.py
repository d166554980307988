"""Follow a Keras model from layer to layer, as its configuration connects them; what a layer makes of its
inputs, others say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

from modelinspect.core.names import WrapperClass
from modelinspect.core.records import dataclass, field
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.measure.blocks import UnmeasurableError

MODELS = frozenset({"Functional", "Model", "Sequential"})
_INPUT = "InputLayer"
_NO_TENSOR = "_CONSTANT_VALUE"
"""What Keras 2 names in place of a layer where a function is given a number."""
_WRAPPERS = (WrapperClass.CLUSTER, WrapperClass.PRUNE, WrapperClass.QUANTIZE)
_ROUNDS = 64
_MOST_CALLS = 5_000
Key = tuple[str, int]
Value = TypeVar("Value")


@dataclass(slots=True)
class Traversal(ABC, Generic[Value]):
    """A model on its way from inputs to outputs; a ``Value`` is what is known of an array between two layers.

    ``arguments`` are the keyword arguments of the call that is followed, those that are numbers, words or
    truth values; ``node`` is the call as the configuration stores it.
    """

    calls: int = field(default=0, kw_only=True)
    arguments: Mapping[str, object] = field(default_factory=dict, kw_only=True)
    node: object = field(default=None, kw_only=True)

    @abstractmethod
    def make_input(self, name: str, layer: LayerConfig) -> Value:
        """Return an input of the whole model."""

    @abstractmethod
    def apply(self, layer: LayerConfig, given: list[Value], scope: str, path: str) -> list[Value]:
        """Return what one use of a layer that is not a model makes."""

    def enter(self, outer: str, name: str) -> str:
        """Return the scope of a layer within another."""
        return f"{outer}/{name}" if outer else name

    def has_scope(self, _: LayerConfig) -> bool:
        """Return whether a layer has a scope within that of the model."""
        return True

    def leave(self, values: list[Value]) -> None:
        """Take note of values that go where the configuration does not let them be followed."""

    def call_model(
        self, model: LayerConfig, given: list[Value] | None, scope: str, path: str
    ) -> list[tuple[str, Value]]:
        """Follow the layers of a model that is given its inputs, or makes them; return its outputs with their
        layers' names.
        """
        if class_of(model) == "Sequential":
            return self._sequence(model, given, scope, path)
        return self._connected(model, given, scope, path)

    def _sequence(
        self, model: LayerConfig, given: list[Value] | None, scope: str, path: str
    ) -> list[tuple[str, Value]]:
        values = given
        name = model.name
        for layer in model.children:
            if class_of(layer) == _INPUT:
                values = values if values is not None else [self.make_input(layer.name, layer)]
                continue
            if values is None:
                values = [self.make_input(f"{unwrapped(layer).name}_input", layer)]
            self.node, self.arguments = None, {}
            values = self._use(layer, values, scope, path)
            name = unwrapped(layer).name
        return [(name, value) for value in values or []]

    def _connected(
        self, model: LayerConfig, given: list[Value] | None, scope: str, path: str
    ) -> list[tuple[str, Value]]:
        """Call every layer as often as it is used, once what it takes is there."""
        layers = {layer.name: layer for layer in model.children}
        made: dict[Key, list[Value]] = {}
        inputs = list(references(model.settings.get("input_layers")))
        for place, (name, _, _) in enumerate(inputs):
            if name in layers:
                made[name, 0] = [
                    (
                        given[place]
                        if given is not None and place < len(given)
                        else self.make_input(name, layers[name])
                    )
                ]
        nodes = [
            (name, index, node)
            for name, index, node in _nodes(model)
            if (name, index) not in made and name in layers
        ]
        shifted = _counted_from_one(model)
        pending = [
            (name, index, [_counted(reference, shifted) for reference in references(node)])
            for name, index, node in nodes
        ]
        listed = {(name, index): node for name, index, node in nodes}
        waiting: list[tuple[str, int, list[tuple[str, int, int]]]] = []
        for _ in range(_ROUNDS):
            waiting = []
            for name, index, taken in pending:
                values = [_value(made, listed, *reference) for reference in taken]
                if not taken or any(value is None for value in values):
                    waiting.append((name, index, taken))
                    continue
                self.node = listed[name, index]
                self.arguments = _arguments(self.node)
                made[name, index] = self._use(
                    layers[name], [value for value in values if value is not None], scope, path
                )
            if not waiting or len(waiting) == len(pending):
                break
            pending = waiting
        else:
            waiting = pending
        for _, _, taken in waiting:
            values = [_value(made, listed, *reference) for reference in taken]
            self.leave([value for value in values if value is not None])
        found = []
        for reference in references(model.settings.get("output_layers")):
            name, index, place = _counted(reference, shifted)
            value = _value(made, listed, name, index, place)
            if value is not None:
                found.append((unwrapped(layers[name]).name if name in layers else name, value))
        return found

    def _use(self, layer: LayerConfig, given: list[Value], scope: str, path: str) -> list[Value]:
        """Follow one use of a layer. Raises `UnmeasurableError` where there are more than any network has."""
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise UnmeasurableError(f"its layers are used more than {_MOST_CALLS:,} times")
        inner = unwrapped(layer)
        within = self.enter(scope, inner.name) if self.has_scope(inner) else scope
        where = f"{path}/{inner.name}" if path else inner.name
        kind = class_of(inner)
        if kind in MODELS and inner.children:
            self.arguments, self.node = {}, None
            return [value for _, value in self.call_model(inner, given, within, where)]
        return given if kind == _INPUT else self.apply(inner, given, within, where)


def unwrapped(layer: LayerConfig) -> LayerConfig:
    """Return the layer that a wrapper of pruning or clustering wraps."""
    while class_of(layer).startswith(_WRAPPERS) and layer.children:
        layer = layer.children[0]
    return layer


def class_of(layer: LayerConfig) -> str:
    """Return a layer's class without the package that it is registered in."""
    return layer.class_name.rpartition(">")[2]


def _value(
    made: Mapping[Key, list[Value]], listed: Collection[Key], name: str, index: int, place: int
) -> Value | None:
    """Return what a use of a layer made; where uses are counted otherwise, what its only use made.

    A use that is ``listed`` and made nothing yet has to be waited for.
    """
    values = made.get((name, index))
    if values is None and (name, index) not in listed:
        uses = [many for key, many in made.items() if key[0] == name] if (name, 0) in made or index else []
        values = uses[0] if len(uses) == 1 else None
    return values[place] if values is not None and 0 <= place < len(values) else None


def _counted(reference: tuple[str, int, int], shifted: frozenset[str]) -> tuple[str, int, int]:
    name, index, place = reference
    return name, index - (name in shifted), place


def _counted_from_one(model: LayerConfig) -> frozenset[str]:
    """Return the models within a model whose uses are counted from one.

    Before them comes the use that each has by itself (functional.get_network_config).
    """
    counts: dict[str, int] = {}
    used: dict[str, set[int]] = {}
    for name, _, node in _nodes(model):
        counts[name] = counts.get(name, 0) + 1
        for other, index, _ in references(node):
            used.setdefault(other, set()).add(index)
    for other, index, _ in references(model.settings.get("output_layers")):
        used.setdefault(other, set()).add(index)
    return frozenset(
        layer.name
        for layer in model.children
        if class_of(layer) in MODELS
        and layer.name in used
        and min(used[layer.name]) >= 1
        and max(used[layer.name]) == counts.get(layer.name)
    )


def _nodes(model: LayerConfig) -> Iterator[tuple[str, int, object]]:
    """Yield every use of every layer with the node that says what it takes."""
    layers = model.settings.get("layers")
    for item in layers if isinstance(layers, list) else []:
        if not isinstance(item, Mapping):
            continue
        settings = item.get("config")
        name = settings.get("name", item.get("name")) if isinstance(settings, Mapping) else item.get("name")
        nodes = item.get("inbound_nodes")
        for index, node in enumerate(nodes if isinstance(nodes, list) else []):
            if isinstance(name, str):
                yield name, index, node


def _arguments(node: object) -> dict[str, object]:
    """Return the keyword arguments of a call that are plain values: {"kwargs": {...}} in Keras 3, ["name", 0,
    0, {...}] in Keras 2.
    """
    if isinstance(node, Mapping):
        found = node.get("kwargs")
    else:
        first = node[0] if isinstance(node, list) and node else None
        found = first[3] if isinstance(first, list) and len(first) > 3 else None
    items = found.items() if isinstance(found, Mapping) else ()
    return {str(name): value for name, value in items if isinstance(value, bool | int | float | str)}


def references(value: object) -> Iterator[tuple[str, int, int]]:
    """Yield the uses of layers that a configuration names: ["name", 0, 0, {}] in Keras 2, {"keras_history":
    ["name", 0, 0]} in Keras 3.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list | tuple):
            if (
                len(item) >= 3
                and isinstance(item[0], str)
                and isinstance(item[1], int)
                and isinstance(item[2], int)
                and item[0] != _NO_TENSOR
            ):
                yield item[0], item[1], item[2]
                pending += reversed([each for each in item[3:] if isinstance(each, Mapping)])
            else:
                pending += reversed(item)
        elif isinstance(item, Mapping):
            pending += reversed(list(item.values()))
