"""Drop nodes and functions of a GraphDef that no output needs, where that was asked for, and list them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass
from modelinspect.encodings.protobuf import parse_message
from modelinspect.reports.wording import plural
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_MOST = 1024 * MIB
_LISTED = 20
_NO_OUTPUT = frozenset({"Const", "NoOp", "Identity"})
"""Operators whose value is of no use where nothing reads it.

Any other node without readers may be an output, or does something.
"""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Names of nodes and of functions that no output needs."""

    nodes: frozenset[str]
    functions: frozenset[str]


def shrink_graph_def(job: Job) -> Witness:
    """Write a graph again without what no output needs.

    Raises `NotShrinkableError` where that was not asked for.
    """
    name, work = job.primary, job.work
    if not work.drops(Drop.UNREACHABLE):
        raise NotShrinkableError(f"{name}: a graph is written again only with --drop unreachable")
    kind = str(job.artifact.facts.get("message", "GraphDef"))
    if job.artifact.facts.get("is_text") or kind not in ("GraphDef", "MetaGraphDef"):
        raise NotShrinkableError(f"{name}: only binary GraphDef and MetaGraphDef files are written again")
    source = job.files.open(name)
    message = _read(source, kind, job)
    graph = message if kind == "GraphDef" else message.graph_def
    gone = find_unreachable(graph, kept_by(message) if kind == "MetaGraphDef" else frozenset())
    _remove(graph, gone)
    data = message.SerializeToString(deterministic=True)
    (job.folder / name).write_bytes(data)
    saved = source.size - len(data)
    work.add(
        StepName.DROP_UNREACHABLE,
        saved,
        Drop.UNREACHABLE,
        f"{plural(len(gone.nodes), 'node')} and {plural(len(gone.functions), 'function')}",
    )
    for what, names in (("nodes", gone.nodes), ("functions", gone.functions)):
        if names:
            more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
            work.notes.append(f"dropped {what}: {', '.join(sorted(names)[:_LISTED])}{more}")
    work.dropped |= dict.fromkeys(_constants(job, gone), Drop.UNREACHABLE)
    work.changed_documents = True
    work.tick(source.size)

    def witness(after: FileSet) -> Mapping[str, int]:
        return {
            "protobuf": _compare(
                _read(source, kind, job), _read(after.open(name), kind, job), kind, gone, name
            )
        }

    return witness


def find_unreachable(graph: Any, kept: frozenset[str]) -> Unreachable:
    """Return what no output of a graph needs; ``kept`` are nodes that something outside the graph names.

    An output is a node that nothing reads, unless it only holds or passes on a value. Nothing goes where no
    output would be left.
    """
    nodes = {node.name: node for node in graph.node}
    read = {_node_of(each) for node in graph.node for each in node.input}
    outputs = [
        node.name
        for node in graph.node
        if node.name in kept or (node.name not in read and node.op not in _NO_OUTPUT)
    ]
    outputs += _last_identities(graph, read)
    if not outputs:
        return Unreachable(frozenset(), frozenset())
    reached: set[str] = set()
    pending = outputs + [node.name for node in graph.node if node.op == "Placeholder"]
    while pending:
        name = pending.pop()
        if name in reached or name not in nodes:
            continue
        reached.add(name)
        pending += [_node_of(each) for each in nodes[name].input]
    functions = _functions_used(graph, [nodes[name] for name in reached])
    return Unreachable(
        frozenset(nodes.keys() - reached),
        frozenset({each.signature.name for each in graph.library.function} - functions),
    )


def _last_identities(graph: Any, read: set[str]) -> list[str]:
    """Return Identity nodes that nothing reads and that pass on more than a constant: converters name outputs
    by them.
    """
    nodes = {node.name: node for node in graph.node}
    found = []
    for node in graph.node:
        if node.op == "Identity" and node.name not in read and node.input:
            origin = nodes.get(_node_of(node.input[0]))
            if origin is None or origin.op != "Const":
                found.append(node.name)
    return found


def _node_of(reference: str) -> str:
    """Return the node of an input: ``name``, ``name:1`` or ``^name``."""
    return reference.removeprefix("^").partition(":")[0]


