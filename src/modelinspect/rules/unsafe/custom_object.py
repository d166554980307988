"""Finds layers, functions and other objects whose code is in a package of somebody."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.rules.base import plural
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule
from modelinspect.rules.unsafe.places import Place

_PACKAGES = """
builtins keras keras_core keras_cv keras_hub keras_nlp keras_tuner tensorflow tensorflow_addons tensorflow_model_optimization
tensorflow_probability tf_keras Addons TensorFlowModelOptimization Vision Text
"""
_KNOWN = frozenset(_PACKAGES.split())
_NAMED = 5


def _find(subject: Subject) -> Iterator[Located]:
    found: dict[str, int] = {}
    place: Place | None = None
    for config in subject.configs:
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
        yield Located(message, 0, "load it with custom_objects from a package that you know", place)


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


RULE = UnsafeRule(
    "custom-object",
    Severity.NOTE,
    "What a model needs besides Keras is code that somebody has to bring.",
    _find,
    remedy="load it with custom_objects from a package that you know",
    example="1 class or function of no known package: unsafe.Doubling",
)
