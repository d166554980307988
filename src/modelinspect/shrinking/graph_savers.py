"""Take variables out of the functions by which a SavedModel saves and restores its variables.

TensorFlow writes one function with a ``SaveV2`` operator and one with ``RestoreV2``
(tensorflow/python/checkpoint/functional_saver.py). Each holds the keys of the checkpoint in a constant, and
takes the variables as arguments. With a key go its element of the constants, what reads and assigns the
variable, the function's argument, and the variable of the graph; where something else uses the variable, it
cannot go.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from modelinspect.core.records import dataclass, field
from modelinspect.shrinking.steps import NotShrinkableError

SAVE, RESTORE = "SaveV2", "RestoreV2"
NAMES, _SLICES, TENSORS = 1, 2, 3
"""The inputs of ``SaveV2`` and ``RestoreV2``: a prefix, keys, slices, and, to save, the tensors."""
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
READS = frozenset({"Identity", "ReadVariableOp", "DisableCopyOnRead"})
_ASSIGNS = frozenset({"Identity", "AssignVariableOp"})
_STRING = 7
"""DT_STRING of tensorflow/core/framework/types.proto."""


@dataclass(slots=True)
class Removal:
    """What was taken out of a graph: nodes of the graph, functions that were changed, and their constants
    that lost elements.
    """

    nodes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)
    """Names of constants as ``function/node``."""


def remove_keys(graph: Any, keys: frozenset[bytes], kept: frozenset[str]) -> Removal:
    """Take checkpoint keys out of all functions of a graph that save or restore them; ``kept`` are nodes that
    something beside the graph names.

    Raises `NotShrinkableError` where a variable of them is used otherwise; the graph is changed in part then.
    """
    if any(node.op in (SAVE, RESTORE) for node in graph.node):
        raise NotShrinkableError(
            "its save and restore operators are in the main graph, as TensorFlow 1 writes it"
        )
    removal = Removal()
    variables: set[str] = set()
    for function in graph.library.function:
        savers = [node for node in function.node_def if node.op in (SAVE, RESTORE)]
        editor = _Function(function)
        for node in savers:
            editor.drop(node, keys)
        if not editor.changed:
            continue
        removal.functions.add(function.signature.name)
        removal.constants |= {f"{function.signature.name}/{name}" for name in editor.constants}
        gone = editor.finish()
        for call in _calls(graph, function.signature.name):
            variables |= {node_of(call.input[index]) for index in gone}
            _drop_arguments(call, gone)
    if not removal.functions or keys & _keys(graph):
        raise NotShrinkableError("the functions that save and restore are of an unknown form")
    removal.nodes = _drop_variables(graph, variables, kept)
    return removal


def _keys(graph: Any) -> set[bytes]:
    """Return every text of the constants of functions that save or restore."""
    found: set[bytes] = set()
    for function in graph.library.function:
        if any(node.op in (SAVE, RESTORE) for node in function.node_def):
            for node in function.node_def:
                if node.op == "Const" and node.attr["dtype"].type == _STRING:
                    found |= set(node.attr["value"].tensor.string_val)
    return found


class _Function:
    """A function whose savers lose elements."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._nodes = {node.name: node for node in function.node_def}
        self._readers: defaultdict[str, list[Any]] = defaultdict(list)
        self._uses: Counter[str] = Counter()
        for node in function.node_def:
            names = [node_of(one) for one in node.input if not one.startswith("^")]
            self._uses.update(names)
            for name in dict.fromkeys(names):
                self._readers[name].append(node)
        self._gone: set[str] = set()
        self._free: list[str] = []  # what lost a reader
        self.constants: set[str] = set()
        self.changed = False

    def drop(self, saver: Any, keys: frozenset[bytes]) -> None:
        """Drop the elements of one ``SaveV2`` or ``RestoreV2`` whose keys go."""
        names = self._texts(saver, NAMES)
        indexes = [index for index, name in enumerate(names) if name in keys]
        if not indexes:
            return
        if len(indexes) == len(names):
            raise NotShrinkableError("nothing else is saved with the optimizer")
        self.changed = True
        held = sum(not one.startswith("^") for one in saver.input)
        if held != TENSORS + (len(names) if saver.op == SAVE else 0):
            raise NotShrinkableError("an operator that saves has more or fewer tensors than names")
        for place in (NAMES, _SLICES):
            if len(self._texts(saver, place)) != len(names):
                raise NotShrinkableError("an operator that saves has lists of different lengths")
            self._shorten(self._constant(saver, place), indexes)
        _delete(saver.attr["dtypes"].list.type, indexes)
        if saver.op == SAVE:
            places = [TENSORS + index for index in indexes]
            self._release(saver.input[index] for index in places)
            _delete(saver.input, places)
        else:
            shapes = saver.attr["_output_shapes"].list.shape if "_output_shapes" in saver.attr else []
            if len(shapes) == len(names):
                _delete(shapes, indexes)
            self._renumber(saver.name, indexes, len(names))

    def finish(self) -> list[int]:
        """Remove what only served the elements that went, and return the indexes of arguments that nothing
        uses any more.
        """
        arguments = {each.name: index for index, each in enumerate(self._function.signature.input_arg)}
        unused = sorted(arguments[name] for name in self._drop_producers(arguments.keys()))
        for node in self._function.node_def:
            kept = [one for one in node.input if not one.startswith("^") or one[1:] not in self._gone]
            if len(kept) < len(node.input):
                _replace(node.input, kept)
        if any(node_of(one) in self._gone for one in self._function.ret.values()):
            raise NotShrinkableError("a function returns what it restores")
        controls = {key for key, name in self._function.control_ret.items() if name in self._gone}
        for key in controls:
            del self._function.control_ret[key]
        _replace(
            self._function.signature.control_output,
            [one for one in self._function.signature.control_output if one not in controls],
        )
        _replace(
            self._function.node_def, [node for node in self._function.node_def if node.name not in self._gone]
        )
        self._drop_arguments(unused)
        return unused

    def _constant(self, saver: Any, place: int) -> Any:
        node = self._nodes.get(node_of(saver.input[place])) if len(saver.input) > place else None
        if node is None or node.op != "Const" or node.attr["dtype"].type != _STRING:
            raise NotShrinkableError("the names that an operator saves are not a constant")
        if [one.name for one in self._readers[node.name]] != [saver.name]:
            raise NotShrinkableError("a constant of names is read by several operators")
        return node

    def _texts(self, saver: Any, place: int) -> list[bytes]:
        """Return the elements of a constant of texts; the last one is repeated where fewer are stored."""
        tensor = self._constant(saver, place).attr["value"].tensor
        texts: list[bytes] = list(tensor.string_val)
        dims = [each.size for each in tensor.tensor_shape.dim]
        if len(dims) != 1 or not texts or len(texts) > dims[0] or dims[0] > _MOST:
            raise NotShrinkableError("the names that an operator saves are not a list")
        missing: int = dims[0] - len(texts)
        return texts + texts[-1:] * missing

    def _shorten(self, node: Any, indexes: list[int]) -> None:
        tensor = node.attr["value"].tensor
        texts = list(tensor.string_val)
        texts += texts[-1:] * (tensor.tensor_shape.dim[0].size - len(texts))
        kept = [text for index, text in enumerate(texts) if index not in set(indexes)]
        _replace(tensor.string_val, kept)
        tensor.tensor_shape.dim[0].size = len(kept)
        if "_output_shapes" in node.attr:
            for shape in node.attr["_output_shapes"].list.shape:
                for dim in shape.dim[:1]:
                    dim.size = len(kept)
        self.constants.add(node.name)

    def _renumber(self, name: str, indexes: list[int], count: int) -> None:
        """Give the outputs that are left of a ``RestoreV2`` their new numbers, and remove what assigns the
        others.
        """
        place = {old: new for new, old in enumerate(sorted(set(range(count)) - set(indexes)))}
        for node in self._function.node_def:
            for at, one in enumerate(node.input):
                parts = one.split(":")
                if parts[0] != name or len(parts) != 3:
                    continue
                number = int(parts[2]) if parts[2].isdecimal() else -1
                if number in place:
                    node.input[at] = f"{parts[0]}:{parts[1]}:{place[number]}"
                else:
                    self._remove_forward(node)
        for value in self._function.ret.values():
            if value.split(":")[0] == name:
                raise NotShrinkableError("a function returns what it restores")

    def _remove_forward(self, node: Any) -> None:
        """Remove a node that uses what is not restored any more, and all that use it."""
        pending = [node]
        while pending:
            one = pending.pop()
            if one.name in self._gone:
                continue
            if one.op not in _ASSIGNS:
                raise NotShrinkableError(f"operator {one.op} uses what is restored")
            self._remove(one)
            pending += self._readers[one.name]

    def _remove(self, node: Any) -> None:
        self._gone.add(node.name)
        self._release(one for one in node.input if not one.startswith("^"))

    def _release(self, references: Iterable[str]) -> None:
        """Count what loses a reader."""
        for one in references:
            self._uses[node_of(one)] -= 1
            self._free.append(node_of(one))

    def _drop_producers(self, arguments: Collection[str]) -> set[str]:
        """Remove the nodes that only made what is not used any more, and return the unused arguments."""
        unused: set[str] = set()
        while self._free:
            name = self._free.pop()
            if name in arguments:
                copies = [
                    one
                    for one in self._readers[name]
                    if one.op == "DisableCopyOnRead" and one.name not in self._gone
                ]
                if self._uses[name] == len(copies):
                    unused.add(name)
                    for one in copies:
                        self._remove(one)
                continue
            node = self._nodes.get(name)
            if node is not None and name not in self._gone and node.op in READS and not self._uses[name]:
                self._remove(node)
        return unused

    def _drop_arguments(self, unused: list[int]) -> None:
        _delete(self._function.signature.input_arg, unused)
        for numbered in (self._function.arg_attr, self._function.resource_arg_unique_id):
            _renumber_map(numbered, unused)
        if "_input_shapes" in self._function.attr:
            shapes = self._function.attr["_input_shapes"].list.shape
            if len(shapes) == len(self._function.signature.input_arg) + len(unused):
                _delete(shapes, unused)


