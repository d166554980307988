"""What removes the bytes of a cause, for the artifact that holds them."""

from __future__ import annotations

from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.networks.copies import duplicate_cause, duplicates
from modelinspect.networks.programs import gradient_copies
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Advice, Remedy, advise
from modelinspect.remedies.choose import (
    converted_dense,
    exported_once,
    shared,
    untraced,
    without_helpers,
    without_optimizer,
)
from modelinspect.reports.causes import Cause

_OPTIMIZER = (
    Remedy.DROP_TRAINING,
    Remedy.DROP_WRAPPERS,
    Remedy.DROP_OPTIMIZER,
    Remedy.SAVE_UNCOMPILED,
    Remedy.SAVE_WEIGHTS_UNCOMPILED,
    Remedy.SAVE_COPY,
    Remedy.SAVE_CLONE,
    Remedy.WRITE_CLONE,
    Remedy.SAVE_WITHOUT_SLOTS,
)
_STRIPPED = (
    Remedy.DROP_WRAPPERS,
    Remedy.STRIP,
    Remedy.STRIP_WEIGHTS,
    Remedy.STRIP_FOLDER,
    Remedy.STRIP_CHECKPOINT,
    Remedy.STRIP_FIRST,
    Remedy.FOLD_MASKS,
)
_OTHER_HELPERS = (Remedy.UNCLUSTER, Remedy.UNCLUSTER_FIRST, Remedy.CONVERT_AWARE, Remedy.CONVERT_AWARE_MODEL)
REMEDIES: dict[Cause, tuple[Remedy, ...]] = {
    Cause.OPTIMIZER_STATE: _OPTIMIZER,
    Cause.EMA_SHADOW: _OPTIMIZER,
    Cause.PRUNING_STATE: (*_STRIPPED, *_OTHER_HELPERS[:2]),
    Cause.QUANTIZATION_AWARE_TRAINING: _OTHER_HELPERS[2:],
    Cause.WRAPPER_DUPLICATE: (*_STRIPPED, *_OTHER_HELPERS),
    Cause.EXPORT_DUPLICATE: (Remedy.SAVE_ONCE, Remedy.KEEP_ONE_CHECKPOINT),
    Cause.SHARED_DUPLICATE: (
        Remedy.LINK_WEIGHTS,
        Remedy.SAVE_ONCE,
        Remedy.KEEP_ONE_CHECKPOINT,
        Remedy.CONVERT_AGAIN,
        Remedy.ONE_MODEL,
        Remedy.LINK_DATASET,
        Remedy.CONVERT_WITHOUT_GRADIENT,
    ),
    Cause.SPARSE_ENCODING: (Remedy.CONVERT_DENSE, Remedy.CONVERT_DENSE_NARROW, Remedy.CONVERT_DENSE_HALF),
    Cause.TRACED_FUNCTIONS: (Remedy.NO_TRACES,),
    Cause.DEBUG_INFO: (Remedy.DELETE_DEBUG,),
}
"""Every remedy that a cause may have; other causes have none."""


def cause_remedy(cause: Cause, side: Subject) -> Advice | None:
    """Return what removes the bytes of a cause from the artifact that holds them; None where nothing does."""
    artifact = side.artifact
    match cause:
        case Cause.OPTIMIZER_STATE | Cause.EMA_SHADOW:
            return without_optimizer(artifact)
        case Cause.PRUNING_STATE | Cause.QUANTIZATION_AWARE_TRAINING | Cause.WRAPPER_DUPLICATE:
            return without_helpers(artifact)
        case Cause.EXPORT_DUPLICATE:
            return exported_once(artifact)
        case Cause.SHARED_DUPLICATE:
            pairs = [(copy, group[0]) for group in duplicates(side) for copy in group[1:]]
            pairs = [(copy, kept) for copy, kept in pairs if duplicate_cause(side, copy, kept) is cause]
            return (
                duplicate_remedy(side, *max(pairs, key=lambda pair: side.tensor(pair[0]).stored_size))
                if pairs
                else None
            )
        case Cause.SPARSE_ENCODING:
            return converted_dense(artifact)
        case Cause.TRACED_FUNCTIONS:
            return untraced(artifact)
        case Cause.DEBUG_INFO:
            in_folder = (
                artifact.format is FormatName.SAVED_MODEL
                and not artifact.facts.get("wrapped_in")
                and any(member.name.startswith("debug/") for member in artifact.members)
            )  # StableHLO has source locations within the graph
            return advise(Remedy.DELETE_DEBUG, artifact) if in_folder else None
        case _:
            return None


def duplicate_remedy(side: Subject, copy: TensorId, kept: TensorId) -> Advice | None:
    """Return how a tensor that another one is equal to is stored once."""
    gradients = side.once(gradient_copies)
    if copy in gradients or kept in gradients:
        return advise(Remedy.CONVERT_WITHOUT_GRADIENT, side.artifact)
    cause = duplicate_cause(side, copy, kept)
    if cause is Cause.SHARED_DUPLICATE:
        return shared(side.artifact, side.tensor(kept).name, side.tensor(copy).name)
    return cause_remedy(cause, side)
