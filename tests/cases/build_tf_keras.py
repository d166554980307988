"""Rebuilds the cases that tf_keras and tfmot made; runs once, in a separate process, with
TF_USE_LEGACY_KERAS=1.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tf_keras import layers

prune = tfmot.sparsity.keras


def main(root: Path) -> None:
    warnings.simplefilter("ignore")
    tf_keras.utils.set_random_seed(7)
    for make in (in_place, never_began, momentum, siamese, hub, architectures, binarised, edge, tiny):
        make(root)


def folder(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def network(units: int = 128) -> Any:
    """64 inputs, 10 outputs: 9,610 parameters with 128 units."""
    return tf_keras.Sequential(
        [layers.Input((64,)), layers.Dense(units, "relu", name="hidden"), layers.Dense(10, name="head")]
    )


def trained(model: Any, optimizer: Any = "adam", callbacks: Any = ()) -> Any:
    model.compile(optimizer, "mse")
    x = np.random.default_rng(1).normal(size=(16, 64)).astype("f4")
    model.fit(x, np.ones((16, 10), "f4"), epochs=3, batch_size=8, verbose=0, callbacks=list(callbacks))
    return model


def wrapped(model: Any, begin: int = 0) -> Any:
    schedule = prune.ConstantSparsity(0.8, begin_step=begin, end_step=-1, frequency=1)
    return trained(
        prune.prune_low_magnitude(model, pruning_schedule=schedule), callbacks=[prune.UpdatePruningStep()]
    )


def to_tflite(model: Any, path: Path, **settings: Any) -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    for name, value in settings.items():
        setattr(converter, name, value)
    path.write_bytes(converter.convert())


def in_place(root: Path) -> None:
    """tfmot#722, tfmot#570, Stack Overflow 78567321: the wrapper prunes the layers of the model that it is
    given.
    """
    model = network()
    pruned = wrapped(model)
    pruned.save(folder(root, "06-kernel-stored-twice") / "wrapped.h5")
    pruned.save(root / "06-kernel-stored-twice" / "wrapped.keras")
    stripped = prune.strip_pruning(pruned)
    to_tflite(model, folder(root, "03-baseline-pruned-too") / "baseline.tflite")
    to_tflite(stripped, root / "03-baseline-pruned-too" / "pruned.tflite")
    model.save(folder(root, "04-same-weights") / "baseline.h5", include_optimizer=False)
    stripped.save(root / "04-same-weights" / "pruned.h5", include_optimizer=False)


def never_began(root: Path) -> None:
    """TensorFlow#47838: the schedule had not begun."""
    model = network()
    model.save(folder(root, "05-never-began") / "baseline.h5", include_optimizer=False)
    wrapped(model, begin=1_000).save(root / "05-never-began" / "pruned.h5", include_optimizer=False)


def momentum(root: Path) -> None:
    """keras-retinanet#685: one slot for each variable."""
    model = trained(network(), tf_keras.optimizers.SGD(0.01, momentum=0.9))
    model.save(folder(root, "13-momentum") / "weights.h5", include_optimizer=False)
    model.save(root / "13-momentum" / "trained.h5")


def siamese(root: Path) -> None:
    """keras#8312: the weights of a shared branch are written for each branch."""

    def branches(copies: int) -> Any:
        inputs = [layers.Input((64,)) for _ in range(2)]
        made = [layers.Dense(128, name=f"branch_{copy}") for copy in range(copies)]
        outputs = [made[place % copies](one) for place, one in enumerate(inputs)]
        return tf_keras.Model(inputs, layers.Concatenate()(outputs)), made

    _, (branch,) = model, made = branches(1)
    model.save_weights(folder(root, "18-siamese") / "shared.h5")
    twice, made = branches(2)
    for layer in made:
        layer.set_weights(branch.get_weights())
    twice.save_weights(root / "18-siamese" / "twice.h5")


def hub(root: Path) -> None:
    """tensorflow/hub#736: the optimizer's state in a SavedModel; saving it again without shrinks it."""
    model = trained(network(512))
    path = folder(root, "21-saved-again")
    model.save(path / "trained", save_format="tf", save_traces=False)
    again = tf_keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    again.save(path / "again", save_format="tf", save_traces=False)


def architectures(root: Path) -> None:
    """oarriaga/paz#155: Adam's slots, and another network besides."""
    network(96).save(folder(root, "26-another-network") / "small.h5", include_optimizer=False)
    trained(network(160)).save(root / "26-another-network" / "large.h5")


def binarised(root: Path) -> None:
    """larq#631: weights of two values in float32."""
    model = network()
    model.save(folder(root, "32-binarised") / "float.h5", include_optimizer=False)
    model.set_weights([np.where(weights < 0, -1, 1).astype("f4") for weights in model.get_weights()])
    model.save(root / "32-binarised" / "binary.h5", include_optimizer=False)


def edge(root: Path) -> None:
    """google-coral/edgetpu#245: from a trained HDF5 file to int8, a tenth."""
    model = trained(network(256))
    model.save(folder(root, "33-tenth") / "trained.h5")
    to_tflite(model, root / "33-tenth" / "int8.tflite", optimizations=[tf.lite.Optimize.DEFAULT])


def tiny(root: Path) -> None:
    """TensorFlow#58823: a network of a few weights grows by quantization."""
    model = tf_keras.Sequential([layers.Input((1,)), layers.Dense(32, "relu"), layers.Dense(1)])
    path = folder(root, "30-grows-by-int8")
    to_tflite(model, path / "float.tflite")

    def samples() -> Any:
        for value in np.linspace(-1, 1, 16, dtype="f4"):
            yield [np.array([[value]])]

    settings = {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": samples}
    to_tflite(model, path / "int8.tflite", **settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
