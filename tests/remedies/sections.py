"""Proves the remedy for tensors that several sections of a LiteRT-LM file store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import modelinspect as mi
from modelinspect.remedies import Remedy
from tests.remedies.proving import findings, have, printed, proves, size

KERNEL = np.random.default_rng(4).normal(size=(64, 64)).astype("f4")
X = np.random.default_rng(5).normal(size=(1, 64)).astype("f4")


def _converted(*names: str) -> bytes:
    """Convert functions that read one kernel into one TFLite model, a signature for each."""
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(KERNEL)
    spec = [tf.TensorSpec((1, 64), tf.float32, "x")]
    bodies = {
        "embed": lambda x: {"y": tf.nn.relu(x @ module.kernel)},
        "decode": lambda x: {"y": tf.nn.tanh(x @ module.kernel)},
    }
    functions = {name: tf.function(bodies[name], input_signature=spec) for name in names}
    for name, function in functions.items():
        setattr(module, name, function)
    tf.saved_model.save(
        module,
        "saved",
        signatures={name: function.get_concrete_function() for name, function in functions.items()},
    )
    converted: bytes = tf.lite.TFLiteConverter.from_saved_model("saved", signature_keys=list(names)).convert()
    return converted


def _built(path: str, *models: bytes) -> None:
    """Build a file of models, each in a section."""
    from litert_lm_builder import litertlm_builder as lm

    builder = lm.LitertLmFileBuilder()
    builder.add_system_metadata(lm.Metadata(key="Authors", value="a proof", dtype=lm.DType.STRING))
    for kind, model in zip(
        (lm.TfLiteModelType.EMBEDDER, lm.TfLiteModelType.PREFILL_DECODE), models, strict=False
    ):
        Path(f"{kind.name}.tflite").write_bytes(model)
        builder.add_tflite_model(f"{kind.name}.tflite", kind)
    with Path(path).open("wb") as file:
        builder.build(file)


def _outputs(path: str) -> dict[str, Any]:
    """Return what every signature of every section computes, by the interpreter."""
    import tensorflow as tf

    data, found = Path(path).read_bytes(), {}
    for section in mi.open(path).facts["sections"]:
        content = data[section["offset"] : section["offset"] + section["size"]]  # type: ignore[index, operator, call-overload]
        interpreter = tf.lite.Interpreter(model_content=content)
        for name in interpreter.get_signature_list():
            found[name] = interpreter.get_signature_runner(name)(x=X)["y"]
    return found


@proves(Remedy.ONE_MODEL)
def signatures_of_one_model_share_a_kernel_that_sections_store_twice() -> None:
    _built("model.litertlm", _converted("embed"), _converted("decode"))
    printed("model.litertlm", "duplicate-tensors", Remedy.ONE_MODEL)
    _built("smaller.litertlm", _converted("embed", "decode"))
    assert "duplicate-tensors" not in findings("smaller.litertlm")
    assert size("smaller.litertlm") < size("model.litertlm") - KERNEL.nbytes // 2
    before, after = _outputs("model.litertlm"), _outputs("smaller.litertlm")
    assert before.keys() == after.keys() == {"embed", "decode"}
    assert all(np.allclose(before[name], after[name], atol=1e-6) for name in before)
    printed(have("litertlm/twice.litertlm"), "duplicate-tensors", Remedy.ONE_MODEL)
