"""Follows a Keras model from layer to layer, as its configuration connects them, and lets each become operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelinspect.analyses.plan.tflite.certain import is_certain
from modelinspect.analyses.plan.tflite.forms import FLOAT32, FULLY_CONNECTED, INT32
from modelinspect.analyses.plan.tflite.graph import Network, Value, kernel
from modelinspect.analyses.plan.tflite.layers import IDENTITIES, LAYERS
from modelinspect.analyses.plan.tflite.lowering import Call, Parameter, Scopes, Shape, UnknownLayerError, items
from modelinspect.analyses.plan.tflite.operators import MUL
from modelinspect.formats.keras_model.config import LayerConfig
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.kept import Layout

MODELS = frozenset({"Functional", "Model", "Sequential"})
_INPUT = "InputLayer"
_WRAPPERS = ("ClusterWeights", "PruneLowMagnitude", "QuantizeWrapper")
_KINDS = {"float16": 1, "float32": FLOAT32, "int32": INT32, "int64": 4, "int8": 9, "uint8": 3, "bool": 6}
_ROUNDS = 64
_MOST_CALLS = 5_000
Key = tuple[str, int]


@dataclass(slots=True)
class Flow:
    """A model on its way to operators; ``unknown`` are the layers whose conversion is not known, ``guessed`` the bytes of their weights.

    ``certain`` tells that every layer is of those that were always predicted to the byte.
    """

    keras: int
    parameters: Mapping[str, Sequence[Parameter]]
    network: Network = field(default_factory=Network)
    scopes: Scopes = field(default_factory=Scopes)
    unknown: list[str] = field(default_factory=list)
    guessed: int = 0
    certain: bool = True
    calls: int = 0

    def run(self, model: LayerConfig) -> Network:
        """Convert a model with its inputs and outputs."""
        outputs = self._model(model, None, self._scope("", model.name), "")
        for number, (name, value) in enumerate(outputs):
            self.network.outputs.append((name if self.keras == 2 else f"output_{number}", value))
        return self.network

    def _scope(self, outer: str, name: str) -> str:
        """Return the scope of a layer: Keras 3 opens each twice, and its operators are in the second."""
        whole = f"{outer}/{name}" if outer else name
        if self.keras == 2:
            return whole
        self.scopes.unique(whole)
        return self.scopes.unique(whole)

    def _model(self, model: LayerConfig, given: list[Value] | None, scope: str, path: str) -> list[tuple[str, Value]]:
        """Convert the layers of a model that is given its inputs, or makes them; return its outputs with their layers' names."""
        if _class(model) == "Sequential":
            return self._sequence(model, given, scope, path)
        return self._connected(model, given, scope, path)

    def _sequence(self, model: LayerConfig, given: list[Value] | None, scope: str, path: str) -> list[tuple[str, Value]]:
        values = given
        name = model.name
        for layer in model.children:
            if _class(layer) == _INPUT:
                values = values if values is not None else [self._input(layer.name, layer)]
                continue
            if values is None:
                values = [self._input(f"{unwrapped(layer).name}_input", layer)]
            values = self._call(layer, values, scope, path)
            name = unwrapped(layer).name
        return [(name, value) for value in values or []]

    def _connected(self, model: LayerConfig, given: list[Value] | None, scope: str, path: str) -> list[tuple[str, Value]]:
        """Call every layer as often as it is used, once what it takes is there."""
        layers = {_name(layer): layer for layer in model.children}
        made: dict[Key, list[Value]] = {}
        inputs = list(references(model.settings.get("input_layers")))
        for place, (name, _, _) in enumerate(inputs):
            if name in layers:
                made[name, 0] = [given[place] if given is not None and place < len(given) else self._input(name, layers[name])]
        pending = [(name, index, taken) for name, index, taken in _nodes(model) if (name, index) not in made and name in layers]
        for _ in range(_ROUNDS):
            waiting: list[tuple[str, int, list[tuple[str, int, int]]]] = []
            for name, index, taken in pending:
                values = [_value(made, *reference) for reference in taken]
                if not taken or any(value is None for value in values):
                    waiting.append((name, index, taken))
                    continue
                made[name, index] = self._call(layers[name], [value for value in values if value is not None], scope, path)
            if not waiting or len(waiting) == len(pending):
                break
            pending = waiting
        found = []
        for name, index, place in references(model.settings.get("output_layers")):
            value = _value(made, name, index, place)
            if value is not None:
                found.append((unwrapped(layers[name]).name if name in layers else name, value))
        return found

    def _input(self, name: str, layer: LayerConfig) -> Value:
        """Add an input of the whole model; lengths that are not known stay so."""
        shape: Shape = (-1, 1)
        for key in ("batch_input_shape", "batch_shape"):
            told = items(layer.settings.get(key))
            if told:
                shape = tuple(length if isinstance(length, int) else -1 for length in told)
        dtype = layer.settings.get("dtype")
        value = Value(shape, (f"serving_default_{name}:0",), _KINDS.get(dtype, FLOAT32) if isinstance(dtype, str) else FLOAT32)
        if _class(layer) != _INPUT and _class(layer) == "Embedding":
            value.kind = FLOAT32
        self.network.inputs.append((name, value))
        return value

    def _call(self, layer: LayerConfig, given: list[Value], scope: str, path: str) -> list[Value]:
        """Convert one use of a layer. Raises `UnmeasurableError` where there are more than any network has."""
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise UnmeasurableError(f"its layers are used more than {_MOST_CALLS:,} times")
        inner = unwrapped(layer)
        name, kind = inner.name, _class(inner)
        within = self._scope(scope, name)
        where = f"{path}/{name}" if path else name
        if kind in MODELS and inner.children:
            return [value for _, value in self._model(inner, given, within, where)]
        if kind in IDENTITIES or kind == _INPUT:
            return given
        call = Call(self.network, self.scopes, self.keras, inner, kind, self._parameters_of(where, name), within, given)
        rule = LAYERS.get(kind)
        count = len(self.network.ops)
        try:
            if rule is None:
                raise UnknownLayerError(kind)
            made = [rule(call)]
            self.certain = self.certain and is_certain(call)
            return made
        except (UnknownLayerError, ArithmeticError, LookupError, TypeError, ValueError) as error:  # settings can be anything
            del self.network.ops[count:]
            self.certain = False
            reason = str(error) if isinstance(error, UnknownLayerError) else "settings that make no sense"
            self.unknown.append(f"{name} ({kind})" if reason == kind else f"{name} ({kind}: {reason})")
            return [self._guess(call)]

    def _parameters_of(self, where: str, name: str) -> Sequence[Parameter]:
        for key in (where, f"prune_low_magnitude_{name}", name):
            if key in self.parameters:
                return self.parameters[key]
        found = [many for key, many in self.parameters.items() if key.rpartition("/")[2] == name]
        return found[0] if len(found) == 1 else []

    def _guess(self, call: Call) -> Value:
        """Keep the weights of a layer that is not known, with an operator for each."""
        value = call.given
        for each in call.parameters:
            self.guessed += 4 * each.tensor.element_count
            if not each.shape or not each.tensor.element_count:
                continue
            if len(each.shape) == 2:
                weight = kernel(each.tensor, Layout(each.shape[0], each.shape[1], 1, 0), (each.shape[1], each.shape[0]), call.at(each.name))
                value = call.op(FULLY_CONNECTED, [value, weight, None], (*value.shape[:-1], each.shape[1]), each.name, {})
            else:
                layout = Layout(each.tensor.element_count // each.shape[-1], each.shape[-1], 1)
                value = call.op(MUL, [value, kernel(each.tensor, layout, each.shape, call.at(each.name))], value.shape, each.name)
        return value


def unwrapped(layer: LayerConfig) -> LayerConfig:
    """Return the layer that a wrapper of pruning or clustering wraps."""
    while _class(layer).startswith(_WRAPPERS) and layer.children:
        layer = layer.children[0]
    return layer


def _class(layer: LayerConfig) -> str:
    return layer.class_name.rpartition(">")[2]


def _name(layer: LayerConfig) -> str:
    return layer.name


def _value(made: Mapping[Key, list[Value]], name: str, index: int, place: int) -> Value | None:
    """Return what a use of a layer made; where uses are counted otherwise, what its only use made."""
    values = made.get((name, index))
    if values is None:
        uses = [many for key, many in made.items() if key[0] == name] if (name, 0) in made or index else []
        values = uses[0] if len(uses) == 1 else None
    return values[place] if values is not None and 0 <= place < len(values) else None


def _nodes(model: LayerConfig) -> Iterator[tuple[str, int, list[tuple[str, int, int]]]]:
    """Yield every use of every layer with what it takes."""
    layers = model.settings.get("layers")
    for item in layers if isinstance(layers, list) else []:
        if not isinstance(item, Mapping):
            continue
        settings = item.get("config")
        name = settings.get("name", item.get("name")) if isinstance(settings, Mapping) else item.get("name")
        nodes = item.get("inbound_nodes")
        for index, node in enumerate(nodes if isinstance(nodes, list) else []):
            if isinstance(name, str):
                yield name, index, list(references(node))


def references(value: object) -> Iterator[tuple[str, int, int]]:
    """Yield the uses of layers that a configuration names: ["name", 0, 0, {}] in Keras 2, {"keras_history": ["name", 0, 0]} in Keras 3."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list | tuple):
            if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int) and isinstance(item[2], int):
                yield item[0], item[1], item[2]
                pending += reversed([each for each in item[3:] if isinstance(each, Mapping)])
            else:
                pending += reversed(item)
        elif isinstance(item, Mapping):
            pending += reversed(list(item.values()))
