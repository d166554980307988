"""Rules about operators: one finding for each operator, with the nodes that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.artifact import Severity
from modelinspect.errors import FormatError
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.graphs import FLEX, Node, named_operators, nodes_of
from modelinspect.rules.unsafe.odd_bytes import unread_spans
from modelinspect.rules.unsafe.operator_table import OPERATORS, Risk

_NAMED = 3
_UNREAD_SIZE = 64 << 20


def risk_of(node: Node) -> Risk | None:
    """Return what a node's operator can do, None where the table does not list it."""
    known = OPERATORS.get(table_name(node))
    return None if known is None else known[0]


def table_name(node: Node) -> str:
    """Return the name that TensorFlow has for a node's operator: a Flex operator is one of TensorFlow's."""
    return node.op.removeprefix(FLEX) if node.is_lite and node.op.startswith(FLEX) else node.op


def by_operator(subject: Subject, wanted: Callable[[Node], bool], remedy: str, reason: str = "") -> Iterator[Finding]:
    """Yield a finding for each operator whose nodes are wanted; the table's reason goes before ``reason``."""
    groups: dict[str, list[Node]] = {}
    for node in subject.once(nodes_of):
        if wanted(node):
            groups.setdefault(node.op, []).append(node)
    for op, nodes in sorted(groups.items()):
        first = min(nodes, key=lambda node: (node.place.member, node.place.offset or 0))
        why = OPERATORS.get(table_name(first), (None, reason))[1]
        size = sum(node.place.size or 0 for node in nodes)
        yield Finding(f"{op} {why}: {_where(nodes)}", size, remedy, first.place)


def of_risk(risk: Risk, remedy: str) -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for operators of one risk."""

    def find(subject: Subject) -> Iterator[Finding]:
        yield from by_operator(subject, lambda node: risk_of(node) is risk, remedy)

    return find


def _where(nodes: list[Node]) -> str:
    if nodes[0].is_lite:
        return "a custom operator of the model"
    named = [f"{node.name}{f' in function {node.function}' if node.function else ''}" for node in nodes if node.name]
    if not named:
        return "in the graph's records"
    more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return f"{plural(len(nodes), 'node')}: {', '.join(named[:_NAMED])}{more}"


def prints_to_file(node: Node) -> bool:
    """Return whether a PrintV2 appends to a file: its output_stream is ``file://`` and a path."""
    return node.op == "PrintV2" and b"file://" in node.data


