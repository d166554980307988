"""Finds Lambda layers that name a function instead of holding its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule

_SHOWN = 120


def _find(subject: Subject) -> Iterator[Located]:
    for config in subject.configs:
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
                yield Located(message, len(named), remedy, config.find(named))


RULE = UnsafeRule(
    "lambda-layer",
    Severity.WARNING,
    "A Lambda layer calls whatever function its name leads to.",
    _find,
    remedy="see what the name stands for where you load it; replace the Lambda layer by a registered layer class",
    example="Lambda layer 'named' calls a function that the model does not hold but names: system",
)
