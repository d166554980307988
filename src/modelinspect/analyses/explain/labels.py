"""Find the tensors that are there for their own reason: optimizer, pruning, copies of others."""

from __future__ import annotations

from collections.abc import Collection

from modelinspect.core.bytemap import TensorId
from modelinspect.core.names import ATTRIBUTES, VARIABLE_VALUE
from modelinspect.core.tensors import Helpers, Role, Tensor
from modelinspect.networks.copies import duplicate_cause, duplicates
from modelinspect.networks.kernels import frozen_masks
from modelinspect.networks.optimizers import average_names
from modelinspect.networks.subject import Subject
from modelinspect.networks.writers import helpers_of
from modelinspect.reports.causes import Cause

_METRICS = frozenset(
    (
        "metrics",
        "_metrics",
        "keras_api",
        "compiled_metrics",
        "_compile_metrics",
        "loss_tracker",
        "_loss_tracker",
        "compiled_loss",
    )
)
_COUNTERS = frozenset(("save_counter", "global_step", "train_step", "step"))


def labels(side: Subject, paired: Collection[TensorId] = ()) -> dict[TensorId, Cause]:
    """Return the cause of each tensor that is not simply part of the model.

    Of equal tensors one is the model's: the first of those in ``paired``, which have a counterpart on the
    other side, or else the first of all; the others are duplicates.
    """
    found: dict[TensorId, Cause] = {}
    averages = average_names(side.artifact)
    masks = frozen_masks(side.artifact, side.measurements)
    helpers = _helper_cause(side)
    for index, tensor in enumerate(side.artifact.tensors):
        match tensor.role:
            case Role.OPTIMIZER:
                found[TensorId(index)] = (
                    Cause.EMA_SHADOW if tensor.path in averages else Cause.OPTIMIZER_STATE
                )
            case Role.PRUNING:
                found[TensorId(index)] = helpers
            case Role.QUANTIZATION:
                found[TensorId(index)] = Cause.QUANTIZATION
            case Role.CONSTANT:
                if index in masks:
                    found[TensorId(index)] = Cause.PRUNING_STATE
            case Role.OTHER:
                cause = _bookkeeping(tensor)
                if cause is not None:
                    found[TensorId(index)] = cause
            case Role.WEIGHT | Role.STATISTIC:
                pass
    known = frozenset(paired)
    for group in duplicates(side):
        kept = next((one for one in group if one in known), group[0])
        for one in group:
            if one != kept:
                found[one] = duplicate_cause(side, one, kept)
    return found


def _helper_cause(side: Subject) -> Cause:
    """Return what the helper variables of training wrappers are there for."""
    is_quantizing = helpers_of(side.artifact) is Helpers.QUANTIZATION
    return Cause.QUANTIZATION_AWARE_TRAINING if is_quantizing else Cause.PRUNING_STATE


def _bookkeeping(tensor: Tensor) -> Cause | None:
    """Return what a variable that is not part of the model is for: metrics and counters."""
    parts = [part for part in tensor.path.split("/") if part not in (ATTRIBUTES, VARIABLE_VALUE)]
    if not _METRICS.isdisjoint(parts):
        return Cause.TRAINING_CONFIG
    return Cause.METADATA if parts and parts[-1] in _COUNTERS else None
