"""Find a model that is stored twice, with other values in the second instance."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.instances import second_instance
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    found = second_instance(subject)
    if found is None:
        return
    size = sum(subject.tensor(other).stored_size for _, other in found.pairs)
    message = (
        f"{size:,} bytes ({subject.share(size)}) are a second instance of the model: {found.second} has the"
        f" layers, types and shapes of {found.first} ({plural(found.layers, 'layer')},"
        f" {plural(len(found.pairs), 'tensor')}), with other values"
    )
    yield Finding(message, size, advise(Remedy.LIST_TENSORS, subject.artifact))


RULE = Rule(
    "second-instance",
    Severity.NOTE,
    "TensorFlow adds _1 to names that are taken: a model that was built twice, where one instance would do,"
    " is saved twice.",
    _find,
    example=(
        "7,600 bytes (50.0 %) are a second instance of the model: encoder_1 has the layers, types and shapes"
        " of encoder (4 layers, 4 tensors), with other values"
    ),
    remedies=(Remedy.LIST_TENSORS,),
    evidence=(Evidence.STRUCTURE, Evidence.VALUES),
    worth=Threshold(1024, 0.1),
)
