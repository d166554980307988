"""Find what quantization-aware training left in a model: ranges and steps, and TFLite weights that stayed
float.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.tensors import ElementKind, Helpers, Role, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.networks.writers import helpers_of
from modelinspect.remedies import Remedy, advise
from modelinspect.remedies.choose import without_helpers
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule, Threshold

_SIMULATED = ("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs")
"""Parts of the names of nodes that round values as int8 would, while the model trains."""


def _find(subject: Subject) -> Iterator[Finding]:
    yield from _helpers(subject)
    yield from _float_weights(subject)


def _helpers(subject: Subject) -> Iterator[Finding]:
    size = subject.sizes[Category.PRUNING_STATE]
    helpers = subject.of_role(Role.PRUNING)
    if size and helpers and helpers_of(subject.artifact) is Helpers.QUANTIZATION:
        message = (
            f"{size:,} bytes ({subject.share(size)}) are ranges and steps of quantization-aware training:"
            f" {plural(len(helpers), 'tensor')}. The weights are still float32; converting to TFLite makes"
            " them int8"
        )
        yield Finding(message, size, without_helpers(subject.artifact))


def _float_weights(subject: Subject) -> Iterator[Finding]:
    """Find weights of a TFLite model that training rounded as int8 would, and that the converter left
    float32.
    """
    if subject.artifact.format is not FormatName.TFLITE:
        return
    weights = [
        tensor
        for tensor in subject.of_role(Role.WEIGHT)
        if tensor.dtype.kind is ElementKind.FLOAT and _is_simulated(tensor)
    ]
    size = sum(tensor.stored_size for tensor in weights)
    if size:
        message = (
            f"{size:,} bytes ({subject.share(size)}) are {weights[0].dtype} weights of a model that was"
            " trained quantization-aware: it was converted without converter.optimizations"
        )
        yield Finding(message, size, advise(Remedy.CONVERT_AWARE_MODEL, subject.artifact))


def _is_simulated(tensor: Tensor) -> bool:
    return any(part in tensor.path for part in _SIMULATED)


RULE = Rule(
    "quantization-aware-training",
    Severity.NOTE,
    "Ranges of quantization-aware training become scales when the model is converted; until then its weights"
    " are float32.",
    _find,
    example=(
        "32 bytes (0.2 %) are ranges and steps of quantization-aware training: 8 tensors. The weights are"
        " still float32; converting to TFLite makes them int8"
    ),
    remedies=(Remedy.CONVERT_AWARE, Remedy.CONVERT_AWARE_MODEL),
    worth=Threshold(16, 0.0),
)
