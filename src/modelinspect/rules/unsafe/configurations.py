"""Rules about configurations: what they hold of code, and what they have a loader import or read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.configs import configs_of

_REMEDY = (
    "do not load it unless you know the code (Keras: safe_mode=True refuses it); "
    "the author can replace the Lambda layer by a registered layer class"
)


def _find_lambda_code(subject: Subject) -> Iterator[Finding]:
    for config in subject.once(configs_of):
        seen: set[int] = set()
        for item in config.objects():
            for owner, code in _codes(item):
                if id(code) in seen:  # a layer and the function within it are objects both
                    continue
                seen.add(id(code))
                message = f"{owner} holds marshalled Python code, {len(code):,} characters of base64, which loading makes a function"
                yield Finding(message, len(code), _REMEDY, config.find(code))


def _codes(item: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the byte code that an object holds itself, and what the object is."""
    settings = item.get("config")
    if not isinstance(settings, Mapping):
        return
    if item.get("class_name") == "__lambda__":  # Keras 3, and tf_keras in its .keras format
        if isinstance(code := settings.get("code"), str):
            yield "a lambda", code
        return
    name = settings.get("name")
    for key in ("function", "output_shape", "mask"):  # Keras 1 and 2: code, defaults, closure
        value = settings.get(key)
        if isinstance(value, Mapping) and value.get("class_name") == "__tuple__":  # as keras_metadata.pb has it
            value = value.get("items")
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and settings.get(f"{key}_type", "lambda") == "lambda":
            yield f"{item.get('class_name')} layer {name!r} ({key})" if name else f"{item.get('class_name')} layer ({key})", value[0]
        elif isinstance(value, Mapping) and value.get("class_name") == "__lambda__":
            inner = value.get("config")
            if isinstance(inner, Mapping) and isinstance(code := inner.get("code"), str):
                yield f"{item.get('class_name')} layer {name!r} ({key})", code


LAMBDA_CODE = Rule(
    "lambda-code",
    Severity.ERROR,
    "Byte code in a model's configuration runs when the model is loaded or called.",
    _find_lambda_code,
    advice=_REMEDY,
    example="Lambda layer 'twice' (function) holds marshalled Python code, 154 characters of base64, which loading makes a function",
    group=Group.UNSAFE,
)


_SHOWN = 120


def _find_lambda_layer(subject: Subject) -> Iterator[Finding]:
    for config in subject.once(configs_of):
        for item in config.objects():
            class_name, settings = item.get("class_name"), item.get("config")
            if not isinstance(class_name, str) or class_name.rpartition(">")[2] != "Lambda" or not isinstance(settings, Mapping):
                continue
            function = settings.get("function")
            named = function.get("config", function.get("class_name")) if isinstance(function, Mapping) else function
            if isinstance(named, str) and named != "__tuple__":
                name = settings.get("name")
                layer = f"Lambda layer {name!r}" if isinstance(name, str) else "a Lambda layer"
                shown = named if len(named) <= _SHOWN else f"{named[:_SHOWN]}…"
                message = f"{layer} calls a function that the model does not hold but names: {shown}"
                remedy = "see what the name stands for where you load it; replace the Lambda layer by a registered layer class"
                yield Finding(message, len(named), remedy, config.find(named))


LAMBDA_LAYER = Rule(
    "lambda-layer",
    Severity.WARNING,
    "A Lambda layer calls whatever function its name leads to.",
    _find_lambda_layer,
    advice="see what the name stands for where you load it; replace the Lambda layer by a registered layer class",
    example="Lambda layer 'named' calls a function that the model does not hold but names: system",
    group=Group.UNSAFE,
)


_DANGEROUS = frozenset(
    ("eval", "exec", "compile", "open", "getattr", "setattr", "delattr", "__import__", "input", "breakpoint", "globals", "locals", "vars")
)
"""Of ``builtins``."""


def _find_config_import(subject: Subject) -> Iterator[Finding]:
    for config in subject.once(configs_of):
        for item in config.objects():
            module, name = item.get("module"), _name(item)
            if isinstance(module, str) and _is_dangerous(module, name):
                message = f"the configuration has Keras import {name or 'a class'} from {module}, which is no part of any model"
                yield Finding(message, len(module), "do not load it: this is how CVE-2025-1550 runs commands", config.find(module))


