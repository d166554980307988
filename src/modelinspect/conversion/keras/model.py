"""Let each layer of a Keras model become operators, from its inputs to its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelinspect.conversion.graph.lowering import Lowering
from modelinspect.conversion.graph.node import UnknownNodeError
from modelinspect.conversion.keras.call import Call, Rule, Scopes, Shape, UnknownLayerError
from modelinspect.conversion.keras.layers import LAYERS
from modelinspect.conversion.keras.mask import Mask
from modelinspect.conversion.keras.masks import IDENTITIES, MASKED, TAKES, masks_first, passed_on
from modelinspect.conversion.keras.nodes.function_rules import FUNCTIONS, function_of, is_operation
from modelinspect.conversion.keras.nodes.wrappers import distributed
from modelinspect.conversion.network import Network, Value, kernel
from modelinspect.conversion.operators import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FULLY_CONNECTED,
    INT8,
    INT32,
    INT64,
    MUL,
    UINT8,
)
from modelinspect.core.records import dataclass, field, replace
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.measure.kept import Layout
from modelinspect.networks.keras_layers import MODELS, Traversal, class_of, references
from modelinspect.networks.keras_variables import Parameter, items, parameters_of

_INPUT = "InputLayer"
_WRAPPERS = ("SpectralNormalization", "TimeDistributed")
"""Layers that use another one, whose variables they take."""
_CELL = {"0": "kernel", "1": "recurrent_kernel", "2": "bias"}
_KINDS = {
    "float16": FLOAT16,
    "float32": FLOAT32,
    "int32": INT32,
    "int64": INT64,
    "int8": INT8,
    "uint8": UINT8,
    "bool": BOOL,
}


@dataclass(slots=True)
class Flow(Traversal[Value]):
    """A model on its way to operators; ``unknown`` are the layers whose conversion is not known, ``guessed``
    the bytes of their weights.

    ``batch`` is how many samples an input has that does not say it.
    """

    keras: int
    parameters: Mapping[str, Sequence[Parameter]]
    lowering: Lowering
    scopes: Scopes = field(default_factory=Scopes)
    unknown: list[str] = field(default_factory=list)
    guessed: int = 0
    batch: int = -1
    takes_masks: bool = True
    masks: dict[int, Mask] = field(default_factory=dict)
    masks_first: frozenset[str] = frozenset()

    @property
    def network(self) -> Network:
        """The network that grows."""
        return self.lowering.network

    def run(self, model: LayerConfig) -> Network:
        """Convert a model with its inputs and outputs."""
        self.takes_masks = any(class_of(layer) in TAKES for layer in model.walk())
        self.masks_first = masks_first(model)
        outputs = self.call_model(model, None, self.enter("", model.name), "")
        keys = _output_keys(model, len(outputs))
        for number, (name, value) in enumerate(outputs):
            self.network.outputs.append((name if self.keras == 2 else keys[number], value))
        self.lowering.forget_shared()
        return self.network

    def enter(self, outer: str, name: str) -> str:
        """Return the scope of a layer: Keras 3 opens each twice, and its operators are in the second."""
        whole = f"{outer}/{name}" if outer else name
        if self.keras == 2:
            return whole
        self.scopes.unique(whole)
        return self.scopes.unique(whole)

    def has_scope(self, layer: LayerConfig) -> bool:
        """Return whether a layer has a scope within that of the model: operations of Keras 3 have none."""
        return not is_operation(layer)

    def make_input(self, name: str, layer: LayerConfig) -> Value:
        """Add an input of the whole model; lengths that are not known stay so."""
        shape: Shape = (-1, 1)
        for key in ("batch_input_shape", "batch_shape"):
            told = items(layer.settings.get(key))
            if told:
                shape = tuple(length if isinstance(length, int) else -1 for length in told)
        if shape[0] < 0:
            shape = (self.batch, *shape[1:])
        dtype = layer.settings.get("dtype")
        value = Value(
            shape,
            (f"serving_default_{name}:0",),
            _KINDS.get(dtype, FLOAT32) if isinstance(dtype, str) else FLOAT32,
        )
        if class_of(layer) != _INPUT and class_of(layer) == "Embedding":
            value.kind = FLOAT32
        self.network.inputs.append((name, value))
        return value

    def apply(self, layer: LayerConfig, given: list[Value], scope: str, path: str) -> list[Value]:
        """Convert one use of a layer."""
        name, kind = layer.name, class_of(layer)
        function = function_of(layer)
        if kind in IDENTITIES and function is None:
            return given
        call = Call(
            self.network,
            self.scopes,
            self.keras,
            layer,
            kind,
            self._variables(layer, path),
            scope,
            given,
            self.lowering,
            self.arguments,
            self.node,
            self.takes_masks,
            self.masks,
            self.node is not None,
            self.masks_first,
        )
        rule = self._rule(layer, kind, path) if function is None else FUNCTIONS.get(function)
        count = len(self.network.ops)
        try:
            if rule is None:
                raise UnknownLayerError
            if function is None and kind not in MASKED and any(value.kind == BOOL for value in given):
                raise UnknownLayerError("with a mask")
            masks = [self.masks.get(id(value)) for value in given] if function is None else []
            if any(masks) and kind in TAKES - MASKED:
                raise UnknownLayerError("with a mask")
            if function is not None or _is_unproven(call):
                self.lowering.operations.add("")
            made = rule(call)
            mask = passed_on(layer, masks)
            if mask is not None:
                self.masks.setdefault(id(made), mask)
            return self._all_of(made) if function is not None else [made]
        except (
            UnknownLayerError,
            UnknownNodeError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # settings can be anything
            del self.network.ops[count:]
            self.lowering.operations.add("")
            self.network.is_rough = True
            self.lowering.same.clear()  # what is there may have been made by operators that are gone
            is_known = isinstance(error, UnknownLayerError | UnknownNodeError)
            reason = str(error) if is_known else "invalid settings"
            label = kind if function is None or is_operation(layer) else f"{kind} {function}"
            self.unknown.append(f"{name} ({label}: {reason})" if reason else f"{name} ({label})")
            return [self._guess(call)]

    def _rule(self, layer: LayerConfig, kind: str, path: str) -> Rule | None:
        """Return the rule of a class of layers; that of one which uses a model at each step follows it."""
        inner = class_of(layer.children[0]) if layer.children else ""
        if kind != "TimeDistributed" or inner not in MODELS:
            return LAYERS.get(kind)

        def follow(call: Call) -> Value:
            self.node, self.arguments = None, {}
            outputs = self.call_model(call.layer, [call.given], call.scope, f"{path}/{call.layer.name}")
            if len(outputs) != 1:
                raise UnknownLayerError("of a model with several outputs")
            return outputs[0][1]

        return distributed({inner: follow})

    def _all_of(self, made: Value) -> list[Value]:
        """Return all outputs of the operator that made the first of them, as a function passes them on."""
        maker = self.lowering.makers.get(id(made))
        return list(maker.outputs) if maker is not None and maker.output is made else [made]

    def _variables(self, layer: LayerConfig, path: str) -> Sequence[Parameter]:
        """Return a layer's variables; `.keras` files number those of a recurrent layer, and keep them in its
        cells.
        """
        found = parameters_of(self.parameters, path)
        if found and class_of(layer) not in _WRAPPERS:
            return found
        if class_of(layer) in _WRAPPERS and layer.children:
            inner_name = layer.children[0].name
            return self._variables(layer.children[0], f"{path}/{inner_name}") or found
        if "/" in path:  # HDF5 files keep those of a model that is used at each step with the wrapper
            wrapper = parameters_of(self.parameters, path.partition("/")[0])
            inside = [each for each in wrapper if each.tensor.path.split("/")[-2:-1] == [layer.name]]
            if inside:
                return inside
        parts = [
            many
            for key, many in self.parameters.items()
            if key.startswith(f"{path}/") and key.endswith("_dense")
        ]
        if parts:  # of attention in `.keras` files
            return [each for many in parts for each in many]
        inner = [f"{child.name}/cell" for child in layer.children]
        cells = [
            many
            for key in (f"{path}/cell", f"{path}/forward_layer/cell", *inner)
            if (many := self.parameters.get(key))
        ]
        return [replace(each, name=_CELL.get(each.name, each.name)) for many in cells for each in many]

    def _guess(self, call: Call) -> Value:
        """Keep the weights of a layer that is not known, with an operator for each."""
        value = call.given
        for each in call.parameters:
            self.guessed += 4 * each.tensor.element_count
            if not each.shape or not each.tensor.element_count:
                continue
            if len(each.shape) == 2:
                weight = kernel(
                    each.tensor,
                    Layout(each.shape[0], each.shape[1], 1, 0),
                    (each.shape[1], each.shape[0]),
                    call.at(each.name),
                )
                value = call.op(
                    FULLY_CONNECTED, [value, weight, None], (*value.shape[:-1], each.shape[1]), each.name, {}
                )
            else:
                layout = Layout(each.tensor.element_count // each.shape[-1], each.shape[-1], 1)
                value = call.op(
                    MUL,
                    [value, kernel(each.tensor, layout, each.shape, call.at(each.name))],
                    value.shape,
                    each.name,
                )
        return value


def _output_keys(model: LayerConfig, count: int) -> list[str]:
    """Return what Keras 3 calls the outputs of a signature: the keys of a dictionary, else numbers."""
    layers = model.settings.get("output_layers")
    if isinstance(layers, Mapping) and all(len(list(references(one))) == 1 for one in layers.values()):
        keys = [str(key) for key in layers]
        if len(keys) == count:
            return keys
    return [f"output_{number}" for number in range(count)]


def _is_unproven(call: Call) -> bool:
    """Return whether a layer has adapters, or a bias of zeros, which the converter shares."""
    is_zero = any(
        each.name in ("bias", "beta") and each.values is not None and not each.values.any()
        for each in call.parameters
    )
    return is_zero or call.number("lora_rank", 0) > 0