def _where_node(is_wanted: Callable[[Node], bool], advice: str, reason: str = "") -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for the nodes that are wanted."""

    def find(subject: Subject) -> Iterator[Finding]:
        yield from by_operator(subject, is_wanted, advice, reason)

    return find


def _is_flex(node: Node) -> bool:
    return node.is_lite and node.op.startswith(FLEX)


def _find_unread(subject: Subject) -> Iterator[Finding]:
    for member in subject.artifact.members:
        left = _UNREAD_SIZE
        for span in unread_spans(member):
            size = min(span.size, left)
            left -= size
            try:
                data = subject.files.open(member.name).read_at(span.offset, size)
            except FormatError:  # it became shorter
                return
            for op, index in named_operators(data):
                message = f"broken bytes name the operator {op}, which {OPERATORS[op][1]}"
                yield Finding(message, len(op), _UNREAD, Place(member.name, span.offset + index, len(op)))


_CODE = "do not load it unless you know the code; export the model again without tf.py_function and tf.numpy_function"
_NETWORK = "run it without a network; export the model without its input pipeline"
_WRITE = "do not run it; export the model without what it writes"
_READ = "run it where nothing secret can be read; export the model with its input as a tensor"
_CHECKPOINT = "look at where its path comes from; a model needs these operators only in its saver"
_PRINT = "export the model without tf.print and tf.compat.v1.Print"
_ASSET = "see that the path is one of the model's assets"
_DECODE = "keep TensorFlow up to date where inputs come from strangers"
_CUSTOM = "load a library for it only from whom you trust"
_FLEX = "take what TFLite has itself; converting with tf.lite.OpsSet.TFLITE_BUILTINS alone fails where another operator is left"
_UNREAD = "load it only where it can do no harm"

_ROWS = (
    (
        "code-operator",
        Severity.ERROR,
        "A graph that calls Python or native code does what that code does.",
        of_risk(Risk.CODE, _CODE),
        _CODE,
        "EagerPyFunc calls a Python function that the process has registered under a number: 1 node: eager",
    ),
    (
        "network-operator",
        Severity.ERROR,
        "A graph that talks to other machines can send away what it is given.",
        of_risk(Risk.NETWORK, _NETWORK),
        _NETWORK,
        "RpcCall talks to other machines: 1 node: call",
    ),
    (
        "file-write-operator",
        Severity.ERROR,
        "A graph that writes files can change the machine that runs it.",
        _where_node(lambda node: risk_of(node) is Risk.WRITE or prints_to_file(node), _WRITE),
        _WRITE,
        "PrintV2 prints tensors, or appends them to a file (output_stream): 1 node: PrintV2",
    ),
    (
        "file-read-operator",
        Severity.WARNING,
        "A graph that reads files can hand out what is on the machine that runs it.",
        of_risk(Risk.READ, _READ),
        _READ,
        "FlexReadFile reads a file at a path that the graph gives: a custom operator of the model",
    ),
    (
        "checkpoint-operator",
        Severity.WARNING,
        "Save and restore operators reach files; outside of a saver nobody expects them.",
        _where_node(lambda node: risk_of(node) is Risk.CHECKPOINT and not node.in_saver, _CHECKPOINT),
        _CHECKPOINT,
        "SaveV2 writes files, or moves them, at a path that the graph gives: 1 node: leak",
    ),
    (
        "print-operator",
        Severity.WARNING,
        "What a model prints stands in logs, inputs of its users included.",
        _where_node(lambda node: risk_of(node) is Risk.PRINT and not prints_to_file(node), _PRINT),
        _PRINT,
        "PrintV2 prints tensors, or appends them to a file (output_stream): 1 node: PrintV2",
    ),
    (
        "asset-operator",
        Severity.NOTE,
        "A table that is filled from a file reads whatever path it is given.",
        of_risk(Risk.ASSET, _ASSET),
        _ASSET,
        "InitializeTableFromTextFileV2 reads a vocabulary, as a rule an asset of the model: 1 node: text_file_init",
    ),
    (
        "decode-operator",
        Severity.NOTE,
        "Decoders of pictures, sound and messages are where crafted input does harm.",
        of_risk(Risk.DECODE, _DECODE),
        _DECODE,
        "DecodeRaw takes apart bytes that the model is given: 1 node: decode",
    ),
    (
        "custom-operator",
        Severity.NOTE,
        "A custom operator runs native code of a library that has to be loaded first.",
        _where_node(
            lambda node: risk_of(node) is None and not _is_flex(node),
            _CUSTOM,
            "is none of TensorFlow's own operators and needs native code from elsewhere",
        ),
        _CUSTOM,
        "Erfinv is none of TensorFlow's own operators and needs native code from elsewhere: a custom operator of the model",
    ),
    (
        "flex-operator",
        Severity.NOTE,
        "Flex operators bring the whole of TensorFlow's operators into a small runtime.",
        _where_node(
            lambda node: _is_flex(node) and risk_of(node) is None,
            _FLEX,
            "is an operator of TensorFlow, whose delegate has to be linked in",
        ),
        _FLEX,
        "FlexMatrixInverse is an operator of TensorFlow, whose delegate has to be linked in: a custom operator of the model",
    ),
    (
        "unread-operator",
        Severity.WARNING,
        "A graph that is broken on purpose hides what it runs from checks.",
        _find_unread,
        _UNREAD,
        "broken bytes name the operator PyFunc, which calls a Python function that the process has registered under a number",
    ),
)
RULES = tuple(
    Rule(id, severity, reason, find, example, advice=advice, group=Group.UNSAFE) for id, severity, reason, find, advice, example in _ROWS
)