def _name(item: Mapping[str, object]) -> str:
    settings, class_name = item.get("config"), item.get("class_name")
    if class_name == "function" and isinstance(settings, str):
        return settings
    return class_name if isinstance(class_name, str) else ""


def _is_dangerous(module: str, name: str) -> bool:
    top = module.partition(".")[0]
    return name in _DANGEROUS if top == "builtins" else top in sys.stdlib_module_names


CONFIG_IMPORT = Rule(
    "config-import",
    Severity.ERROR,
    "A configuration that names a module has old versions of Keras import and call it.",
    _find_config_import,
    advice="do not load it: this is how CVE-2025-1550 runs commands",
    example="the configuration has Keras import system from os, which is no part of any model",
    group=Group.UNSAFE,
)


_KEYS = {
    "StringLookup": "vocabulary",
    "IntegerLookup": "vocabulary",
    "IndexLookup": "vocabulary",
    "TextVectorization": "vocabulary",
    "TFSMLayer": "filepath",
    "TorchModuleWrapper": "module",
}


def _find_config_file(subject: Subject) -> Iterator[Finding]:
    for config in subject.once(configs_of):
        for item in config.objects():
            class_name, settings = item.get("class_name"), item.get("config")
            if not isinstance(class_name, str) or not isinstance(settings, Mapping):
                continue
            kind = class_name.rpartition(">")[2]
            value = settings.get(_KEYS.get(kind, ""))
            if isinstance(value, str) and value:
                message = f"{kind} layer {settings.get('name')!r} reads {value} when the model is loaded"
                yield Finding(message, len(value), "keep what it reads in the model, and load only what you know", config.find(value))


CONFIG_FILE = Rule(
    "config-file",
    Severity.WARNING,
    "Loading a model that names files or addresses reads them (CVE-2025-12058).",
    _find_config_file,
    advice="keep what it reads in the model, and load only what you know",
    example="StringLookup layer 'words' reads https://example.com/words.txt when the model is loaded",
    group=Group.UNSAFE,
)


_PACKAGES = """
builtins keras keras_core keras_cv keras_hub keras_nlp keras_tuner tensorflow tensorflow_addons tensorflow_model_optimization
tensorflow_probability tf_keras Addons TensorFlowModelOptimization Vision Text
"""
_KNOWN = frozenset(_PACKAGES.split())
_NAMED = 5


def _find_custom_object(subject: Subject) -> Iterator[Finding]:
    found: dict[str, int] = {}
    place: Place | None = None
    for config in subject.once(configs_of):
        for item in config.objects():
            name = _foreign(item)
            if name:
                found[name] = found.get(name, 0) + 1
                place = place or config.find(item.get("registered_name") or item.get("class_name"))
    if found:
        names = sorted(found)
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        message = (
            f"{plural(len(names), 'class or function', 'classes or functions')} of no known package: {', '.join(names[:_NAMED])}{more}"
        )
        yield Finding(message, 0, "load it with custom_objects from a package that you know", place)


def _foreign(item: Mapping[str, object]) -> str:
    """Return what an object is called where its package is none of the known ones."""
    class_name, module, registered = item.get("class_name"), item.get("module"), item.get("registered_name")
    if not isinstance(class_name, str):
        return ""
    if isinstance(module, str):
        top = module.partition(".")[0]
        return "" if top in _KNOWN or top in sys.stdlib_module_names else f"{module}.{class_name}"
    named = registered if isinstance(registered, str) and ">" in registered else class_name
    package, mark, _ = named.partition(">")
    return named if mark and package not in _KNOWN else ""


CUSTOM_OBJECT = Rule(
    "custom-object",
    Severity.NOTE,
    "What a model needs besides Keras is code that somebody has to bring.",
    _find_custom_object,
    advice="load it with custom_objects from a package that you know",
    example="1 class or function of no known package: unsafe.Doubling",
    group=Group.UNSAFE,
)

RULES = (LAMBDA_CODE, LAMBDA_LAYER, CONFIG_IMPORT, CONFIG_FILE, CUSTOM_OBJECT)