_MOST = 1 << 20
"""Names that an operator may save."""


def _calls(graph: Any, name: str) -> list[Any]:
    """Return the nodes that call a function. Raises `NotShrinkableError` where something else names it."""
    found = []
    for node in [*graph.node, *(one for function in graph.library.function for one in function.node_def)]:
        named = node.op == name or any(name in _functions_in(value) for value in node.attr.values())
        if not named:
            continue
        if node.op not in CALLS or node.attr["f"].func.name != name:
            raise NotShrinkableError(f"operator {node.op} names the function that saves or restores")
        found.append(node)
    if any(name in (each.function_name, each.gradient_func) for each in graph.library.gradient):
        raise NotShrinkableError("the function that saves or restores has a gradient")
    return found


def _functions_in(value: Any) -> set[str]:
    return {one.name for one in (value.func, *value.list.func) if one.name}


def _drop_arguments(call: Any, indexes: list[int]) -> None:
    """Drop inputs of a call; its inputs of data come first."""
    _delete(call.input, indexes)
    if "Tin" in call.attr:
        _delete(call.attr["Tin"].list.type, indexes)
    if "_read_only_resource_inputs" in call.attr:
        gone = set(indexes)
        numbers = call.attr["_read_only_resource_inputs"].list.i
        _replace(numbers, [_shifted(number, indexes) for number in numbers if number not in gone])


