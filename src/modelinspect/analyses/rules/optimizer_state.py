"""Finds the state of an optimizer, which only further training needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from modelinspect.analyses.explain.labels import average_names
from modelinspect.analyses.explain.texts import optimizer_text
from modelinspect.analyses.matching import Side
from modelinspect.analyses.rules.base import Context, Finding, Rule, plural
from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.tensors import Role
from modelinspect.reports.categories import Category


def _find(context: Context) -> Iterator[Finding]:
    size = context.sizes[Category.OPTIMIZER_STATE]
    slots = context.of_role(Role.OPTIMIZER)
    if not size or not slots:
        return
    averages = average_names(context.artifact)
    if all(tensor.name in averages for tensor in slots):
        what = f"moving averages of the weights: {plural(len(slots), 'tensor')}"
    else:
        what = optimizer_text(Side(context.artifact, context.measurements))
    message = f"{size:,} bytes ({context.share(size)}) are {what}; only further training needs it"
    yield Finding(message, size, _remedy(context.artifact.format))


def _remedy(format: FormatName) -> str:
    match format:
        case FormatName.KERAS_HDF5 | FormatName.HDF5:
            return "model.save('model.h5', include_optimizer=False)"
        case FormatName.KERAS_ZIP:
            return (
                "keras.models.load_model('model.keras', compile=False).save('smaller.keras'); include_optimizer=False is ignored for .keras"
            )
        case FormatName.WEIGHTS_HDF5:
            return "load_weights into a model that is not compiled, then save_weights: a compiled one saves its optimizer too"
        case FormatName.SAVED_MODEL:
            return "copy = clone_model(model); copy.set_weights(model.get_weights()); copy.save('folder'): load_model keeps the optimizer"
        case FormatName.CHECKPOINT:
            return "copy = clone_model(model); copy.set_weights(model.get_weights()); tf.train.Checkpoint(model=copy).write(prefix)"
        case FormatName.GRAPH_DEF | FormatName.TFLITE | FormatName.TFJS:
            return "convert again from the model itself: a converter writes no optimizer"
        case _:
            assert_never(format)


RULE = Rule(
    "optimizer-state",
    Severity.WARNING,
    "Slot variables often take twice the bytes of the weights, and inference never reads them.",
    _find,
    example=("8,000 bytes (66.7 %) are the optimizer's state (Adam): 2 slots for each of 1,000 weights; only further training needs it"),
    remedy="model.save('model.h5', include_optimizer=False)",
)
