"""What loading one object of a configuration makes code of: byte code, imported names, calls, files.

The places are those of keras/src/saving/serialization_lib.py (Keras 3),
tf_keras/src/saving/serialization_lib.py and tf_keras/src/saving/legacy/serialization.py,
layers/core/lambda_layer.py and layers/core/tf_op_layer.py.
"""

from __future__ import annotations

import binascii
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum

from modelinspect.core.records import dataclass, replace
from modelinspect.rules.unsafe.class_names import (
    BUILTINS,
    COMPANIONS,
    KERAS,
    WRAPPERS,
    is_foreign,
    is_registered_elsewhere,
    names,
)
from modelinspect.rules.unsafe.operator_table import Risk
from modelinspect.rules.unsafe.symbols import is_tensor_function, symbol_risk


class Danger(StrEnum):
    """What kind of code a loader makes of an object."""

    LAMBDA_CODE = "lambda-code"
    LAMBDA_NAME = "lambda-layer"
    IMPORT = "config-import"
    LOAD_CALL = "load-call"
    UNKNOWN_CALL = "unknown-call"
    FILE = "config-file"
    CUSTOM = "custom-object"
    NODE = "node"
    """A node of a graph, in ``NodeDef``: rules about operators judge it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found in an object: the kind, a sentence (of custom objects and nodes, the name), and the text
    that it is about.
    """

    danger: Danger
    message: str
    needle: str
    size: int
    is_guess: bool = False
    """Whether the object around it may say more: which layer it is of, or whether it is code at all."""


_SHOWN = 120
_FUNCTION_KEYS = ("function", "output_shape", "mask")
_CODE_MARKS = (0xE3, 0x63)
"""The first byte of a code object in Python's marshal format, with and without its reference flag."""
_SOME_CODE = 24
_FILES = {
    "StringLookup": "vocabulary",
    "IntegerLookup": "vocabulary",
    "IndexLookup": "vocabulary",
    "TextVectorization": "vocabulary",
    "TFSMLayer": "filepath",
    "KerasLayer": "handle",
}
_TENSORFLOW = ("tensorflow", "tensorflow_intel", "tensorflow_cpu")
_NOT_PLAIN = frozenset(
    (
        *("data", "debug", "distribute", "gfile", "io", "lib", "platform", "profiler"),
        *("saved_model", "tools", "training", "util"),
    )
)
"""Packages of TensorFlow in which a function of a plain name may be another one."""


def evidence(item: Mapping[str, object]) -> Iterator[Evidence]:
    """Yield what loading an object would make code of; of the objects within it nothing, they have their own
    turn.
    """
    class_name = item.get("class_name")
    settings = item.get("config")
    if isinstance(class_name, str):
        kind = class_name.rpartition(">")[2]
        yield from _lambda_code(kind, settings)
        if isinstance(settings, Mapping):
            yield from _layer(kind, settings)
        yield from _reference(item, class_name, settings)
    for key, value in item.items():
        yield from _raw_code(key, value)


def _lambda_code(kind: str, settings: object) -> Iterator[Evidence]:
    """Yield the byte code of a ``__lambda__`` object and of a Lambda layer, in each form that Keras has
    written.
    """
    if kind == "__lambda__":
        parts = settings if isinstance(settings, Mapping) else {"value": settings}
        for key in ("code", "value"):
            code = _first_text(parts.get(key))
            if code:
                yield replace(
                    _code("a lambda", code), is_guess=True
                )  # the layer around it, if any, is read after it
        return
    if not isinstance(settings, Mapping):
        return
    if kind == "TorchModuleWrapper" and settings.get("module"):
        code = str(settings["module"])
        text = (
            f"a TorchModuleWrapper layer holds a pickled PyTorch module, {len(code):,} characters, which"
            " loading unpickles"
        )
        yield Evidence(Danger.LAMBDA_CODE, text, code, len(code))
    name = settings.get("name")
    for key in _FUNCTION_KEYS:
        if key not in settings:
            continue
        value = settings[key]
        owner = f"{kind} layer {name!r} ({key})" if name else f"{kind} layer ({key})"
        if (
            isinstance(value, Mapping) and value.get("class_name") == "__tuple__"
        ):  # as keras_metadata.pb has it
            value = value.get("items")
        if isinstance(value, Mapping) and value.get("class_name") == "__lambda__":
            yield from (
                _code(owner, inner.needle) for inner in _lambda_code("__lambda__", value.get("config"))
            )
        if isinstance(value, str) and value and settings.get(f"{key}_type") == "lambda":
            yield _code(owner, value)  # whatever it begins with: Python's base64 passes over other characters
        if isinstance(value, list) and settings.get(f"{key}_type", "lambda") == "lambda":
            code = _first_text(value)
            if code and len(value) <= 3 and (kind == "Lambda" or _is_code(code)):
                yield _code(owner, code)


