"""Predicts what TFLiteConverter would make of the model, and warns where sparse encoding would lose."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.plan.base import Basis, Family, Option, Planning
from modelinspect.analyses.plan.tflite.forms import SparseTensor, Weights
from modelinspect.analyses.plan.tflite.keras import Source, keras_source
from modelinspect.analyses.plan.tflite.predict import Form, predict
from modelinspect.analyses.remedies.advice import is_whole, load_lines
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role
from modelinspect.reports.wording import plural

ERROR = 0.01
"""What an estimate from a configuration or a float model is off by at the most: docs/plan.md has the measurements."""
MOST_ERROR = 9.99

_FORMS: tuple[tuple[str, Weights, bool], ...] = (
    ("tflite-float32", Weights.FLOAT32, False),
    ("tflite-float16", Weights.FLOAT16, False),
    ("tflite-dynamic-int8", Weights.INT8, False),
    ("tflite-sparse", Weights.FLOAT32, True),
    ("tflite-dynamic-int8-sparse", Weights.INT8, True),
)
_LOADS = {
    Weights.FLOAT32: "in the TFLite interpreter",
    Weights.FLOAT16: "in the TFLite interpreter, which expands it to float32",
    Weights.INT8: "in the TFLite interpreter, with hybrid kernels",
}


def _find(planning: Planning) -> Iterator[Option]:
    source = _source(planning)
    forms = {(weights, sparse): predict(source.root, source.kept, weights, sparse=sparse) for _, weights, sparse in _FORMS}
    for name, weights, sparse in _FORMS:
        form = forms[weights, sparse]
        if sparse and not form.sparse:
            planning.left_out.append(f"{name}: left out: no kernel has 30 % zeros, so the converter would encode none")
            continue
        if sparse:
            _warn(planning, name, form, forms[weights, False])
        error = min(ERROR + source.doubt / max(form.size, 1), MOST_ERROR)
        yield Option(
            name,
            form.size,
            Basis.ESTIMATE,
            weights is Weights.FLOAT32,
            _LOADS[weights],
            command(planning, weights, sparse=sparse),
            "; ".join(_notes(form, source)),
            round(error, 4),
        )


def _source(planning: Planning) -> Source:
    if planning.artifact.format is FormatName.TFLITE:
        from modelinspect.analyses.plan.tflite.flat import flat_source

        return flat_source(planning)
    return keras_source(planning)


def command(planning: Planning, weights: Weights, *, sparse: bool) -> str:
    """Return lines of Python that make a form; of two forms they differ in the settings alone."""
    kinds = [] if weights is Weights.FLOAT32 else ["kind.DEFAULT"]
    if sparse:
        kinds.append("kind.EXPERIMENTAL_SPARSITY")
    settings = [f"converter.optimizations = [{', '.join(kinds)}]"]
    if weights is Weights.FLOAT16:
        settings.append("converter.target_spec.supported_types = [tf.float16]")
    made = "model.tflite" if planning.name != "model.tflite" else "converted.tflite"
    write = f"open({made!r}, 'wb').write(converter.convert())"
    return "\n".join(("import tensorflow as tf", *_converter(planning), "kind = tf.lite.Optimize", *settings, write))


def _converter(planning: Planning) -> list[str]:
    """Return lines that make the converter: of what the artifact loads as, or of the model that its weights belong to."""
    artifact = planning.artifact
    wrapped = any("prune_low_magnitude" in tensor.name for tensor in planning.of_role(Role.PRUNING))
    if artifact.format is FormatName.SAVED_MODEL and not wrapped:
        return [f"converter = tf.lite.TFLiteConverter.from_saved_model({planning.name!r})"]
    lines = [f"{load_lines(artifact)}"] if is_whole(artifact) else []
    if wrapped:
        lines += [] if lines else ["import tensorflow_model_optimization as tfmot"]
        lines.append("model = tfmot.sparsity.keras.strip_pruning(model)")
    return [*lines, "converter = tf.lite.TFLiteConverter.from_keras_model(model)"]


def _notes(form: Form, source: Source) -> Iterator[str]:
    if form.weights is Weights.INT8:
        yield "kernels under 1,024 elements stay float"
    if form.weights is Weights.FLOAT16:
        yield "rounds weights to 11 bits"
    if form.sparse:
        expanded = [tensor for tensor in form.sparse if tensor.block == 1]
        blocks = len(form.sparse) - len(expanded)
        yield f"{plural(len(form.sparse), 'kernel')} encoded" + (f", {blocks} in blocks that sparse kernels take" if blocks else "")
        if expanded:
            yield f"{plural(len(expanded), 'kernel')} expanded again by DENSIFY at run time: smaller on disk, not in memory"
    if source.unknown:
        yield f"not known how these convert: {', '.join(source.unknown[:3])}" + (" and more" if len(source.unknown) > 3 else "")
    if not source.has_structure:
        yield "the artifact has weights but no layers' configuration: operators are guessed"


def _warn(planning: Planning, name: str, form: Form, dense: Form) -> None:
    """Say before it is converted that sparse encoding makes a file larger, and of which kernels."""
    broken = [tensor for tensor in form.sparse if tensor.lost]
    if broken:
        tensor = max(broken, key=lambda each: each.dense)
        planning.warnings.append(
            f"{name}: the converter would DROP weights of {plural(len(broken), 'kernel')}: {tensor.name} has {tensor.inputs} inputs, which "
            f"blocks of {tensor.block} do not divide, and it keeps whole blocks alone. Do not use this form, or make the inputs a "
            f"multiple of {tensor.block}."
        )
    losing = [tensor for tensor in form.sparse if tensor.sparse > tensor.dense]
    if form.size > dense.size:
        share = (form.size - dense.size) / dense.size
        planning.warnings.append(
            f"{name}: EXPERIMENTAL_SPARSITY would make the file larger: {dense.size:,} -> {form.size:,} bytes (+{share:.0%}). "
            f"The converter encodes every kernel from 30 % zeros on and never compares sizes; {_worst(form.sparse)}."
        )
    elif losing:
        planning.warnings.append(f"{name}: {plural(len(losing), 'kernel')} of {len(form.sparse)} would grow; {_worst(losing)}.")


def _worst(tensors: tuple[SparseTensor, ...] | list[SparseTensor]) -> str:
    tensor = max(tensors, key=lambda each: each.sparse - each.dense)
    return (
        f"{tensor.name} has {tensor.sparsity:.0%} zeros and would grow from {tensor.dense:,} to {tensor.sparse:,} bytes: "
        f"it pays from {tensor.break_even:.0%} on"
    )


FAMILY = Family(
    tuple(name for name, _, _ in _FORMS),
    _find,
    formats=frozenset(
        (
            FormatName.KERAS_HDF5,
            FormatName.KERAS_ZIP,
            FormatName.WEIGHTS_HDF5,
            FormatName.SAVED_MODEL,
            FormatName.CHECKPOINT,
            FormatName.TFLITE,
        )
    ),
)
