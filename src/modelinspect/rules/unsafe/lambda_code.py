"""Finds Python byte code in configurations. It is measured and never decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule

_REMEDY = (
    "do not load it unless you know the code (Keras: safe_mode=True refuses it); "
    "the author can replace the Lambda layer by a registered layer class"
)


def _find(subject: Subject) -> Iterator[Located]:
    for config in subject.configs:
        seen: set[int] = set()
        for item in config.objects():
            for owner, code in _codes(item):
                if id(code) in seen:  # a layer and the function within it are objects both
                    continue
                seen.add(id(code))
                message = f"{owner} holds marshalled Python code, {len(code):,} characters of base64, which loading makes a function"
                yield Located(message, len(code), _REMEDY, config.find(code))


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


RULE = UnsafeRule(
    "lambda-code",
    Severity.ERROR,
    "Byte code in a model's configuration runs when the model is loaded or called.",
    _find,
    remedy=_REMEDY,
    example="Lambda layer 'twice' (function) holds marshalled Python code, 154 characters of base64, which loading makes a function",
)