def _first_text(value: object) -> str:
    """Return the code of ``code`` or ``[code, defaults, closure]``."""
    if isinstance(value, Mapping):
        value = value.get("items", value.get("code"))
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else ""


def _code(owner: str, code: str) -> Evidence:
    message = (
        f"{owner} holds marshalled Python code, {len(code):,} characters of base64, which loading makes a"
        " function"
    )
    return Evidence(Danger.LAMBDA_CODE, message, code, len(code))


def _raw_code(key: str, value: object) -> Iterator[Evidence]:
    """Yield byte code that is somewhere else: its first bytes say what it is."""
    texts = value[:3] if isinstance(value, list) else [value]
    for text in texts:
        if isinstance(text, str) and len(text) > _SOME_CODE and _is_code(text):
            yield replace(_code(f"the setting {key!r}", text), is_guess=True)


def _is_code(text: str) -> bool:
    """Return whether a text is a marshalled code object, in base64 or as it is."""
    if text[:1] in ("\xe3", "c") and text[1:4] == "\0\0\0"[: len(text[1:4])]:
        return True
    if not text.startswith(("4w", "Yw", "YwA")):
        return False
    try:
        head = binascii.a2b_base64(
            "".join(text[:_SOME_CODE].split())[: _SOME_CODE - 4].ljust(_SOME_CODE - 4, "A")
        )
    except (binascii.Error, ValueError):
        return False
    # Argument counts come first, 4 bytes each: no function has more than 255 of a kind.
    return len(head) >= 9 and head[0] in _CODE_MARKS and head[2:5] == b"\0\0\0"


def _layer(kind: str, settings: Mapping[str, object]) -> Iterator[Evidence]:
    """Yield what layers do that call functions by name, hold nodes, or read files."""
    match kind:
        case "Lambda":
            yield from _named_function(settings)
        case "TFOpLambda" | "SlicingOpLambda":
            yield from _call(kind, settings.get("function"))
        case "ClassMethod":
            yield from _call(kind, settings.get("cls_symbol") or settings.get("cls_ref"))
            yield from _private(kind, settings.get("method_name"))
        case "InstanceMethod" | "InstanceProperty":
            yield from _private(kind, settings.get("attr_name"))
        case "TensorFlowOpLayer":
            yield from _node(settings.get("node_def"))
        case _ if kind in _FILES:
            value = settings.get(_FILES[kind])
            if isinstance(value, Mapping) and value.get("class_name") == "__bytes__":
                value = value.get("config")  # bytes are a path too
            if isinstance(value, str) and value:
                message = (
                    f"{kind} layer {settings.get('name')!r} reads {_short(value)} when the model is loaded"
                )
                yield Evidence(Danger.FILE, message, value, len(value))


def _private(kind: str, attribute: object) -> Iterator[Evidence]:
    if isinstance(attribute, str) and attribute.startswith("_"):
        whose = "a class" if kind == "ClassMethod" else "a tensor"
        message = (
            f"a {kind} layer takes the attribute {_short(attribute)} of {whose} when the model is loaded"
        )
        yield Evidence(Danger.UNKNOWN_CALL, message, attribute, len(attribute))


def _named_function(settings: Mapping[str, object]) -> Iterator[Evidence]:
    if settings.get("function_type") == "lambda":  # its text is code, not a name
        return
    function = settings.get("function")
    named = function.get("config", function.get("class_name")) if isinstance(function, Mapping) else function
    if isinstance(named, str) and named != "__tuple__":
        name = settings.get("name")
        layer = f"Lambda layer {name!r}" if isinstance(name, str) else "a Lambda layer"
        message = f"{layer} calls a function that the model does not hold but names: {_short(named)}"
        yield Evidence(Danger.LAMBDA_NAME, message, named, len(named))


