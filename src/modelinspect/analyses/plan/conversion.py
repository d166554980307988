"""Predict what TFLiteConverter would make of the model, and warn where sparse encoding would lose."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.plan.base import LATE, Basis, Family, LeftOut, Note, Option, Outcome, Planning
from modelinspect.conversion.errors import stated_error, why_unsure, within
from modelinspect.conversion.forms.rewrite import SparseTensor, Weights
from modelinspect.conversion.keras.source import Source, keras_source
from modelinspect.conversion.older import as_release, of_form
from modelinspect.conversion.predict import Form, gzipped_size, predict
from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.collector import paused_collector
from modelinspect.core.limits import MIB
from modelinspect.core.names import WrapperName
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Role
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.networks.writers import is_whole, keras_module
from modelinspect.remedies.advice import load_lines
from modelinspect.reports.wording import plural

_SURE = 0.02
"""Of a form that is less surely known, what it compresses to is not computed."""
_MOST_WRITTEN = 64 * MIB
"""Larger forms are not written in memory to be compressed."""

_CALIBRATED = (Weights.FULL_INT8, Weights.INT16X8)
"""Forms whose scales come from samples: how well they compress is not predicted."""
_FORMS: tuple[tuple[str, Weights, bool], ...] = (
    ("tflite-float32", Weights.FLOAT32, False),
    ("tflite-float16", Weights.FLOAT16, False),
    ("tflite-dynamic-int8", Weights.INT8, False),
    ("tflite-sparse", Weights.FLOAT32, True),
    ("tflite-dynamic-int8-sparse", Weights.INT8, True),
    ("tflite-int8", Weights.FULL_INT8, False),
    ("tflite-int16x8", Weights.INT16X8, False),
    ("tflite-int8-sparse", Weights.FULL_INT8, True),
    ("tflite-int16x8-sparse", Weights.INT16X8, True),
)
_DENSE = "no kernel has 30 % zeros, so the converter would encode none sparsely"
_BROKEN = (
    "TensorFlow 2.21 writes a broken file: sparse encoding turns the int64 biases into int32; the interpreter"
    " then refuses depthwise convolutions, and convolutions give wrong results"
)
_LOADS = {
    Weights.FLOAT32: "in the TFLite interpreter",
    Weights.FLOAT16: "in the TFLite interpreter, which expands it to float32",
    Weights.INT8: "in the TFLite interpreter, with hybrid kernels",
    Weights.FULL_INT8: "in the TFLite interpreter, on microcontrollers and integer accelerators",
    Weights.INT16X8: "in the TFLite interpreter, whose integer kernels keep 16 bits between layers",
}


def _find(planning: Planning) -> Iterator[Outcome]:
    forms = _Forms(planning, as_release(_source(planning), planning.release))
    for place, (name, weights, sparse) in enumerate(_FORMS):
        if planning.is_late:
            if left := tuple(form for form, _, _ in _FORMS[place:] if planning.wants(form)):
                yield LeftOut(left, f"not computed: {LATE}", is_late=True)
            break
        yield from forms.find(name, weights, sparse=sparse)
    if forms.rough:
        yield LeftOut(
            tuple(forms.rough),
            f"not predicted within {_SURE:.0%}: {why_unsure(forms.source)}; --only shows the estimate",
        )


class _Forms:
    """Predicts one form after another; of a form that was shown, only the sizes are kept."""

    def __init__(self, planning: Planning, source: Source) -> None:
        self.planning = planning
        self.source = source
        self.rough: list[str] = []
        self._gzipped = _Gzipped(planning, source)
        self._dense: dict[Weights, int] = {}
        self._held: dict[Weights, Form] = {}  # not gzipped: the sparse form may be compared with them
        self._has_sparse = False

    def find(self, name: str, weights: Weights, *, sparse: bool) -> Iterator[Outcome]:
        planning, source = self.planning, self.source
        if sparse and weights is Weights.INT16X8:
            if name in planning.wanted or (self._has_sparse and not planning.wanted):
                yield LeftOut((name,), _BROKEN)
            return
        try:
            with paused_collector():
                form = predict(
                    source.root,
                    source.kept,
                    weights,
                    sparse=sparse,
                    release=planning.release,
                    elements=source.elements,
                )
        except UnmeasurableError as problem:
            yield LeftOut((name,), f"not computed: {problem}")
            return
        self._has_sparse |= bool(form.sparse)
        if not sparse:
            self._dense[weights] = form.size
        elif form.sparse and source.has_structure:  # else kernels are guessed, and their blocks with them
            yield from _warn(name, form, self._dense.get(weights, form.size))
        error = stated_error(form, of_form(source, planning.release, weights, is_sparse=sparse))
        # Without a layer configuration the form is a size without elements, which would compress to nothing.
        is_written = planning.wants(name) and (error or 0.0) <= _SURE and source.has_structure
        if not sparse and not is_written and weights not in _CALIBRATED:
            self._held[weights] = form
        if error is not None and error > _SURE and not planning.wanted:
            self.rough.append(name)
            return
        if sparse and not form.sparse and not planning.wanted:
            yield LeftOut((name,), f"{_DENSE}; the file would have {form.size:,} bytes{within(error)}")
            return
        download = self._gzipped.of(form) if is_written else None
        notes = [*_notes(form, source)]
        if download is not None:
            notes.append("the gzipped size is predicted, within 3 %")
        if sparse and download is not None:
            notes += _compared(download, self._gzipped.dense(weights, self._held.get(weights)))
        yield Option(
            name,
            form.size,
            Basis.EXACT if error is None else Basis.ESTIMATE,
            weights is Weights.FLOAT32,
            _LOADS[weights],
            command(planning, weights, sparse=sparse, fixes_batch=source.fixes_batch),
            "; ".join(notes),
            error,
            download,
        )


@dataclass(slots=True)
class _Gzipped:
    """Says what forms are once they are gzipped: each is written with its elements, and compressed for
    real.
    """

    planning: Planning
    source: Source
    _known: dict[tuple[Weights, bool], int | None] = field(default_factory=dict)
    _sizes: dict[bytes, int] = field(default_factory=dict)

    def of(self, form: Form) -> int | None:
        """Return the bytes with the name of the command; None where too large to be written, or not known."""
        if (key := (form.weights, form.is_sparse)) not in self._known:
            self._known[key] = self._count(form)
        return self._known[key]

    def dense(self, weights: Weights, form: Form | None) -> int | None:
        """Return the bytes of a dense form, which is given where they are not known yet."""
        return self._known.get((weights, False)) if form is None else self.of(form)

    def _count(self, form: Form) -> int | None:
        if not self.planning.downloads or form.size > _MOST_WRITTEN or form.weights in _CALIBRATED:
            return None
        files = self.planning.subject.files
        held = (
            files.open(files.primary)
            if self.planning.subject.artifact.format is FormatName.TFLITE and files.primary is not None
            else None
        )
        try:
            with paused_collector():
                size = gzipped_size(form, self.source.elements, held, self._sizes)
            return size + len(made_name(self.planning)) + 1
        except (FormatError, UnmeasurableError):
            return None


def _compared(sparse: int, dense: int | None) -> Iterator[str]:
    """Say where a form is the larger download: an index compresses worse than the zeros that it replaces."""
    if dense is not None and sparse > dense:
        yield f"gzipped, it is larger than the dense form: {sparse:,} bytes, dense {dense:,}"


def _source(planning: Planning) -> Source:
    if planning.subject.artifact.format is FormatName.TFLITE:
        from modelinspect.conversion.from_tflite import flat_source

        with paused_collector():
            return flat_source(planning.subject)
    if planning.subject.artifact.format is FormatName.SAVED_MODEL and not _is_wrapped(planning):
        from modelinspect.conversion.graph.source import saved_source

        return saved_source(planning.subject, planning.release)
    return keras_source(planning.subject, planning.release)


def command(planning: Planning, weights: Weights, *, sparse: bool, fixes_batch: bool = False) -> str:
    """Return lines of Python that make a form; of two forms they differ in only the settings."""
    kinds = [] if weights is Weights.FLOAT32 else ["kind.DEFAULT"]
    if sparse:
        kinds.append("kind.EXPERIMENTAL_SPARSITY")
    settings = [f"converter.optimizations = [{', '.join(kinds)}]"]
    if weights is Weights.FLOAT16:
        settings.append("converter.target_spec.supported_types = [tf.float16]")
    if weights in _CALIBRATED:
        settings += _calibration(weights)
    write = f"open({made_name(planning)!r}, 'wb').write(converter.convert())"
    return "\n".join(
        (
            "import tensorflow as tf",
            *_converter(planning, fixes_batch=fixes_batch),
            "kind = tf.lite.Optimize",
            *settings,
            write,
        )
    )


def _calibration(weights: Weights) -> list[str]:
    """Return lines that calibrate with the user's own samples, which nothing replaces."""
    name = "TFLITE_BUILTINS_INT8"
    if weights is Weights.INT16X8:
        name = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    return [
        f"converter.target_spec.supported_ops = [tf.lite.OpsSet.{name}]",
        (
            "converter.representative_dataset = lambda: ([one] for one in samples)  # samples: a few hundred"
            " inputs, each a batch of 1"
        ),
    ]


