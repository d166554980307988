"""Finds configurations that make Keras import a module of Python itself, or a function that runs code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule

_DANGEROUS = frozenset(
    ("eval", "exec", "compile", "open", "getattr", "setattr", "delattr", "__import__", "input", "breakpoint", "globals", "locals", "vars")
)
"""Of ``builtins``."""


def _find(subject: Subject) -> Iterator[Located]:
    for config in subject.configs:
        for item in config.objects():
            module, name = item.get("module"), _name(item)
            if isinstance(module, str) and _is_dangerous(module, name):
                message = f"the configuration has Keras import {name or 'a class'} from {module}, which is no part of any model"
                yield Located(message, len(module), "do not load it: this is how CVE-2025-1550 runs commands", config.find(module))


def _name(item: Mapping[str, object]) -> str:
    settings, class_name = item.get("config"), item.get("class_name")
    if class_name == "function" and isinstance(settings, str):
        return settings
    return class_name if isinstance(class_name, str) else ""


def _is_dangerous(module: str, name: str) -> bool:
    top = module.partition(".")[0]
    return name in _DANGEROUS if top == "builtins" else top in sys.stdlib_module_names


RULE = UnsafeRule(
    "config-import",
    Severity.ERROR,
    "A configuration that names a module has old versions of Keras import and call it.",
    _find,
    remedy="do not load it: this is how CVE-2025-1550 runs commands",
    example="the configuration has Keras import system from os, which is no part of any model",
)
