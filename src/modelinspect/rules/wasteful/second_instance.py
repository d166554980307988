"""Find a model that is stored twice, with other values in the second instance."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.instances import second_instance
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    found = second_instance(subject)
    if found is None:
        return
    size = sum(subject.tensor(other).stored_size for _, other in found.pairs)
    message = (
        f"{size:,} bytes ({subject.share(size)}) are a second instance of the model: {found.second} has the layers, types and shapes of "
        f"{found.first} ({plural(found.layers, 'layer')}, {plural(len(found.pairs), 'tensor')}), with other values"
    )
    yield Finding(message, size, _ADVICE)


_ADVICE = (
    "build the model once: TensorFlow adds _1 to the names of a second one; where both are wanted (a target network, two towers), "
    "save only the one that is used"
)

RULE = Rule(
    "second-instance",
    Severity.NOTE,
    "A model that was built twice is saved twice, under names that TensorFlow made unique.",
    _find,
    example=(
        "22,080 bytes (48.1 %) are a second instance of the model: encoder_1 has the layers, types and shapes of encoder "
        "(4 layers, 8 tensors), with other values"
    ),
    advice=_ADVICE,
    evidence=(Evidence.STRUCTURE, Evidence.VALUES),
    worth=Threshold(1024, 0.1),
)
