"""Find weights that a StableHLO program holds again for its gradient."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.programs import gradient_copies
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule


def _find(subject: Subject) -> Iterator[Finding]:
    copies = subject.once(gradient_copies)
    if not copies:
        return
    size = sum(subject.tensor(copy).stored_size for copy in copies)
    copy = max(copies, key=lambda index: (subject.tensor(index).stored_size, -index))
    message = (
        f"{size:,} bytes ({subject.share(size)}) are {plural(len(copies), 'constant')} stored again in the"
        f" program for a gradient, equal element for element: {subject.tensor(copy).name} equals"
        f" {subject.tensor(copies[copy]).name}"
    )
    yield Finding(message, size, advise(Remedy.CONVERT_WITHOUT_GRADIENT, subject.artifact))


RULE = Rule(
    "gradient-duplicate",
    Severity.WARNING,
    "jax2tf writes a second program for the gradient, and constant weights are in both.",
    _find,
    example=(
        "262,144 bytes (48.7 %) are 1 constant stored again in the program for a gradient, equal element for"
        " element: __inference_internal_grad_fn_35/jax2tf_vjp/XlaCallModule/stablehlo constant #2 equals"
        " __inference_converted_fun_tf_11/XlaCallModule/stablehlo constant #1"
    ),
    remedies=(Remedy.CONVERT_WITHOUT_GRADIENT,),
)
