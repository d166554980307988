"""Leave out what only training needs: the optimizer's slots, and the masks of pruning."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.analyses.plan.content import PREDICTED, is_gzipped, without
from modelinspect.core.artifact import Document, DocumentKind, FormatName
from modelinspect.core.names import CONFIG_JSON, WEIGHTS_H5, WrapperName
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import DecompressStep, Role, Stream, Tensor
from modelinspect.errors import FormatError
from modelinspect.formats.keras.config import read_json
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.compressors import GZIP_FRAME, deflated_size
from modelinspect.measure.rewrite import MOST_DEFLATED, ZIP_ERRORS, Rewriting, Rewritten, as_file, rewritten
from modelinspect.networks.writers import keras_module
from modelinspect.remedies import Advice
from modelinspect.remedies.choose import saved_without_helpers, saved_without_optimizer
from modelinspect.shrinking.stripped_hdf5 import (
    HELPERS,
    is_no_helper,
    is_no_training,
    untrained,
    unwrapped_attributes,
    unwrapped_path,
)
from modelinspect.shrinking.unwrapping import unwrapped

_STATE, _COUNTER = "checkpoint", "save_counter"
"""What a manager of checkpoints adds: the file that names the last one, and how many there were."""
_DEEPEST = 50
_CHECKPOINT_ENTRY, _WRAPPER_ENTRY, _CHECKPOINT_DOUBT = 180, 130, 12
"""What the index and the object graph say about a tensor and of a wrapper, about, and how far that may be off
for each tensor.
"""
_RENAMED_DOUBT = 6_000
"""What other names of variables change in bytes at most: Keras 3 writes those of nested layers again once a
model is loaded.
"""
_TRAINED_GRAPH, _WRAPPED_GRAPH, _WRAPPED_ERROR = 0.6, 0.9, 0.06
"""Shares of a SavedModel's graph that training and wrappers may have added, and what another order of
variables changes.
"""
_RENAMED_WEIGHTS, _REBUILT = 800, 1_200
"""What names of layers that are not stored change in bytes, and what is said or not of layers that are built
again.
"""

_NAME = len("model.keras") + 1
"""What gzip writes of a file's name."""
_MOST_DESCRIBED = 0.05
"""How much of a gzipped checkpoint may rest on what its index says about a tensor on average, which is off by
half at most.
"""

_LOADS = {
    FormatName.KERAS_HDF5: "as before, with load_model; not compiled",
    FormatName.KERAS_ZIP: "as before, with load_model; not compiled",
    FormatName.WEIGHTS_HDF5: "as before, with load_weights",
    FormatName.SAVED_MODEL: "as before; not compiled",
    FormatName.CHECKPOINT: "as before, but only into the model",
}


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left: its size, how that is known, what it may be off by, and what gzip makes of it where that
    was tried.
    """

    size: int
    basis: Basis
    error: float | None = None
    deflated: int | None = None

    @property
    def download(self) -> int | None:
        """The size once gzipped, under a name as long as most."""
        return None if self.deflated is None else self.deflated + GZIP_FRAME + _NAME


def _find(planning: Planning) -> Iterator[Outcome]:
    slots = planning.subject.of_role(Role.OPTIMIZER)
    wrapped = has_pruning_wrappers(planning)
    for name, applies, compute in (
        ("strip-optimizer", bool(slots), _without_optimizer),
        ("strip-pruning", wrapped, _without_pruning),
    ):
        if not applies or not planning.wants(name):
            continue
        try:
            yield compute(planning)
        except (UnmeasurableError, FormatError) as error:
            yield LeftOut((name,), f"not computed: {error}")


def has_pruning_wrappers(planning: Planning) -> bool:
    """Return whether tfmot's wrappers are in the artifact."""
    helpers = planning.subject.of_role(Role.PRUNING)
    return any(
        WrapperName.PRUNE in tensor.path
        or any(part.split(":")[0] in HELPERS for part in tensor.path.split("/"))
        for tensor in helpers
    )


def _without_optimizer(planning: Planning) -> Option:
    rest = _rest(planning, Rewriting(keep=is_no_training, attributes=untrained), (Role.OPTIMIZER,), dict)
    size, basis, error = rest.size, rest.basis, rest.error
    slots = planning.subject.of_role(Role.OPTIMIZER)
    held = sum(tensor.stored_size for tensor in slots)
    notes = (
        f"removes {len(slots):,} optimizer tensors ({held:,} bytes) and their structures; training cannot be"
        " resumed from the result"
    )
    form = planning.subject.artifact.format
    advice = saved_without_optimizer(planning.subject.artifact)
    if basis is Basis.MEASURED and has_pruning_wrappers(
        planning
    ):  # the loaded model writes its wrappers' variables in another order
        basis, error = Basis.ESTIMATE, _WRAPPED_ERROR
    nested = any("/" in (tensor.layer or "") for tensor in planning.subject.artifact.tensors)
    if (
        basis is Basis.MEASURED
        and form is FormatName.KERAS_HDF5
        and keras_module(planning.subject.artifact) == "keras"
        and nested
    ):
        basis, error = Basis.ESTIMATE, round(_RENAMED_DOUBT / max(size, 1), 4)
    notes += f"; {PREDICTED}" if rest.download is not None and basis is not Basis.MEASURED else ""
    return Option(
        "strip-optimizer", size, basis, True, _LOADS[form], _code(advice), notes, error, rest.download
    )