def made_name(planning: Planning) -> str:
    """Return what the converted file is called."""
    return "model.tflite" if planning.subject.file_name != "model.tflite" else "converted.tflite"


def _converter(planning: Planning, *, fixes_batch: bool) -> list[str]:
    """Return lines that make the converter: of what the artifact loads as, or of the model that its weights
    belong to.
    """
    artifact, wrapped = planning.subject.artifact, _is_wrapped(planning)
    if artifact.format is FormatName.SAVED_MODEL and not wrapped:
        return [f"converter = tf.lite.TFLiteConverter.from_saved_model({planning.subject.file_name!r})"]
    lines = [f"{load_lines(artifact)}"] if is_whole(artifact) else [_the_model(artifact)]
    if wrapped:
        lines += [] if is_whole(artifact) else ["import tensorflow_model_optimization as tfmot"]
        lines.append("model = tfmot.sparsity.keras.strip_pruning(model)")
    if not fixes_batch:
        return [*lines, "converter = tf.lite.TFLiteConverter.from_keras_model(model)"]
    keras = keras_module(artifact)
    return [
        *lines,
        *([] if keras == "tf.keras" or is_whole(artifact) else [f"import {keras}"]),
        f"one = lambda x: {keras}.Input(x.shape[1:], 1, dtype=x.dtype, name=x.name)",
        "given = [one(x) for x in model.inputs]",
        "given = given if len(given) > 1 else given[0]",
        f"fixed = {keras}.models.clone_model(model, input_tensors=given)",
        "fixed.set_weights(model.get_weights())",
        "converter = tf.lite.TFLiteConverter.from_keras_model(fixed)",
    ]


