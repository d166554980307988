"""Convert one model with TensorFlow: a job as JSON on stdin, the size of each form as JSON on stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelinspect.pruning.converter import ConversionJob, MadeEvent

_SAMPLES = 2
_LONGEST_REASON = 200


def main() -> int:
    """Do the job on stdin."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=ConversionJob)
    _limit(job.memory)
    make, model = _loaded(job)
    for form in job.forms:
        out.write(msgspec.json.encode(_made(job, form, make, model)) + b"\n")
    sys.stdout.flush()
    os._exit(0)  # TensorFlow's threads need seconds to end, and nothing is left to do


def _limit(memory: int) -> None:
    """Bound what this process may allocate, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _loaded(job: ConversionJob) -> tuple[Callable[[], Any], Any]:
    """Load the model; return what makes a new converter, and what has the model's inputs."""
    import tensorflow as tf

    if job.library == "saved_model":
        signatures = tf.saved_model.load(job.path).signatures
        return lambda: tf.lite.TFLiteConverter.from_saved_model(job.path), next(
            iter(signatures.values()), None
        )
    if job.library == "keras":
        import keras as library
    else:
        import tf_keras as library
    model = library.models.load_model(job.path, compile=False, safe_mode=True)
    if job.fixes_batch:
        given = [library.Input(each.shape[1:], 1, dtype=each.dtype, name=each.name) for each in model.inputs]
        fixed = library.models.clone_model(model, input_tensors=given if len(given) > 1 else given[0])
        fixed.set_weights(model.get_weights())
        model = fixed
    return lambda: tf.lite.TFLiteConverter.from_keras_model(model), model


def _made(job: ConversionJob, form: str, make: Callable[[], Any], model: Any) -> MadeEvent:
    """Convert to one form and write the file, whose size is what was asked for."""
    import tensorflow as tf

    kind = form.removesuffix("-sparse")
    target = Path(job.folder) / f"{form}.tflite"
    try:
        converter = make()
        converter.optimizations = [] if kind == "float32" else [tf.lite.Optimize.DEFAULT]
        if form != kind:
            converter.optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        elif kind in ("int8", "int16x8"):
            int16 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if kind == "int8" else int16
            ]
            converter.representative_dataset = lambda: _samples(model)
        target.write_bytes(converter.convert())
    except Exception as error:  # noqa: BLE001  # the converter raises many kinds; each is its refusal, and is reported
        last = str(error).strip().splitlines()[-1:] or [""]
        reason = f"{type(error).__name__}: {last[0][:_LONGEST_REASON]}"
        return MadeEvent(form=form, reason=reason, tensorflow=tf.__version__)
    size = target.stat().st_size
    target.unlink()
    return MadeEvent(form=form, size=size, tensorflow=tf.__version__)


def _samples(model: Any) -> Iterator[list[Any]]:
    """Yield random samples; lengths that are not known are 1."""
    import numpy as np

    generator = np.random.default_rng(0)
    for _ in range(_SAMPLES):
        given = []
        for tensor in model.inputs:
            if str(tensor.dtype) == "<dtype: 'resource'>":
                continue
            shape = [1 if length is None else length for length in tensor.shape]
            dtype = np.dtype(tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.as_numpy_dtype)
            given.append(generator.uniform(0, 1, shape).astype(dtype))
        yield given


if __name__ == "__main__":
    sys.exit(main())