def _call(kind: str, symbol: object) -> Iterator[Evidence]:
    """Yield a call of an exported function of TensorFlow, which its constants make when the model is loaded,
    in safe mode too.
    """
    if not isinstance(symbol, str) or not symbol:
        return
    known = symbol_risk(symbol)
    if known is not None and known[0] is not Risk.DECODE:
        message = f"a {kind} layer calls tf.{_short(symbol)} when the model is loaded, which {known[1]}"
        yield Evidence(Danger.LOAD_CALL, message, symbol, len(symbol))
    elif known is None and not is_tensor_function(symbol):
        message = (
            f"a {kind} layer calls tf.{_short(symbol)} when the model is loaded, which is not known to"
            " compute on tensors only"
        )
        yield Evidence(Danger.UNKNOWN_CALL, message, symbol, len(symbol))


def _node(definition: object) -> Iterator[Evidence]:
    """Yield the operator of a NodeDef: as an object, in text form, or serialized."""
    op = ""
    if isinstance(definition, Mapping):
        found = definition.get("op")
        op = found if isinstance(found, str) else ""
    elif isinstance(definition, str):
        op = _operator_of(definition)
    if op:
        yield Evidence(Danger.NODE, op, op, len(op))


def _operator_of(text: str) -> str:
    """Return the operator of a NodeDef in text or binary form, empty where neither can be read."""
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    from modelinspect.encodings.protobuf import message_class

    node = message_class("NodeDef")()
    try:
        node.ParseFromString(text.encode("utf-8", "replace"))
    except DecodeError:
        node = message_class("NodeDef")()
        try:
            text_format.Parse(text, node, allow_unknown_field=True)
        except (text_format.ParseError, ValueError, RecursionError):
            return ""
    op: str = node.op  # type: ignore[attr-defined]
    return op


def _reference(item: Mapping[str, object], class_name: str, settings: object) -> Iterator[Evidence]:
    """Yield a name that is imported from a module, or that somebody has to register."""
    module, registered = item.get("module"), item.get("registered_name")
    is_function = class_name == "function" and isinstance(settings, str)
    name = str(settings) if is_function else class_name
    if class_name == "__typespec__":
        name = str(item.get("spec_name"))
    if not isinstance(module, str) or not module:
        known = registered if isinstance(registered, str) and ">" in registered else class_name
        package, mark, name = known.partition(">")
        if mark and is_registered_elsewhere(package, name):
            yield Evidence(Danger.CUSTOM, known, known, 0)
        elif not mark and is_foreign(item, class_name, settings):
            yield Evidence(Danger.CUSTOM, class_name, class_name, 0)
        return
    verdict = _import_danger(module, name, is_function=is_function)
    if verdict is Danger.IMPORT:
        message = (
            f"the configuration has Keras import {_short(name) or 'a class'} from {_short(module)}, which is"
            " not part of any model"
        )
        yield Evidence(Danger.IMPORT, message, module, len(module))
    elif verdict is Danger.CUSTOM:
        # Keras writes builtins for the functions of a program, which Python does not have.
        yield Evidence(Danger.CUSTOM, name if module == BUILTINS else f"{module}.{name}", name, 0)


def _import_danger(module: str, name: str, *, is_function: bool) -> Danger | None:
    """Return what importing a name from a module may be; None for what Keras itself serializes."""
    known, top = names(), module.partition(".")[0]
    if top in KERAS:
        if name in known.functions or (name in known.classes and not is_function):
            return None
        return Danger.CUSTOM if name[:1].isupper() and not is_function else Danger.IMPORT
    if top == BUILTINS:
        if name in known.functions:
            return None
        return Danger.IMPORT if name in known.builtins else Danger.CUSTOM
    if top in _TENSORFLOW:
        return _tensorflow_danger(module, name, is_function=is_function)
    if top in COMPANIONS:
        return None if name[:1].isupper() and not is_function else Danger.CUSTOM
    if top in sys.stdlib_module_names or top in known.packages:
        return Danger.IMPORT
    return Danger.CUSTOM


def _tensorflow_danger(module: str, name: str, *, is_function: bool) -> Danger | None:
    if not is_function and (name.endswith("Spec") or name in WRAPPERS or name in names().classes):
        return None
    plain = name.removesuffix("_v2").removesuffix("_v1")
    if (
        plain in names().tensor_function_names
        and symbol_risk(f"{module}.{name}") is None
        and _NOT_PLAIN.isdisjoint(module.split("."))
    ):
        return None
    return Danger.IMPORT


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
