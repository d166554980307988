"""Find two artifacts whose weights are the same, and compare the configurations of their layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, zip_longest

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.errors import FormatError
from modelinspect.formats.keras.config import read_json
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import percent, plural
from modelinspect.rules.base import Evidence, Finding, Rule
from modelinspect.rules.unsafe.places import read_document

_UNIMPORTANT = frozenset(
    ("build_config", "compile_config", "shared_object_id", "batch_input_shape", "registered_name")
)
"""Settings that do not change what a network computes: of training, and what is derived from its inputs."""
_MOST = 10_000
_ABSENT = "absent"


def _find(subject: Subject) -> Iterator[Finding]:
    compared = subject.comparison
    if compared is None or not compared.compared or compared.equal < compared.compared:
        return
    if compared.before.artifact.location == subject.artifact.location:
        return
    zeros, elements = compared.before.kernel_zeros()
    sparse = f"; {percent(zeros, elements)} of the kernel elements are zero in both" if zeros else ""
    count = compared.compared
    which = "the only tensor of the model has" if count == 1 else f"all {count:,} tensors of the model have"
    message = f"{which} equal elements in both{sparse}{_of_documents(compared.before, subject)}"
    yield Finding(message, 0, advise(Remedy.COMPARE_STORAGE, subject.artifact, **compared.locations(subject)))


def _of_documents(before: Subject, after: Subject) -> str:
    """Say whether the configurations of the layers are equal, or that they were not compared."""
    if (
        before.artifact.format is not after.artifact.format
        or before.open_files is None
        or after.open_files is None
    ):
        return ". The structure of the models was not compared"
    models = [_models(side) for side in (before, after)]
    if not all(models):
        return ". The structure of the models was not compared"
    found = list(islice(_differences(models[0], models[1], ""), _MOST))
    if not found:
        return "; the layer configurations are equal too: both are the same model"
    path, one, other = found[0]
    count = plural(len(found), "setting") if len(found) < _MOST else f"{_MOST:,} settings or more"
    return f", but the layer configurations differ in {count}: {path} is {one} before and {other} after"


def _models(side: Subject) -> list[object]:
    """Return the configurations of models; none where they are not JSON documents of the artifact, or too
    long to read.
    """
    most = side.limits.document_size
    found = [document for document in side.artifact.documents if document.kind is DocumentKind.KERAS_CONFIG]
    if any(document.span.size > most for document in found):
        return []
    try:
        values = [read_json(read_document(document, side.files, most).rstrip(b"\0")) for document in found]
    except FormatError:  # parsing has reported it
        return []
    return [value for value in values if _is_of_layers(value)]


def _is_of_layers(value: object) -> bool:
    """Return whether a configuration is of a model or layer, and not of training."""
    return isinstance(value, Mapping) and "class_name" in value and "config" in value


def _differences(one: object, other: object, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield where two JSON values differ, with both values in short."""
    pending = [(one, other, path)]
    while pending:
        one, other, path = pending.pop()
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            keys = sorted({*one, *other} - _UNIMPORTANT, key=str, reverse=True)
            pending += [
                (one.get(key, _ABSENT), other.get(key, _ABSENT), f"{path}.{key}".lstrip(".")) for key in keys
            ]
        elif isinstance(one, list) and isinstance(other, list):
            pairs = enumerate(zip_longest(one, other, fillvalue=_ABSENT))
            pending += reversed([(mine, theirs, f"{path}[{index}]") for index, (mine, theirs) in pairs])
        elif one != other:
            yield path, _short(one), _short(other)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


RULE = Rule(
    "identical-weights",
    Severity.NOTE,
    "Pruning wraps the same layer objects, so the original model is pruned too.",
    _find,
    example=(
        "the only tensor of the model has equal elements in both. The structure of the models was not"
        " compared"
    ),
    remedies=(Remedy.COMPARE_STORAGE,),
    evidence=(Evidence.COMPARISON, Evidence.VALUES),
)
