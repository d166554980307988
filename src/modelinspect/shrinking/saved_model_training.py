"""Drop the optimizer of a SavedModel: its variables in the checkpoint, the object graphs and the graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from modelinspect.core.limits import MIB
from modelinspect.core.names import FINGERPRINT_PB, KERAS_METADATA_MESSAGE, KERAS_METADATA_PB, SAVED_MODEL_PB
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Role
from modelinspect.encodings.protobuf import parse_message
from modelinspect.errors import FormatError
from modelinspect.shrinking.bundle import Bundle
from modelinspect.shrinking.checkpoint_training import (
    OBJECT_GRAPH,
    drop_optimizer,
    forget,
    read_object_graph,
)
from modelinspect.shrinking.farmhash import fingerprint64
from modelinspect.shrinking.graph_def import kept_by
from modelinspect.shrinking.graph_savers import (
    CALLS,
    NAMES,
    RESTORE,
    SAVE,
    TENSORS,
    Removal,
    node_of,
    remove_keys,
    variable_of,
)
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName
from modelinspect.sources.files import FileSet

_MOST = 1024 * MIB
_STRING = 7
"""DT_STRING of tensorflow/core/framework/types.proto."""
_GENERIC = "_generic_user_object"
"""The kind of an object that TensorFlow loads as one without functions and values
(tensorflow/python/saved_model/load.py).
"""

Check = Callable[[FileSet], int]


@dataclass(slots=True)
class Dropped:
    """What was dropped: the new files by name, what compares each, the bytes of the checkpoint and of the
    graph that went, and the constants of the graph that changed.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    of_bundle: int = 0
    of_graph: int = 0
    changed: set[str] = field(default_factory=set)


def drop_training(job: Job, bundle: Bundle) -> Dropped:
    """Drop the optimizer's variables of a SavedModel, and the training configuration of Keras' metadata.

    Raises `NotShrinkableError` where the graph uses a variable of the optimizer in a way that is not known;
    the bundle is as before then.
    """
    dropped = Dropped()
    if any(tensor.role is Role.OPTIMIZER for tensor in job.artifact.tensors):
        _drop_variables(job, bundle, dropped)
    _drop_configuration(job, dropped)
    return dropped


def _drop_variables(job: Job, bundle: Bundle, dropped: Dropped) -> None:
    if OBJECT_GRAPH not in bundle.entries:
        raise NotShrinkableError("it has no object graph, as TensorFlow 1 writes it")
    source = job.files.open(SAVED_MODEL_PB)
    job.work.limits.allow("reading the graph", source.size, _MOST, source.name)
    data = source.read_at(0, source.size)
    model: Any = parse_message("SavedModel", data, SAVED_MODEL_PB)
    if len(model.meta_graphs) != 1:
        raise NotShrinkableError(f"it has {len(model.meta_graphs):,} graphs")
    graph = read_object_graph(bundle)
    entry = type(bundle.entries[OBJECT_GRAPH])()
    entry.CopyFrom(bundle.entries[OBJECT_GRAPH])
    saved = drop_optimizer(bundle, job.artifact)
    if not saved:
        return
    keys = frozenset(bundle.dropped)
    meta = model.meta_graphs[0]
    try:
        _forget_objects(meta, graph, {key.decode("utf-8", "replace") for key in keys})
        removal = remove_keys(meta.graph_def, keys, kept_by(meta))
    except NotShrinkableError:
        bundle.dropped.clear()
        bundle.replaced.clear()
        bundle.entries[OBJECT_GRAPH] = entry
        raise
    dropped.changed |= removal.constants | _replace_object_graph(meta.graph_def, keys)
    dropped.files[SAVED_MODEL_PB] = model.SerializeToString(deterministic=True)
    dropped.of_bundle = saved
    dropped.of_graph = len(data) - len(dropped.files[SAVED_MODEL_PB])
    dropped.checks.append(lambda after: _compare_graphs(data, after, removal, keys))


def _forget_objects(meta: Any, graph: Any, keys: set[str]) -> None:
    """Take the objects of variables out of the graph of saved objects, whose nodes have the numbers of those
    of the checkpoint's object graph.
    """
    saved = meta.object_graph_def
    if len(saved.nodes) != len(graph.nodes):
        raise NotShrinkableError("its two object graphs have different objects")
    gone: set[int] = set()
    for number, (node, tracked) in enumerate(zip(saved.nodes, graph.nodes, strict=True)):
        held = [each for each in tracked.attributes if each.checkpoint_key in keys]
        if not held:
            continue
        if len(held) < len(tracked.attributes) or node.WhichOneof("kind") != "variable":
            raise NotShrinkableError(f"object {number} is not only a variable of the optimizer")
        if held[0].full_name and held[0].full_name != node.variable.name:
            raise NotShrinkableError(f"object {number} has two names")
        gone.add(number)
    for name, function in saved.concrete_functions.items():
        if gone & set(function.bound_inputs):
            raise NotShrinkableError(f"function {name} uses a variable of the optimizer")
    for number, node in enumerate(saved.nodes):
        if number in gone:
            node.user_object.identifier = _GENERIC  # replaces the variable: a node is of one kind
            node.user_object.version.producer = 1
            node.user_object.version.min_consumer = 1
        for references in (node.children, node.dependencies):
            left = [each for each in references if each.node_id not in gone]
            if len(left) < len(references):
                _refill(references, left)
        slots = [each for each in node.slot_variables if each.slot_variable_node_id not in gone]
        if len(slots) < len(node.slot_variables):
            _refill(node.slot_variables, slots)