def _functions_used(graph: Any, nodes: list[Any]) -> set[str]:
    library = {each.signature.name: each for each in graph.library.function}
    gradients = {each.function_name: each.gradient_func for each in graph.library.gradient}
    used: set[str] = set()
    pending = [name for node in nodes for name in _names_in(node)]
    while pending:
        name = pending.pop()
        if name in used or name not in library:
            continue
        used.add(name)
        pending += [inner for node in library[name].node_def for inner in _names_in(node)]
        pending += [inner for value in library[name].attr.values() for inner in _functions_in(value)]
        pending.append(gradients.get(name, ""))
    return used


def _names_in(node: Any) -> Iterator[str]:
    """Yield what may name a function: the operator, and attributes that hold functions or texts."""
    yield node.op
    for value in node.attr.values():
        yield from _functions_in(value)


def _functions_in(value: Any) -> Iterator[str]:
    for one in (value.func, *value.list.func):
        yield one.name
        for inner in one.attr.values():
            yield from _functions_in(inner)
    for text in (value.s, *value.list.s):
        yield text.decode("utf-8", "replace")


def kept_by(meta: Any) -> frozenset[str]:
    """Return the nodes that signatures, the saver and collections of a MetaGraphDef name.

    Raises `NotShrinkableError`.
    """
    found: set[str] = set()
    for signature in meta.signature_def.values():
        found |= {
            _node_of(info.name)
            for side in (signature.inputs, signature.outputs)
            for info in side.values()
            if info.name
        }
    saver = meta.saver_def
    found |= {
        _node_of(name)
        for name in (saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name)
        if name
    }
    for collection in meta.collection_def.values():
        if collection.HasField("any_list"):
            raise NotShrinkableError(
                "a collection of the graph holds messages of unknown kinds, which may name any node"
            )
        found |= {_node_of(name) for name in collection.node_list.value}
        for data in collection.bytes_list.value:  # variables and contexts, which name nodes in their fields
            found |= {_node_of(text) for text in _texts(data)}
    return frozenset(found)


def _texts(data: bytes) -> Iterator[str]:
    """Yield everything in serialized bytes that may be a name: runs of characters that names of nodes
    have.
    """
    word = bytearray()
    for byte in data + b"\0":
        if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_./:-^>\\"):
            word.append(byte)
            continue
        for begin in range(min(len(word), 3)):  # a length in front may look like a character of the name
            yield word[begin:].decode()
        word.clear()


def _remove(graph: Any, gone: Unreachable) -> None:
    for repeated, names in ((graph.node, gone.nodes),):
        kept = [each for each in repeated if each.name not in names]
        del repeated[:]
        repeated.extend(kept)
    functions = [each for each in graph.library.function if each.signature.name not in gone.functions]
    gradients = [each for each in graph.library.gradient if each.function_name not in gone.functions]
    if gone.functions:
        del graph.library.function[:]
        graph.library.function.extend(functions)
        del graph.library.gradient[:]
        graph.library.gradient.extend(gradients)


def _constants(job: Job, gone: Unreachable) -> list[str]:
    """Return the tensors that are stored in what goes: constants of nodes by the node's name, those of
    functions after the function's.
    """
    return [
        name
        for tensor in job.artifact.tensors
        if tensor.path in gone.nodes or tensor.path.partition("/")[0] in gone.functions
        for name in (tensor.path, *tensor.aliases)
    ]


def _compare(before: Any, after: Any, kind: str, gone: Unreachable, name: str) -> int:
    """Compare all nodes and functions that stay, and everything beside them, as the protobuf package reads
    them.
    """
    old, new = (message if kind == "GraphDef" else message.graph_def for message in (before, after))
    kept = [node for node in old.node if node.name not in gone.nodes]
    functions = [each for each in old.library.function if each.signature.name not in gone.functions]
    if kept != list(new.node):
        raise UnprovedError(f"{name}: the nodes of the result differ")
    if functions != list(new.library.function):
        raise UnprovedError(f"{name}: the functions of the result differ")
    for graph in (old, new):
        del graph.node[:]
        graph.ClearField("library")
    if before != after:
        raise UnprovedError(f"{name}: what is beside the nodes differs in the result")
    return len(kept) + len(functions)


def _read(source: Source, kind: str, job: Job) -> Any:
    job.work.limits.allow("reading the graph", source.size, _MOST, source.name)
    return parse_message(kind, source.read_at(0, source.size), source.name)
