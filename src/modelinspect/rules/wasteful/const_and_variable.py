"""Find weights that are stored in the graph as constants and as variables too."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Role, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold

_SMALLEST = 16


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.measurements is None:
        return
    variables: dict[tuple[str, str], Tensor] = {}
    constants: list[tuple[Tensor, tuple[str, str]]] = []
    for tensor, measure in subject.measured():
        if measure.digest is None or tensor.element_count < _SMALLEST or measure.distinct_count in (None, 1):
            continue
        key = tensor.dtype.name, measure.digest
        if tensor.role is Role.CONSTANT:
            constants.append((tensor, key))
        elif tensor.role in (Role.WEIGHT, Role.STATISTIC):
            variables[key] = tensor
    both = [(constant, variables[key]) for constant, key in constants if key in variables]
    if not both:
        return
    size = sum(constant.stored_size for constant, _ in both)
    constant, variable = max(both, key=lambda pair: pair[0].stored_size)
    message = (
        f"{size:,} bytes ({subject.share(size)}) are {plural(len(both), 'constant')} of the graph equal to a"
        f" stored variable: {constant.name} equals {subject.name(variable)}"
    )
    yield Finding(message, size, advise(Remedy.READ_VARIABLES, subject.artifact))


RULE = Rule(
    "const-and-variable",
    Severity.WARNING,
    "Freezing or converting copies weights into the graph, and the variables are still stored.",
    _find,
    example=(
        "16,384 bytes (50.0 %) are 1 constant of the graph equal to a stored variable: function/Const equals"
        " layer_0/kernel"
    ),
    remedies=(Remedy.READ_VARIABLES,),
    evidence=(Evidence.VALUES,),
    worth=Threshold(256, 0.01),
)
