"""Options that `modelinspect shrink` carries out: done in a temporary folder, proved, measured, and thrown
away.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role
from modelinspect.errors import ModelInspectError
from modelinspect.networks.writers import outer_name, way_to
from modelinspect.reports.shrink import Outcome as Result
from modelinspect.shrinking.places import Place
from modelinspect.shrinking.run import shrink
from modelinspect.shrinking.steps import Drop, Options

_LOADS = "as before"


def _find(planning: Planning) -> Iterator[Outcome]:
    subject = planning.subject
    form = subject.artifact.format
    lossless = _lossless(planning)
    if lossless is None:
        return
    if "://" in subject.artifact.location or not Path(subject.artifact.location).exists():
        yield LeftOut((lossless,), "left out: only files of this machine are written again")
        return
    if planning.wants(lossless):
        yield from _shrunk(planning, lossless, frozenset())
    if form not in _TRAINED or lossless not in (_SINGLE_FILES.get(form), _BUNDLES.get(form)):
        return
    state = _state(planning)
    if state is not None and planning.wants(f"{state}+{_TRAINED[form]}"):
        yield from _shrunk(planning, f"{state}+{_TRAINED[form]}", frozenset((Drop.TRAINING,)))


_TRAINED = {
    FormatName.KERAS_HDF5: "hdf5-gzip",
    FormatName.WEIGHTS_HDF5: "hdf5-gzip",
    FormatName.KERAS_ZIP: "zip-deflate",
    FormatName.SAVED_MODEL: "alias-duplicates",
    FormatName.CHECKPOINT: "alias-duplicates",
}
_BUNDLES = {FormatName.SAVED_MODEL: "alias-duplicates", FormatName.CHECKPOINT: "alias-duplicates"}
"""Formats with variables in a bundle, whose wrappers stay: the object graph names them."""
_REPACKED = "hdf5-repack+hdf5-gzip"
_WITHOUT_TRAINING = {FormatName.WEIGHTS_HDF5: "", FormatName.CHECKPOINT: "; only into the model"}
_SINGLE_FILES = {
    FormatName.KERAS_HDF5: _REPACKED,
    FormatName.WEIGHTS_HDF5: _REPACKED,
    FormatName.HDF5: _REPACKED,
    FormatName.KERAS_ZIP: "zip-deflate",
    FormatName.TFLITE: "tflite-pack",
    FormatName.SAFETENSORS: "compact-json",
}
_FOLDERS = {
    FormatName.WEIGHTS_HDF5: _REPACKED,
    FormatName.KERAS_ZIP: _REPACKED,
    FormatName.KERAS_PRESET: _REPACKED,
    **_BUNDLES,
    FormatName.TFJS: "merge-shards",
    FormatName.SAFETENSORS: "compact-json",
}


def _lossless(planning: Planning) -> str | None:
    """Return the name of what shrink does to an artifact without dropping anything, None where it does
    nothing.
    """
    subject = planning.subject
    if subject.is_in_archive:
        return "shrink-members"
    is_file = subject.is_file and subject.artifact.format in _SINGLE_FILES
    return (_SINGLE_FILES if is_file else _FOLDERS).get(subject.artifact.format)


def _state(planning: Planning) -> str | None:
    """Return the name of what may be dropped of training, None where there is nothing."""
    subject = planning.subject
    if subject.artifact.format in (*_BUNDLES, FormatName.WEIGHTS_HDF5):  # wrappers stay there
        return "strip-optimizer" if subject.of_role(Role.OPTIMIZER) else None
    if "wrapped_layers" in subject.artifact.facts or subject.of_role(Role.PRUNING):
        return "strip-pruning"
    return "strip-optimizer" if subject.of_role(Role.OPTIMIZER) else None


def _shrunk(planning: Planning, name: str, drop: frozenset[Drop]) -> Iterator[Outcome]:
    subject = planning.subject
    opened = (subject.artifact, subject.files) if subject.is_file and not subject.is_in_archive else None
    try:
        result = shrink(
            subject.artifact.location,
            Options(drop),
            Place(),
            subject.limits,
            planning.in_time_progress(),
            opened,
        )
    except ModelInspectError as error:
        yield LeftOut((name,), f"not computed: {error}")
        return
    if result.after is None:
        verdict = (
            "nothing can be saved" if result.outcome is Result.UNCHANGED else f"not possible: {result.reason}"
        )
        yield LeftOut((name,), verdict)
        return
    if drop and result.proof is not None and not result.proof.dropped:
        yield LeftOut((name,), f"not possible: {'; '.join(result.notes)}")
        return
    loaders = ", ".join(result.loads_in) or "h5py only"
    loads = f"{_LOADS}, with {loaders}" + (
        _WITHOUT_TRAINING.get(subject.artifact.format, "; not compiled") if drop else ""
    )
    options = " --drop training" if drop else ""
    file = outer_name(subject.artifact)
    given = quote(way_to(subject.artifact) + file)
    command = f"modelinspect shrink {given} -o {quote(f'small-{file}')}{options}"
    kept = (
        "without what only training needs; every other tensor is" if drop else "every tensor and document is"
    )
    lossless = True  # every weight keeps its exact value, whatever was dropped beside the weights
    yield Option(name, result.after.size, Basis.MEASURED, lossless, loads, command, f"{kept} proved equal")


FAMILY = Family(
    (
        _REPACKED,
        "zip-deflate",
        "alias-duplicates",
        "tflite-pack",
        "shrink-members",
        "merge-shards",
        "compact-json",
        *(
            f"{state}+{step}"
            for state in ("strip-optimizer", "strip-pruning")
            for step in ("hdf5-gzip", "zip-deflate")
        ),
        "strip-optimizer+alias-duplicates",
    ),
    _find,
)
