"""Rules about operators: one finding for each operator, with the nodes that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.errors import FormatError
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.graphs import FLEX, Use, named_operators, uses_of
from modelinspect.rules.unsafe.odd_bytes import unread_spans
from modelinspect.rules.unsafe.operator_table import OPERATORS, Risk

_UNREAD_SIZE = 64 << 20


def risk_of(use: Use) -> Risk | None:
    """Return what an operator can do, None where the table does not list it."""
    known = OPERATORS.get(table_name(use))
    return None if known is None else known[0]


def table_name(use: Use) -> str:
    """Return the name that TensorFlow has for an operator: a Flex operator is one of TensorFlow's."""
    return use.op.removeprefix(FLEX) if use.is_lite and use.op.startswith(FLEX) else use.op


def _search(
    is_wanted: Callable[[Use], bool], advice: str, reason: str = ""
) -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for operators: one finding for each, the table's reason before ``reason``."""

    def find(subject: Subject) -> Iterator[Finding]:
        wanted = (use for use in subject.once(uses_of) if is_wanted(use))
        for use in sorted(wanted, key=lambda use: use.op):
            why = OPERATORS.get(table_name(use), (None, reason))[1]
            yield Finding(f"{use.op} {why}: {_where(use)}", use.size, advice, use.place)

    return find


def _find_custom(subject: Subject) -> Iterator[Finding]:
    """Find operators that neither the runtime of the format nor TensorFlow itself has."""
    own = _TFJS if subject.artifact.format is FormatName.TFJS else frozenset[str]()
    wanted = (
        use
        for use in subject.once(uses_of)
        if risk_of(use) is None and not _is_flex(use) and not _is_stock(use) and use.op not in own
    )
    for use in sorted(wanted, key=lambda use: use.op):
        if use.is_lite:
            why = "is not an operator of the TFLite interpreter and needs native code from elsewhere"
        else:
            why = _BUILDS.get(use.op, "is not a TensorFlow operator and needs native code from elsewhere")
        yield Finding(f"{use.op} {why}: {_where(use)}", use.size, _CUSTOM, use.place)


def of_risk(risk: Risk, advice: str) -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for operators of one risk."""
    return _search(lambda use: risk_of(use) is risk, advice)


def _where(use: Use) -> str:
    if use.is_lite:
        return "a custom operator of the model"
    if use.at_load:
        return "a TensorFlowOpLayer of the configuration, which runs it with its constants"
    if not use.names:
        return "in the graph's records"
    more = f" and {use.count - len(use.names):,} more" if use.count > len(use.names) else ""
    return f"{plural(use.count, 'node')}: {', '.join(use.names)}{more}"


_STOCK = frozenset(("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"))
"""Custom operators that TensorFlow's own interpreter resolves (tensorflow/lite/core/kernels/register.cc)."""


_TFJS = frozenset(("FusedDepthwiseConv2dNative",))
"""Operators that TensorFlow.js' converter makes and its runtime has, and TensorFlow does not."""
_BUILDS = {"TRTEngineOp": "is an operator of TensorFlow's builds with TensorRT, and runs an engine for a GPU"}
"""Operators that only some builds of TensorFlow have."""


def _is_stock(use: Use) -> bool:
    return use.is_lite and use.op in _STOCK


def _is_flex(use: Use) -> bool:
    return use.is_lite and use.op.startswith(FLEX)


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


_CODE = (
    "do not load it unless you know the code; export the model again without tf.py_function and"
    " tf.numpy_function"
)
_NETWORK = "run it without a network; export the model without its input pipeline"
_WRITE = "do not run it; export the model without what it writes"
_READ = "run it where nothing secret can be read; export the model with its input as a tensor"
_CHECKPOINT = "look at where its path comes from; a model needs these operators only in its saver"
_PRINT = "export the model without tf.print and tf.compat.v1.Print"
_ASSET = "see that the path is one of the model's assets"
_DECODE = "keep TensorFlow up to date where inputs come from strangers"
_CUSTOM = "load a library for it only from whom you trust"
_FLEX = (
    "take what TFLite has itself; converting with tf.lite.OpsSet.TFLITE_BUILTINS only fails where another"
    " operator is left"
)
_PROGRAM = "load it only from whom you trust; the program is not looked into"
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
        _search(lambda use: risk_of(use) is Risk.WRITE or use.to_file, _WRITE),
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
        _search(lambda use: risk_of(use) is Risk.CHECKPOINT and not use.in_saver, _CHECKPOINT),
        _CHECKPOINT,
        "SaveV2 writes files, or moves them, at a path that the graph gives: 1 node: leak",
    ),
    (
        "print-operator",
        Severity.WARNING,
        "What a model prints appears in logs, including inputs of its users.",
        _search(lambda use: risk_of(use) is Risk.PRINT and not use.to_file, _PRINT),
        _PRINT,
        "PrintV2 prints tensors, or appends them to a file (output_stream): 1 node: PrintV2",
    ),
    (
        "asset-operator",
        Severity.NOTE,
        "A table that is filled from a file reads whatever path it is given.",
        of_risk(Risk.ASSET, _ASSET),
        _ASSET,
        (
            "InitializeTableFromTextFileV2 reads a vocabulary, as a rule an asset of the model: 1 node:"
            " text_file_init"
        ),
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
        "xla-program",
        Severity.NOTE,
        "A compiled program inside one operator runs what the names of the other operators do not show.",
        of_risk(Risk.PROGRAM, _PROGRAM),
        _PROGRAM,
        "XlaCallModule runs a StableHLO program that the operator holds: 1 node: XlaCallModule",
    ),
    (
        "custom-operator",
        Severity.NOTE,
        "A custom operator runs native code of a library that has to be loaded first.",
        _find_custom,
        _CUSTOM,
        (
            "Erfinv is not an operator of the TFLite interpreter and needs native code from elsewhere: a"
            " custom operator of the model"
        ),
    ),
    (
        "flex-operator",
        Severity.NOTE,
        "Flex operators bring the whole of TensorFlow's operators into a small runtime.",
        _search(
            lambda use: _is_flex(use) and risk_of(use) is None,
            _FLEX,
            "is a TensorFlow operator; the Flex delegate must be linked in",
        ),
        _FLEX,
        (
            "FlexMatrixInverse is a TensorFlow operator; the Flex delegate must be linked in: a custom"
            " operator of the model"
        ),
    ),
    (
        "unread-operator",
        Severity.WARNING,
        "A graph that is broken on purpose hides what it runs from checks.",
        _find_unread,
        _UNREAD,
        (
            "broken bytes name the operator PyFunc, which calls a Python function that the process has"
            " registered under a number"
        ),
    ),
)
RULES = tuple(
    Rule(id, severity, reason, find, example, advice=advice, group=Group.UNSAFE)
    for id, severity, reason, find, advice, example in _ROWS
)