def _replace_object_graph(graph: Any, keys: frozenset[bytes]) -> set[str]:
    """Take keys out of the object graph that the graph holds as a constant, for saving it again, and return
    the constant's name.
    """
    texts = {key.decode("utf-8", "replace") for key in keys}
    found: set[str] = set()
    for node in graph.node:
        if node.op != "Const" or node.attr["dtype"].type != _STRING:
            continue
        tensor = node.attr["value"].tensor
        if len(tensor.string_val) != 1 or not any(key in tensor.string_val[0] for key in keys):
            continue
        try:
            held: Any = parse_message("TrackableObjectGraph", tensor.string_val[0], SAVED_MODEL_PB)
        except FormatError:
            continue
        count = len(held.nodes)
        if all(each.slot_variable_node_id < count for one in held.nodes for each in one.slot_variables):
            forget(held, texts)
            tensor.string_val[0] = held.SerializeToString(deterministic=True)
            found.add(node.name)
    return found


def _drop_configuration(job: Job, dropped: Dropped) -> None:
    """Drop the training configuration of Keras' metadata."""
    if KERAS_METADATA_PB not in job.files.names():
        return
    source = job.files.open(KERAS_METADATA_PB)
    if source.size > _MOST:
        return
    data = source.read_at(0, source.size)
    metadata = parse_message(KERAS_METADATA_MESSAGE, data, KERAS_METADATA_PB)
    for node in metadata.nodes:  # type: ignore[attr-defined]
        try:
            config = json.loads(node.metadata)
        except (ValueError, RecursionError):
            continue
        if isinstance(config, dict) and config.pop("training_config", None) is not None:
            node.metadata = json.dumps(config)
    made = metadata.SerializeToString(deterministic=True)
    if len(made) < len(data):
        dropped.files[KERAS_METADATA_PB] = made
        job.work.add(
            StepName.STRIP_TRAINING_CONFIG,
            len(data) - len(made),
            Drop.TRAINING,
            "the training configuration that Keras keeps",
        )
        dropped.checks.append(lambda after: _compare_metadata(data, after))


def write_fingerprint(job: Job, index: bytes, graph: bytes | None) -> None:
    """Bring the hashes of a SavedModel up to date: of the variables' index and, where it changed, the graph
    (tensorflow/cc/saved_model/fingerprinting.cc).

    The checksum of the whole graph is of the bytes that TensorFlow's C++ library writes for it, whose order
    is its own; it is left out where the graph changed.
    """
    path = job.folder / FINGERPRINT_PB
    found: Any = parse_message("FingerprintDef", path.read_bytes(), FINGERPRINT_PB)
    found.checkpoint_hash = fingerprint64(index)
    if graph is not None:
        model: Any = parse_message("SavedModel", graph, SAVED_MODEL_PB)
        found.ClearField("saved_model_checksum")
        found.graph_def_program_hash = program_hash(model.meta_graphs[0].graph_def)
        job.work.notes.append(
            f"{FINGERPRINT_PB} has no checksum of {SAVED_MODEL_PB} any more; its other hashes are those of"
            " the result"
        )
    path.write_bytes(found.SerializeToString(deterministic=True))


def program_hash(graph: Any) -> int:
    """Return the hash of a graph without what differs between platforms and runs
    (tensorflow/core/graph/regularization/simple_delete.cc).
    """
    plain = type(graph)()
    plain.CopyFrom(graph)
    for node in plain.node:
        if node.op in CALLS:
            function = node.attr["f"].func
            number = function.name.rpartition("_")[2]
            if number.isdecimal():
                function.name = function.name.removesuffix(str(int(number)))
            if "config_proto" in node.attr:
                node.attr["config_proto"].s = b""
        if node.op in ("Const", "HostConst") and node.attr["dtype"].type == _STRING:
            node.attr["value"].Clear()
    for part in (plain.library, plain.versions):
        part.Clear()
        part.SetInParent()
    return fingerprint64(plain.SerializeToString(deterministic=True))


