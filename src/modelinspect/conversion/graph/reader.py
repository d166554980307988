"""Read the graph after a SavedModel's signature: its nodes in the order in which the converter takes them,
calls put in place.

Sources: tensorflow/compiler/mlir/tensorflow (the importer's order: reverse post-order of a walk from the
nodes without inputs, by name), tensorflow/lite/python/lite.py (which signature is converted). Nothing is
executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelinspect.conversion.network import MARK
from modelinspect.core.artifact import DocumentKind
from modelinspect.core.names import KEY_END
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.protobuf import parse_message
from modelinspect.formats.graph.data_types import data_type
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.networks.subject import Subject

_BINARY = "SavedModel"
"""The label of a graph that is one message, and neither text nor in chunks."""
_SERVE = "serve"
_DEFAULT = "serving_default"
_MOST_NODES, _MOST_NESTING, _MOST_CALLS = 100_000, 32, 10_000
_LONGEST_WAY = 1 << 12
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
Shape = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Ref:
    """What a node takes: an output of another node, by the name of that output in the op's definition, or by
    its number.
    """

    node: Step | Given
    output: str = "0"


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What the graph is given: an input of the signature, or a variable by its name in the checkpoint."""

    name: str
    shape: Shape = None
    dtype: str = ""
    variable: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node that computes something: ``scope`` is the function that it is in, with a slash."""

    name: str
    op: str
    inputs: tuple[Ref, ...]
    attributes: Mapping[str, Any]
    scope: str = ""
    mark: str = ""

    @property
    def location(self) -> str:
        """Its name, and which call of its function it belongs to: of two calls, constants have two locations
        of one name.
        """
        return self.name + self.mark


@dataclass(slots=True)
class SavedGraph:
    """The computation of one signature; outputs have the name in the signature and that of the tensor."""

    key: str
    inputs: list[tuple[str, Given]]
    outputs: list[tuple[str, str, Ref]]
    steps: list[Step]


def read_graph(subject: Subject) -> SavedGraph:
    """Return what the converter would convert.

    Raises `UnmeasurableError` where that cannot be known, `FormatError`.
    """
    documents = [
        each
        for each in subject.artifact.documents
        if each.kind in (DocumentKind.GRAPH, DocumentKind.GRAPH_TEXT)
    ]
    if len(documents) != 1 or documents[0].label != _BINARY or documents[0].kind is not DocumentKind.GRAPH:
        raise UnmeasurableError("its graph is not in saved_model.pb, or not only there")
    stream, span = documents[0].stream, documents[0].span
    subject.limits.allow("the graph", span.size, subject.limits.structure_size, stream.member, span.offset)
    data = subject.files.open_stream(stream).read_at(span.offset, span.size)
    message: Any = parse_message("SavedModel", data, stream.member, span.offset)
    graphs = [graph for graph in message.meta_graphs if set(graph.meta_info_def.tags) == {_SERVE}]
    if len(graphs) != 1:
        raise UnmeasurableError("it has no graph, or several, for serving")
    key = _signature(graphs[0])
    return _Reader(graphs[0], subject.limits.nesting).read(key)


def _signature(graph: Any) -> str:
    """Return the signature that is converted: the only one, or the default one of what Keras exports."""
    keys = [key for key in graph.signature_def if not key.startswith("__")]
    if len(keys) == 1:
        return str(keys[0])
    nodes = graph.object_graph_def.nodes
    edges = {child.local_name for child in nodes[0].children} if len(nodes) else set()
    if _DEFAULT in keys and "serve" in edges and "_default_save_signature" not in edges:
        return _DEFAULT
    raise UnmeasurableError(
        "it has no signatures"
        if not keys
        else f"it has {len(keys)} signatures, which become as many subgraphs"
    )


@dataclass(slots=True)
class _Reader:
    """Puts the nodes of a signature in one list; ``count`` is how many nodes were gone through, ``calls`` how
    many calls.
    """

    graph: Any
    nesting: int
    functions: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    count: int = 0
    calls: int = 0

    def read(self, key: str) -> SavedGraph:
        self.functions = {
            function.signature.name: function for function in self.graph.graph_def.library.function
        }
        signature = self.graph.signature_def[key]
        inputs, given = [], {}
        for name in sorted(signature.inputs):
            info = signature.inputs[name]
            shape = (
                None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim)
            )
            one = Given(info.name, shape, data_type(info.dtype).name)
            inputs.append((name, one))
            given[info.name.partition(":")[0]] = one
        nodes = {node.name: node for node in self.graph.graph_def.node}
        wanted = {name: signature.outputs[name].name for name in sorted(signature.outputs)}
        needed = _reached(nodes, [tensor for tensor in wanted.values() if tensor], set(given))
        known: dict[str, Mapping[str, Ref] | Ref] = {name: Ref(one) for name, one in given.items()}
        variables = self._variables()
        for node in _in_order([nodes[name] for name in needed]):
            if node.name in given:
                continue
            if node.op == "VarHandleOp":
                known[node.name] = Ref(Given(node.name, _shape(node), "", ""))
            elif node.op in _CALLS:
                known[node.name] = self._called(node, known, variables)
            else:
                known[node.name] = self._step(node, known, "")
        outputs = [(name, tensor, _resolve(tensor, known)) for name, tensor in wanted.items()]
        return SavedGraph(key, inputs, outputs, self._pruned(outputs))

    def _called(
        self, node: Any, known: dict[str, Mapping[str, Ref] | Ref], variables: Mapping[str, list[Given]]
    ) -> Mapping[str, Ref]:
        """Put a call of the graph in place: the object graph says which variables it takes."""
        name = node.attr["f"].func.name
        refs = [_resolve(text, known) for text in node.input if not text.startswith("^")]
        bound = variables.get(name, [])
        first = len(refs) - len(bound)
        for place, one in enumerate(bound):
            if first >= 0 and isinstance(refs[first + place].node, Given):
                refs[first + place] = Ref(one)
        return self._body(name, refs, 0)

    def _body(self, name: str, given: list[Ref], depth: int) -> Mapping[str, Ref]:
        """Put the nodes of a function in place; return its outputs by number."""
        function = self.functions.get(name)
        if function is None or depth > min(self.nesting, _MOST_NESTING):
            raise UnmeasurableError(
                f"the function {name} is not there"
                if function is None
                else "its functions are nested too deep"
            )
        arguments = [argument.name for argument in function.signature.input_arg]
        if len(arguments) != len(given):
            raise UnmeasurableError(f"the function {name} is called with other arguments")
        self.calls += 1
        self._count(len(arguments))
        if self.calls > _MOST_CALLS:
            raise UnmeasurableError(f"its functions are called more than {_MOST_CALLS:,} times")
        mark = f"{MARK}{self.calls}" if depth else ""
        known: dict[str, Mapping[str, Ref] | Ref] = dict(zip(arguments, given, strict=True))
        for node in _in_order(function.node_def, arguments):
            if node.op in _CALLS:
                refs = [_resolve(text, known) for text in node.input if not text.startswith("^")]
                known[node.name] = self._body(node.attr["f"].func.name, refs, depth + 1)
            elif node.op == "IdentityN":
                self._count(len(node.input))
                refs = [_resolve(text, known) for text in node.input if not text.startswith("^")]
                known[node.name] = {str(place): ref for place, ref in enumerate(refs)}
            else:
                known[node.name] = self._step(node, known, f"{name}/", mark)
        made = {}
        for place, output in enumerate(function.signature.output_arg):
            made[str(place)] = _resolve(function.ret[output.name], known)
        return made

    def _step(
        self, node: Any, known: Mapping[str, Mapping[str, Ref] | Ref], scope: str, mark: str = ""
    ) -> Ref:
        self._count(1)
        inputs = tuple(_resolve(text, known) for text in node.input if not text.startswith("^"))
        if node.op in ("Identity", "StopGradient", "PreventGradient") and len(inputs) == 1:
            return inputs[0]
        step = Step(node.name, node.op, inputs, node.attr, scope, mark)
        self.steps.append(step)
        return Ref(step)

    def _count(self, more: int) -> None:
        self.count += more
        if self.count > _MOST_NODES:
            raise UnmeasurableError(
                f"its graph has more than {_MOST_NODES:,} nodes once calls are put in place"
            )

    def _pruned(self, outputs: list[tuple[str, str, Ref]]) -> list[Step]:
        """Return the steps that outputs need."""
        needed: set[int] = set()
        pending = [ref.node for *_, ref in outputs]
        while pending:
            step = pending.pop()
            if isinstance(step, Step) and id(step) not in needed:
                needed.add(id(step))
                pending += [ref.node for ref in step.inputs]
        return [step for step in self.steps if id(step) in needed]

    def _variables(self) -> dict[str, list[Given]]:
        """Return the variables that functions are bound to, by the names that they have in the checkpoint."""
        graph = self.graph.object_graph_def
        keys = _keys(graph)
        found: dict[str, list[Given]] = {}
        for name, function in graph.concrete_functions.items():
            bound = []
            for number in function.bound_inputs:
                kind = graph.nodes[number].WhichOneof("kind") if 0 <= number < len(graph.nodes) else None
                if kind != "variable":
                    bound.append(Given(f"{kind}"))
                    continue
                variable = graph.nodes[number].variable
                shape = tuple(dim.size for dim in variable.shape.dim)
                bound.append(
                    Given(variable.name, shape, data_type(variable.dtype).name, keys.get(number, ""))
                )
            found[name] = bound
        return found


def _keys(graph: Any) -> dict[int, str]:
    """Return the name of each variable in the checkpoint: the shortest way to it from the root."""
    count = len(graph.nodes)
    if not count:
        return {}
    ways: dict[int, str] = {0: ""}
    order = [0]
    for number in order:
        for child in graph.nodes[number].children:
            if 0 <= child.node_id < count and child.node_id not in ways:
                part = child.local_name.replace(".", "..").replace("/", ".S")
                ways[child.node_id] = f"{ways[number]}/{part}" if ways[number] else part
                if len(ways[child.node_id]) > _LONGEST_WAY:
                    raise UnmeasurableError("the ways through its objects are too long")
                order.append(child.node_id)
    return {
        number: way + KEY_END
        for number, way in ways.items()
        if graph.nodes[number].WhichOneof("kind") == "variable"
    }


def _resolve(text: str, known: Mapping[str, Mapping[str, Ref] | Ref]) -> Ref:
    """Return what a text like ``node``, ``node:1`` or ``node:output:0`` refers to."""
    name, *rest = text.split(":")
    found = known.get(name)
    if found is None:
        raise UnmeasurableError(f"the node {name} is not there")
    output = rest[-1] if rest else "0"
    if isinstance(found, Ref):
        if len(rest) == 2 and isinstance(found.node, Step) and found.output == "0":
            return Ref(found.node, ":".join(rest) if rest[0] not in _FIRST else rest[1])
        return found if output == "0" else Ref(found.node, output)
    if output not in found:
        raise UnmeasurableError(f"the output {text} is not there")
    return found[output]


_FIRST = frozenset(
    {
        "activations",
        "band",
        "logsoftmax",
        "output",
        "y",
        "z",
        "value",
        "product",
        "softmax",
        "features",
        "out",
        "result",
        "sum",
        "packed",
        "resized_images",
    }
)
"""What ops call their first, and mostly their only output; of those that have several, other names are left
as they are.
"""


def _shape(node: Any) -> Shape:
    return tuple(dim.size for dim in node.attr["shape"].shape.dim)


def _reached(nodes: Mapping[str, Any], wanted: Iterable[str], given: set[str]) -> list[str]:
    """Return the names of the nodes that tensors need, in the graph's order."""
    seen: set[str] = set()
    pending = [tensor.partition(":")[0] for tensor in wanted]
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        if name not in nodes:
            raise UnmeasurableError(f"the node {name} is not there")
        seen.add(name)
        if name not in given:
            pending += [text.partition(":")[0] for text in nodes[name].input if not text.startswith("^")]
    return [name for name in nodes if name in seen]


def _in_order(nodes: Iterable[Any], arguments: Iterable[str] = ()) -> Iterator[Any]:
    """Yield nodes as the importer has them: reverse post-order, what comes first by name visited last."""
    by_name = {node.name: node for node in nodes}
    users: dict[str, set[str]] = {name: set() for name in (*arguments, *by_name)}
    roots = list(arguments)
    for name, node in by_name.items():
        makers = {text.removeprefix("^").partition(":")[0] for text in node.input}
        for maker in makers:
            if maker in users:
                users[maker].add(name)
        if not makers:
            roots.append(name)
    order: list[str] = []
    seen: set[str] = set()
    pending: list[tuple[str, bool]] = [(name, False) for name in sorted(roots)]
    while pending:
        name, left = pending.pop()
        if left:
            order.append(name)
            continue
        if name in seen:
            continue
        seen.add(name)
        pending.append((name, True))
        pending += [(user, False) for user in sorted(users[name]) if user not in seen]
    if any(name not in seen for name in by_name):
        raise UnmeasurableError("its nodes take one another in a circle")
    return (by_name[name] for name in reversed(order) if name in by_name)