def _the_model(artifact: Artifact) -> str:
    """Return the comment that says which model code needs that the artifact does not hold."""
    if artifact.format is FormatName.TFLITE:
        return "# model: the Keras model that this .tflite file was converted from"
    return "# model: the Keras model of these weights, with the weights loaded"


def _is_wrapped(planning: Planning) -> bool:
    """Return whether tfmot wraps layers: what is converted is then what is left once they are unwrapped."""
    return any(WrapperName.PRUNE in tensor.path for tensor in planning.subject.of_role(Role.PRUNING))


def _notes(form: Form, source: Source) -> Iterator[str]:
    if form.weights is Weights.INT8:
        yield "kernels under 1,024 elements stay float"
    if form.weights in _CALIBRATED:
        yield "needs samples to calibrate activation ranges; the size does not depend on them"
    if form.weights is Weights.FLOAT16:
        yield "rounds weights to 11 bits"
    if form.is_sparse and not form.sparse and not source.unknown:
        yield _DENSE
    if form.sparse:
        expanded = [tensor for tensor in form.sparse if tensor.block == 1]
        blocks = len(form.sparse) - len(expanded)
        yield f"{plural(len(form.sparse), 'kernel')} encoded sparsely" + (
            f", {blocks} in blocks that sparse kernels run" if blocks else ""
        )
        if expanded:
            count = plural(len(expanded), "kernel")
            yield f"{count} expanded by DENSIFY at run time: smaller on disk, not in memory"
    if hybrid := sum(tensor.is_hybrid for tensor in form.sparse):
        yield (
            f"{plural(hybrid, 'sparse int8 weight')} of fully connected operators, which the XNNPACK delegate"
            " of TensorFlow 2.21, on by default, refuses or miscomputes: compare the outputs with those of"
            " the dense file on your device"
        )
    if source.fixes_batch:
        yield "the batch size is fixed to 1; otherwise the converter refuses recurrent layers"
    if source.unknown:
        yield f"conversion of these is not known: {', '.join(source.unknown[:3])}" + (
            " and more" if len(source.unknown) > 3 else ""
        )
    if not source.has_structure:
        yield f"{source.reason or 'there are weights but no layer configuration'}: operators are assumed"


def _warn(name: str, form: Form, dense: int) -> Iterator[Note]:
    """Say before it is converted that sparse encoding makes a file larger, and of which kernels."""
    broken = [tensor for tensor in form.sparse if tensor.lost]
    if broken:
        tensor = max(broken, key=lambda each: each.dense)
        yield Note(
            f"Do not use {name}: the converter would drop weights of {plural(len(broken), 'kernel')}."
            f" {tensor.name} has {tensor.inputs} inputs, which is not a multiple of the block size"
            f" {tensor.block}, and the converter keeps only whole blocks."
        )
    losing = [tensor for tensor in form.sparse if tensor.sparse > tensor.dense]
    if form.size > dense:
        share = (form.size - dense) / dense
        yield Note(
            f"{name}: sparse encoding would make the file larger, {dense:,} to {form.size:,} bytes"
            f" (+{100 * share:.0f} %). The converter encodes every kernel with at least 30 % zeros and does"
            f" not compare sizes; {_worst(form.sparse)}."
        )
    elif losing:
        yield Note(
            f"{name}: {plural(len(losing), 'kernel')} of {len(form.sparse)} would grow; {_worst(losing)}."
        )


def _worst(tensors: tuple[SparseTensor, ...] | list[SparseTensor]) -> str:
    tensor = max(tensors, key=lambda each: each.sparse - each.dense)
    return (
        f"{tensor.name} has {100 * tensor.sparsity:.0f} % zeros and would grow from {tensor.dense:,} to"
        f" {tensor.sparse:,} bytes: break-even is at {100 * tensor.break_even:.0f} %"
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