def _without_pruning(planning: Planning) -> Option:
    form = planning.subject.artifact.format
    rewriting = Rewriting(keep=is_no_helper, rename=unwrapped_path, attributes=unwrapped_attributes)
    rest = _rest(planning, rewriting, (Role.OPTIMIZER, Role.PRUNING), lambda config: unwrapped(config)[0])
    helpers = planning.subject.of_role(Role.PRUNING)
    held = sum(tensor.stored_size for tensor in helpers)
    notes = f"removes {len(helpers):,} masks, thresholds and steps ({held:,} bytes), and the optimizer state"
    advice = saved_without_helpers(planning.subject.artifact)
    notes += f"; {PREDICTED}" if rest.download is not None else ""
    return Option(
        "strip-pruning",
        rest.size,
        rest.basis,
        True,
        _LOADS[form],
        _code(advice),
        notes,
        rest.error,
        rest.download,
    )


def _code(advice: Advice | None) -> str:
    return advice.code if advice is not None else ""


def _rest(
    planning: Planning,
    rewriting: Rewriting,
    roles: tuple[Role, ...],
    change: Callable[[dict[str, Any]], Mapping[str, Any]],
) -> Rest:
    """Return what is left without tensors of some roles."""
    match planning.subject.artifact.format:
        case FormatName.KERAS_HDF5 | FormatName.WEIGHTS_HDF5 if planning.subject.is_file:
            is_model = planning.subject.artifact.format is FormatName.KERAS_HDF5
            rewriting = replace(
                rewriting, linked_last=not is_model, by_layer=is_model, by_container=not is_model
            )
            made = _rewrite(planning, Stream(planning.subject.artifact.members[0].name), rewriting)
            deflated = None if made.data is None else deflated_size([made.data])
            if Role.PRUNING not in roles:
                return Rest(made.size, Basis.MEASURED, None, deflated)
            error = round(0.001 if is_model else 0.002 + _RENAMED_WEIGHTS / max(made.size, 1), 4)
            return Rest(made.size, Basis.ESTIMATE, error, deflated)
        case FormatName.KERAS_ZIP if planning.subject.is_file:
            size, deflated = _archive(planning, rewriting, change)
            doubt = _REBUILT if Role.PRUNING in roles else 0
            return Rest(size, Basis.ESTIMATE, round(0.002 + doubt / max(size, 1), 4), deflated)
        case FormatName.SAVED_MODEL | FormatName.CHECKPOINT:
            return _estimated(planning, roles)
        case _:
            raise UnmeasurableError("the artifact is in several files")


def _rewrite(planning: Planning, stream: Stream, rewriting: Rewriting) -> Rewritten:
    if planning.subject.artifact.diagnostics:
        raise UnmeasurableError("the file is damaged, and is not given to the HDF5 library")
    if planning.subject.artifact.format is not FormatName.KERAS_ZIP and any(
        one.steps for each in planning.subject.artifact.tensors for one in _streams(each)
    ):
        raise UnmeasurableError("it is in an archive: unpack it first")
    held = sum(tensor.logical_size for tensor in planning.subject.artifact.tensors)
    written = is_gzipped(planning) and held <= MOST_DEFLATED
    return rewritten(planning.subject.files.open_stream(stream), replace(rewriting, with_elements=written))


