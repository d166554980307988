"""Find a model that is stored twice, with other values in the second instance.

TensorFlow adds ``_1`` to names that are taken when a model is built again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role, Tensor
from modelinspect.networks.names import canonical_name
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    found = _second_instance(subject)
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


_SECOND = re.compile(r"(.+)_1")
_LEAST_LAYERS = 4
"""Fewer layers alike may be a coincidence: two dense layers of one width are called ``dense`` and ``dense_1``
too.
"""
_LEAST_SHARE = 0.9
"""Both instances together are at least this share of the weights: what is left may be common to them, or a
step counter.
"""
_Content = dict[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class _SecondInstance:
    """Two scopes with the same layers, types and shapes; ``pairs`` are their tensors, the first's before the
    second's.
    """

    first: str
    second: str
    layers: int
    pairs: tuple[tuple[TensorId, TensorId], ...]


def _second_instance(subject: Subject) -> _SecondInstance | None:
    """Return the two instances of a model, None where there is one, or where their values are equal or were
    not compared.
    """
    if subject.measurements is None:
        return None
    named = [
        (TensorId(index), tensor, _parts(tensor))
        for index, tensor in enumerate(subject.artifact.tensors)
        if _is_of_model(tensor)
    ]
    common = _common([parts for _, _, parts in named])
    scopes: dict[str, dict[str, TensorId]] = {}
    for index, _, parts in named:
        if len(parts) > common:
            scopes.setdefault(parts[common], {})["/".join(parts[common + 1 :])] = index
    twins = [
        (match.group(1), scope)
        for scope in scopes
        if (match := _SECOND.fullmatch(scope)) and match.group(1) in scopes
    ]
    twins = [
        (one, other)
        for one, other in twins
        if f"{one}_2" not in scopes and _alike(subject, scopes[one], scopes[other])
    ]
    pairs = tuple((index, scopes[other][name]) for one, other in twins for name, index in scopes[one].items())
    layers = {f"{one}/{name}".rpartition("/")[0] for one, _ in twins for name in scopes[one]}
    total = sum(tensor.stored_size for _, tensor, _ in named)
    size = sum(subject.tensor(index).stored_size for pair in pairs for index in pair)
    if len(layers) < _LEAST_LAYERS or size < _LEAST_SHARE * total or not any(_differ(subject, pairs)):
        return None
    one, other = twins[0]
    return _SecondInstance(one, other, len(layers), pairs)


def _is_of_model(tensor: Tensor) -> bool:
    return tensor.role in (Role.WEIGHT, Role.STATISTIC)


def _parts(tensor: Tensor) -> list[str]:
    return canonical_name(tensor).split("/")


def _common(named: list[list[str]]) -> int:
    """Return how many parts all names begin with."""
    if not named:
        return 0
    count = 0
    while all(len(parts) > count + 1 and parts[count] == named[0][count] for parts in named):
        count += 1
    return count


def _alike(subject: Subject, one: dict[str, TensorId], other: dict[str, TensorId]) -> bool:
    def content(scope: dict[str, TensorId]) -> _Content:
        return {
            name: (subject.tensor(index).dtype.name, subject.tensor(index).shape)
            for name, index in scope.items()
        }

    return content(one) == content(other)


def _differ(subject: Subject, pairs: tuple[tuple[TensorId, TensorId], ...]) -> Iterator[bool]:
    """Yield for each pair with known values whether they differ."""
    for one, other in pairs:
        mine, theirs = subject.fingerprint(one), subject.fingerprint(other)
        if mine is not None and theirs is not None:
            yield mine != theirs