def _compare_graphs(before: bytes, after: FileSet, removal: Removal, keys: frozenset[bytes]) -> int:
    """Compare the graphs as the protobuf package reads them: what saves and restores each variable that
    stays, every other node and function, and every object that stays.

    Returns how many nodes and functions are equal. Raises `UnprovedError`.
    """
    source = after.open(SAVED_MODEL_PB)
    old, new = (
        parse_message("SavedModel", data, SAVED_MODEL_PB).meta_graphs[0]  # type: ignore[attr-defined]
        for data in (before, source.read_at(0, source.size))
    )
    expected = {pair: name for pair, name in saved_variables(old.graph_def).items() if pair[1] not in keys}
    if saved_variables(new.graph_def) != expected:
        raise UnprovedError("the functions of the result do not save and restore the variables that stay")
    nodes = [node for node in old.graph_def.node if node.name not in removal.nodes]
    if [node.name for node in nodes] != [node.name for node in new.graph_def.node]:
        raise UnprovedError("the graph of the result has other nodes")
    equal = 0
    for one, other in zip(nodes, new.graph_def.node, strict=True):
        calls = one.op in CALLS and one.attr["f"].func.name in removal.functions
        text = one.op == "Const" and one.attr["dtype"].type == _STRING
        if one != other and not calls and not text:
            raise UnprovedError(f"node {one.name} differs in the result")
        equal += one == other
    pairs = zip(old.graph_def.library.function, new.graph_def.library.function, strict=True)
    for one, other in pairs:
        if one != other and one.signature.name not in removal.functions:
            raise UnprovedError(f"function {one.signature.name} differs in the result")
        equal += one == other
    if old.object_graph_def.concrete_functions != new.object_graph_def.concrete_functions:
        raise UnprovedError("the functions of objects differ in the result")
    for one, other in zip(old.object_graph_def.nodes, new.object_graph_def.nodes, strict=True):
        if one.WhichOneof("kind") == "variable" and other.WhichOneof("kind") == "variable":
            equal += one == other
        elif one.WhichOneof("kind") != "variable" and one.WhichOneof("kind") != other.WhichOneof("kind"):
            raise UnprovedError("an object of the result is of another kind")
    for meta in (old, new):
        meta.ClearField("graph_def")
        meta.ClearField("object_graph_def")
    if old != new:
        raise UnprovedError("what is beside the graph differs in the result")
    return equal


def _compare_metadata(before: bytes, after: FileSet) -> int:
    """Compare Keras' metadata but for the training configuration. Raises `UnprovedError`."""
    source = after.open(KERAS_METADATA_PB)
    sides = []
    for data in (before, source.read_at(0, source.size)):
        message: Any = parse_message(KERAS_METADATA_MESSAGE, data, KERAS_METADATA_PB)
        texts = []
        for node in message.nodes:
            try:
                value = json.loads(node.metadata)
            except (ValueError, RecursionError):
                value = node.metadata
            texts.append({**value, "training_config": None} if isinstance(value, dict) else value)
            node.metadata = ""
        sides.append((message.SerializeToString(deterministic=True), texts))
    if sides[0] != sides[1]:
        raise UnprovedError(f"{KERAS_METADATA_PB} differs in the result beyond its training configuration")
    return len(sides[0][1])


def _refill(repeated: Any, values: list[Any]) -> None:
    copies = []
    for value in values:
        copy = type(value)()
        copy.CopyFrom(value)
        copies.append(copy)
    del repeated[:]
    repeated.extend(copies)


def saved_variables(graph: Any) -> dict[tuple[str, bytes], str]:
    """Return the variable of the main graph that each key is saved from and restored to, by operator and key.

    This reads a graph in another way than it is changed: from what a call is given, into the function.
    """
    functions = {each.signature.name: each for each in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    found: dict[tuple[str, bytes], str] = {}
    for call in graph.node:
        function = functions.get(call.attr["f"].func.name) if call.op in CALLS else None
        savers = [node for node in function.node_def if node.op in (SAVE, RESTORE)] if function else []
        for saver in savers:
            found |= _pairs(function, saver, [variable_of(nodes, one) for one in call.input])
    return found


def _pairs(function: Any, saver: Any, variables: Sequence[str]) -> dict[tuple[str, bytes], str]:
    """Return the variables of one operator by its name and key."""
    inner = {node.name: node for node in function.node_def}
    place = {each.name: index for index, each in enumerate(function.signature.input_arg)}
    tensor = inner[node_of(saver.input[NAMES])].attr["value"].tensor
    keys = list(tensor.string_val)
    found: dict[tuple[str, bytes], str] = {}
    if saver.op == SAVE:
        for key, one in zip(keys, saver.input[TENSORS:], strict=False):
            name = variable_of(inner, one)
            found[SAVE, key] = variables[place[name]] if name in place else f"constant {name}"
        return found
    origin: dict[str, int] = {}
    for node in function.node_def:
        for one in node.input[:1] if node.op == "Identity" else node.input[1:2]:
            if node_of(one) == saver.name:
                origin[node.name] = int(one.rpartition(":")[2])
    for node in function.node_def:
        if node.op == "AssignVariableOp":
            source = node_of(node.input[1])
            number = origin.get(node.name, origin.get(source))
            if number is not None:
                found[RESTORE, keys[number]] = variables[place[node_of(node.input[0])]]
    return found
