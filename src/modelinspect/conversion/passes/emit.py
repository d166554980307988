"""Write a converted network as the tree of a TFLite file, with the names that the converter gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from modelinspect.conversion.forms.rewrite import numbers
from modelinspect.conversion.network import MARK, Constant, Network, Op, Value
from modelinspect.conversion.operators import (
    ADD,
    BOOL,
    DIV,
    FULLY_CONNECTED,
    GATHER,
    INT64,
    MAXIMUM,
    MINIMUM,
    MUL,
    PAD,
    REVERSE,
    SEQUENCE_LSTM,
    STRIDED_SLICE,
    SUB,
    TRANSPOSE,
)
from modelinspect.conversion.passes.groups import constants_in_order
from modelinspect.conversion.passes.moved import forget_moved
from modelinspect.conversion.passes.order import in_order
from modelinspect.conversion.releases import NEWEST, ConstantNames, Release
from modelinspect.conversion.tree import Node, Vector
from modelinspect.conversion.tree import Value as Held
from modelinspect.core.names import CONVERSION_METADATA, MIN_RUNTIME_VERSION
from modelinspect.core.records import dataclass, field

_DESCRIPTION = b"MLIR Converted."
_METADATA = ((MIN_RUNTIME_VERSION.encode(), 16), (CONVERSION_METADATA.encode(), 96))

_PLAIN_RANK = 4
_BROADCAST = {DIV: 2, MAXIMUM: 3, MINIMUM: 3, SUB: 3}
"""The versions that two tensors of different shapes need, one of them of more than four axes."""
_LONG = {ADD: 4, MUL: 5, SUB: 4}
"""The versions that 64-bit integers need."""
_LARGE = {PAD: 4, STRIDED_SLICE: 4, TRANSPOSE: 4}
_TRUTH = {GATHER: 3, REVERSE: 2}
"""The versions that truth values need."""
_KEEPS_DIMENSIONS = 5
"""The versions that tensors of more than four axes need, and products that keep their axes."""


def emit(network: Network, caller: str, release: Release = NEWEST) -> tuple[Node, dict[int, Constant]]:
    """Return the tree, and the constants by the index of their buffer; ``caller`` is the name of the call
    that makes the outputs.
    """
    return _Emitter(caller, release).run(network)


@dataclass(slots=True)
class _Emitter:
    caller: str
    release: Release
    tensors: list[Node] = field(default_factory=list)
    buffers: list[Node] = field(default_factory=lambda: [Node("Buffer")])
    names: dict[str, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)
    shared: dict[object, int] = field(default_factory=dict)
    constants: dict[int, Constant] = field(default_factory=dict)

    def run(self, network: Network) -> tuple[Node, dict[int, Constant]]:
        """Write a network, and those that its loops run after it."""
        networks = [network]
        graphs: list[Node] = []
        codes: dict[tuple[int, str], int] = {}
        places: dict[int, int] = {}
        for one in networks:  # which grows
            graphs.append(self._graph(one, networks, codes))
            places = places or self.places
            self.tensors, self.places = [], {}
        self.places = places
        return self._model(network, codes, graphs, _versions(networks)), self.constants

    def _graph(self, network: Network, networks: list[Network], codes: dict[tuple[int, str], int]) -> Node:
        is_main = network is networks[0]
        outputs = (
            {id(value): f"{self.caller}:{number}" for number, (_, value) in enumerate(network.outputs)}
            if is_main
            else {}
        )
        for name, value in network.inputs:
            self._add(
                value, f"serving_default_{name}:0" if is_main else f"{network.name}_arg{len(self.tensors)}"
            )
        for name in _nothing(network) if is_main else ():
            self._unique(name)
        if self.release.constants is ConstantNames.USERS:
            constants = in_order(network)
        else:
            older = forget_moved(network, constants_in_order(network), self.release)
            constants = [each.value for each in older]
        for value in constants:
            self._add(value)
        operators = []
        for op in network.ops:
            for value in (
                *(each for each in op.inputs if each is not None and each.is_variable),
                *op.outputs,
            ):
                self._add(value, outputs.get(id(value), ""))
            operators.append(self._operator(op, networks, codes))
        values: dict[str, Held] = {
            "inputs": numbers(*(self.places[id(value)] for _, value in network.inputs)),
            "outputs": numbers(*(self.places[id(value)] for _, value in network.outputs)),
            "name": network.name.encode(),
        }
        return Node("SubGraph", values, {}, {"tensors": self.tensors, "operators": operators})

    def _operator(self, op: Op, networks: list[Network], codes: dict[tuple[int, str], int]) -> Node:
        given = op.inputs[: len(op.inputs) - op.captured]
        values: dict[str, Held] = {
            "inputs": numbers(*(-1 if value is None else self.places[id(value)] for value in given)),
            "outputs": numbers(*(self.places[id(value)] for value in op.outputs)),
            "opcode_index": codes.setdefault((op.code, ""), len(codes)),
        }
        node = Node("Operator", values)
        if op.code == SEQUENCE_LSTM:
            node.set(intermediates=numbers())
        if op.options is not None:
            node.set(builtin_options_type=op.number)
            node.set_node("builtin_options", op.options)
        if op.networks and op.options is not None:
            op.options.set(cond_subgraph_index=len(networks), body_subgraph_index=len(networks) + 1)
            names = op.output.location[0]
            count = self.loops.get(names, 0)
            self.loops[names] = count + 1
            for one in op.networks:
                one.name = (
                    one.name.replace(names, f"{names}{count or ''}", 1)
                    if one.name.startswith(names)
                    else one.name
                )
                for inner, outer in zip(one.captures, op.inputs[len(given) :], strict=False):
                    inner.constant, inner.location = (
                        (outer.constant, outer.location) if outer is not None else (None, ())
                    )
            networks += op.networks
        return node

    def _add(self, value: Value, name: str = "") -> None:
        """Add a tensor; a constant with the same elements as another shares its buffer."""
        if id(value) in self.places:
            return
        self.places[id(value)] = len(self.tensors)
        label = name or ";".join(value.location) or "arith.constant"
        node = Node(
            "Tensor",
            {
                "shape": numbers(*(max(length, 1) for length in value.shape)),
                "has_rank": True,
                "type": value.kind,
            },
        )
        # "base" is what it is called before numbers are added: no field of the schema
        node.set(name=name.encode() if name else self._unique(label), base=b"" if name else label.encode())
        if value.is_variable:  # its zeros are stored, and it does not refer to them
            size = 4 * prod(value.shape)
            self._buffer(Constant(size, key=("variable", size)))
            node.set(buffer=0, is_variable=True, zeros=len(self.buffers) - 1)
        else:
            node.set(buffer=self._buffer(value.constant))
        if value.constant is not None and value.constant.is_all(0.0):
            # the buffer that is its own, should it need one: no field of the schema
            node.set(zeros=len(self.buffers) - 1)
        if any(length < 0 for length in value.shape):
            node.set(shape_signature=numbers(*(max(length, -1) for length in value.shape)))
        node.set_node("quantization", Node("QuantizationParameters"))
        self.tensors.append(node)

    def _buffer(self, constant: Constant | None) -> int:
        if constant is not None and constant.key is not None and constant.key in self.shared:
            self.buffers.append(Node("Buffer"))  # its own is there, and empty
            return self.shared[constant.key]
        self.buffers.append(
            Node("Buffer", {"data": Vector(constant.size, 1)} if constant is not None else {})
        )
        place = len(self.buffers) - 1
        if constant is not None:
            if constant.key is not None:
                self.shared[constant.key] = place
            self.constants[place] = constant
        return place

    def _unique(self, name: str) -> bytes:
        """Return a name that no other tensor has: one that is taken gets a number, as OpOrArgLocNameMapper
        gives it.
        """
        if name not in self.names:
            self.names[name] = 1
            return name.encode()
        made = name
        while made in self.names:
            made = f"{name}{self.names[name]}"
            self.names[name] += 1
        self.names[made] = 1
        return made.encode()

    def _model(
        self,
        network: Network,
        codes: Mapping[tuple[int, str], int],
        graphs: list[Node],
        versions: Mapping[int, int],
    ) -> Node:
        inputs = [(name, self.places[id(value)]) for name, value in network.inputs]
        outputs = [(name, self.places[id(value)]) for name, value in network.outputs]
        entries = []
        for name, size in _METADATA:
            self.buffers.append(Node("Buffer", {"data": Vector(size, 1)}))
            entries.append(Node("Metadata", {"name": name, "buffer": len(self.buffers) - 1}))
        signature = Node(
            "SignatureDef",
            {"signature_key": b"serving_default"},
            {},
            {"inputs": _maps(inputs), "outputs": _maps(outputs)},
        )
        lists = {
            "operator_codes": [_code(code, versions.get(code, 1)) for code, _ in codes],
            "subgraphs": graphs,
            "buffers": self.buffers,
            "metadata": entries,
            "signature_defs": [signature],
        }
        return Node("Model", {"version": 3, "description": _DESCRIPTION}, {}, lists)


def _nothing(network: Network) -> Iterator[str]:
    """Yield the name that is taken by the bias which the only matrix product does not have: in MLIR it is a
    constant too. Those of several products are one, which has no name.
    """
    products = [op for op in network.ops if op.code == FULLY_CONNECTED]
    if len(products) == 1 and products[0].inputs[2:] == [None] and products[0].inputs[1] is not None:
        names = network.unbiased.get(id(products[0]), products[0].inputs[1].location)
        yield ";".join(dict.fromkeys(name.partition(MARK)[0] for name in names))


def _versions(networks: Sequence[Network]) -> dict[int, int]:
    """Return the version of each operator code: the highest that any of its operators needs."""
    found: dict[int, int] = {}
    for op in (op for network in networks for op in network.ops):
        found[op.code] = max(found.get(op.code, 1), op.version, _needed(op))
    return found


def _needed(op: Op) -> int:
    """Return the version of an operator that its options and the rank of what it takes need
    (op_version.cc).
    """
    given = next((value for value in op.inputs if value is not None), None)
    rank = len(given.shape) if given is not None else 0
    if given is not None and given.kind == BOOL and op.code in _TRUTH:
        return _TRUTH[op.code]
    if op.code == FULLY_CONNECTED and op.options is not None and op.options.values.get("keep_num_dims"):
        return _KEEPS_DIMENSIONS
    if given is not None and given.kind == INT64 and op.code in _LONG:
        return _LONG[op.code]
    shapes = {value.shape for value in op.inputs if value is not None}
    if op.code in _BROADCAST and len(shapes) > 1 and max(map(len, shapes)) > _PLAIN_RANK:
        return _BROADCAST[op.code]
    return 1 if rank <= _PLAIN_RANK else _LARGE.get(op.code, 1)


def _code(code: int, version: int) -> Node:
    return Node(
        "OperatorCode", {"deprecated_builtin_code": min(code, 127), "builtin_code": code, "version": version}
    )


def _maps(pairs: Sequence[tuple[str, int]]) -> list[Node]:
    return [Node("TensorMap", {"name": name.encode(), "tensor_index": index}) for name, index in pairs]