def _drop_variables(graph: Any, names: Iterable[str], kept: frozenset[str]) -> set[str]:
    """Remove variables, and what reads them for nobody, from the main graph and return the names of the
    nodes.

    Raises `NotShrinkableError` where something else uses one.
    """
    nodes = {node.name: node for node in graph.node}
    readers: defaultdict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for one in dict.fromkeys(map(node_of, node.input)):
            readers[one].append(node)
    gone: set[str] = set()
    for name in sorted({variable_of(nodes, each) for each in names}):
        if name not in nodes or nodes[name].op != "VarHandleOp":
            raise NotShrinkableError(f"{name} is saved and is not a variable")
        waste = [
            one for one in readers[name] if one.op in READS and one.name not in kept and not readers[one.name]
        ]
        other = [one for one in readers[name] if one not in waste]
        if other or name in kept:
            user = f"operator {other[0].op}" if other else "a signature or collection"
            raise NotShrinkableError(f"{user} of the graph uses {name}")
        gone |= {name, *(one.name for one in waste)}
    _replace(graph.node, [node for node in graph.node if node.name not in gone])
    return gone


def variable_of(nodes: Mapping[str, Any], reference: str) -> str:
    """Return the node whose value a reference to a graph reads."""
    name = node_of(reference)
    passed: set[str] = set()
    while name in nodes and nodes[name].op in READS and nodes[name].input and name not in passed:
        passed.add(name)
        name = node_of(nodes[name].input[0])
    return name


def node_of(reference: str) -> str:
    """Return the node of an input: ``name``, ``name:1``, ``name:output:0`` or ``^name``."""
    return reference.removeprefix("^").partition(":")[0]


def _delete(repeated: Any, indexes: list[int]) -> None:
    if indexes and max(indexes) >= len(repeated):
        raise NotShrinkableError("an operator that saves or restores lacks attributes")
    for index in sorted(indexes, reverse=True):
        del repeated[index]


def _replace(repeated: Any, values: list[Any]) -> None:
    copies = [_copied(value) for value in values]
    del repeated[:]
    repeated.extend(copies)


def _copied(value: Any) -> Any:
    if not hasattr(value, "CopyFrom"):
        return value
    copy = type(value)()
    copy.CopyFrom(value)
    return copy


def _shifted(number: int, gone: list[int]) -> int:
    return number - sum(each < number for each in gone)


def _renumber_map(numbered: Any, gone: list[int]) -> None:
    """Renumber a map by the indexes of arguments."""
    copies = {key: _copied(value) for key, value in numbered.items() if key not in set(gone)}
    numbered.clear()
    for key, value in copies.items():
        if hasattr(value, "CopyFrom"):
            numbered[_shifted(key, gone)].CopyFrom(value)
        else:
            numbered[_shifted(key, gone)] = value