def _archive(
    planning: Planning, rewriting: Rewriting, change: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> tuple[int, int | None]:
    """Return the size of a ``.keras`` archive whose weights and configuration are written again, and what it
    deflates to.

    Nothing in it is compressed, as Keras writes it.
    """
    streams = {stream for tensor in planning.subject.artifact.tensors for stream in _streams(tensor)}
    config = [
        document
        for document in planning.subject.artifact.documents
        if document.kind is DocumentKind.KERAS_CONFIG
    ]
    if (
        len(streams) != 1
        or not config
        or any(isinstance(step, DecompressStep) for stream in streams for step in stream.steps)
    ):
        raise UnmeasurableError("its members are compressed or not as Keras writes them")
    stream = streams.pop()
    inner = planning.subject.files.open_stream(stream).size
    text = read_json(_text(planning, config[0]))
    if not isinstance(text, dict):
        raise UnmeasurableError("its configuration cannot be read")
    changed = {key: value for key, value in change(text).items() if key != "compile_config"}
    if keras_module(planning.subject.artifact) == "keras":
        changed = {
            **_unshared(changed),
            "compile_config": {},
        }  # what Keras 3 says about a model that was loaded and is not compiled
    rewriting = replace(rewriting, linked_last=True, through_file=True)
    less = len(json.dumps(text)) - len(json.dumps(changed))
    made = _rewrite(planning, stream, rewriting)
    size = planning.subject.size - inner + made.size - less
    if made.data is None:
        return size, None
    return size, _deflated_archive(
        planning, {CONFIG_JSON: json.dumps(changed).encode(), WEIGHTS_H5: made.data}
    )


def _deflated_archive(planning: Planning, changed: Mapping[str, bytes]) -> int | None:
    """Return what the archive deflates to with other contents of some members, None where it cannot be
    written again.
    """
    if planning.subject.is_in_archive:
        return None
    buffer = io.BytesIO()
    try:
        with (
            zipfile.ZipFile(
                as_file(planning.subject.files.open(planning.subject.artifact.members[0].name))
            ) as old,
            zipfile.ZipFile(buffer, "w") as new,
        ):
            if sum(info.file_size for info in old.infolist()) > MOST_DEFLATED:
                return None
            for info in old.infolist():
                new.writestr(info, changed[info.filename] if info.filename in changed else old.read(info))
    except ZIP_ERRORS:
        return None
    return deflated_size([buffer.getvalue()])


def _unshared(value: Any, depth: int = 0) -> Any:
    """Return a configuration without the numbers of objects that layers shared when they were made; loading
    makes each its own.
    """
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        return [_unshared(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _unshared(item, depth + 1) for key, item in value.items() if key != "shared_object_id"}


def _streams(tensor: Tensor) -> Iterator[Stream]:
    stream = getattr(tensor.payload, "stream", None)
    if isinstance(stream, Stream):
        yield stream


def _text(planning: Planning, document: Document) -> bytes:
    if document.data is not None:
        return document.data
    planning.subject.limits.allow(
        "a configuration", document.span.size, planning.subject.limits.structure_size, document.stream.member
    )
    return planning.subject.files.open_stream(document.stream).read_at(
        document.span.offset, document.span.size
    )


def _estimated(planning: Planning, roles: tuple[Role, ...]) -> Rest:
    """Take away the elements and what the index and the object graph say about each; a SavedModel's graph
    shrinks too, and is not known.
    """
    gone = [
        tensor
        for tensor in planning.subject.artifact.tensors
        if tensor.role in roles or _COUNTER in tensor.path
    ]
    wrappers = sum("pruning_step" in tensor.path for tensor in gone)
    size = (
        planning.subject.size
        - sum(tensor.stored_size for tensor in gone)
        - _CHECKPOINT_ENTRY * len(gone)
        - _WRAPPER_ENTRY * wrappers
    )
    if planning.subject.artifact.format is FormatName.CHECKPOINT:
        size -= sum(member.size for member in planning.subject.artifact.members if member.name == _STATE)
    graph = sum(
        member.size
        for member in planning.subject.artifact.members
        if member.name.endswith((".pb", ".pbtxt", ".cpb"))
    )
    share = _WRAPPED_GRAPH if Role.PRUNING in roles else _TRAINED_GRAPH
    doubt = _CHECKPOINT_DOUBT * (len(gone) + 4) + share * graph
    return Rest(
        max(size, 0),
        Basis.ESTIMATE,
        round(min(doubt / max(size - doubt, 1), 9.99), 4),
        _deflated(planning, gone),
    )


def _deflated(planning: Planning, gone: Sequence[Tensor]) -> int | None:
    """Return what a checkpoint deflates to without some tensors: what its index and graph say about them goes
    in proportion.
    """
    artifact = planning.subject.artifact
    data = (
        without(planning, gone) if is_gzipped(planning) and artifact.format is FormatName.CHECKPOINT else None
    )
    if data is None:
        return None
    everything = [tensor for tensor in artifact.tensors if tensor.extents]
    described = without(planning, everything)
    if described is None or not everything:
        return None
    described_less = int(
        deflated_size(described) * sum(1 for tensor in gone if tensor.extents) / len(everything)
    )
    size = deflated_size(data) - described_less
    return size if described_less <= _MOST_DESCRIBED * size else None


FAMILY = Family(("strip-optimizer", "strip-pruning"), _find, reads_weights=False, formats=frozenset(_LOADS))
