"""Find values that are written as text in a configuration: weights as decimal numbers, vocabularies, base64
constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from modelinspect.core.artifact import Severity
from modelinspect.encodings.json_values import ValueKind
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import plain_values
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule, Threshold

_SHOWN = 3
_NOUNS = {ValueKind.NUMBERS: "number", ValueKind.WORDS: "word", ValueKind.BASE64: "base64 character"}


def _find(subject: Subject) -> Iterator[Finding]:
    values = [
        cast("Mapping[str, object]", value) for value in subject.artifact.facts.get("embedded_values", ())
    ]
    if not values:
        return
    values.sort(key=lambda value: -_number(value, "size"))
    size = sum(_number(value, "size") for value in values)
    weights = _weights(subject)
    text = "; ".join(_described(value, weights) for value in values[:_SHOWN])
    more = f"; and {plural(len(values) - _SHOWN, 'more value')}" if len(values) > _SHOWN else ""
    message = (
        f"{size:,} bytes ({subject.share(size)}) are values written as text in the configuration:"
        f" {text}{more}"
    )
    yield Finding(message, size, plain_values(subject.artifact, {str(value["kind"]) for value in values}))


def _described(value: Mapping[str, object], weights: Mapping[str, str]) -> str:
    equal = weights.get(str(value.get("digest")))
    noun = _NOUNS[ValueKind(str(value["kind"]))]
    what = f"{value['path']} ({plural(_number(value, 'count'), noun)}, {_number(value, 'size'):,} bytes"
    return f"{what}, equal to {equal})" if equal else f"{what})"


def _weights(subject: Subject) -> dict[str, str]:
    """Return the names of float32 tensors by the digest of their elements, as far as these were measured."""
    if subject.measurements is None:
        return {}
    pairs = zip(subject.artifact.tensors, subject.measurements.tensors, strict=True)
    return {
        measure.digest: subject.name(tensor)
        for tensor, measure in pairs
        if measure.digest and tensor.dtype.name == "float32"
    }


def _number(value: Mapping[str, object], key: str) -> int:
    found = value[key]
    return found if isinstance(found, int) else 0


RULE = Rule(
    "embedded-data",
    Severity.WARNING,
    "A configuration writes a number in about 20 characters, and the same values are often also stored as"
    " weights.",
    _find,
    example=(
        "12,000 bytes (62.6 %) are values written as text in the configuration: config.layers[1].config.value"
        " (4,800 numbers, 12,000 bytes)"
    ),
    remedies=(Remedy.PLAIN_INITIALIZERS, Remedy.WORDS_IN_A_FILE),
    worth=Threshold(1024, 0.01),
)
