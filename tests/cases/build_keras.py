"""Rebuilds the cases that Keras 3 made; runs once, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def main(root: Path) -> None:
    keras.utils.set_random_seed(7)
    for make in (after_fit, weights_with_slots, option_ignored, exported_twice, tied):
        make(root)


def folder(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def network(units: int = 128) -> Any:
    """64 inputs, 10 outputs: 9,610 parameters with 128 units."""
    return keras.Sequential(
        [keras.Input((64,)), layers.Dense(units, "relu", name="hidden"), layers.Dense(10, name="head")]
    )


def trained(model: Any) -> Any:
    model.compile("adam", "mse")
    model.fit(np.ones((8, 64), "f4"), np.ones((8, 10), "f4"), verbose=0)
    return model


def after_fit(root: Path) -> None:
    """TensorFlow#25308: three times as large after training."""
    model = network()
    model.save(folder(root, "14-after-fit") / "before.keras")
    trained(model).save(root / "14-after-fit" / "after.keras")


def weights_with_slots(root: Path) -> None:
    """TensorFlow#91498: weights alone are larger than the model."""
    model = trained(network())
    model.save(folder(root, "15-weights-larger") / "model.h5", include_optimizer=False)
    model.save_weights(root / "15-weights-larger" / "model.weights.h5")


def option_ignored(root: Path) -> None:
    """TensorFlow#84268: include_optimizer=False changes nothing for .keras."""
    model = trained(network())
    model.save(folder(root, "16-option-ignored") / "asked.keras", include_optimizer=False)
    keras.models.load_model(root / "16-option-ignored" / "asked.keras", compile=False).save(
        root / "16-option-ignored" / "without.keras"
    )


def exported_twice(root: Path) -> None:
    """keras#23553: every variable under two names."""
    model = network(512)
    path = folder(root, "17-exported-twice")
    tf.saved_model.save(model, str(path / "saved"))
    model.export(path / "exported", verbose=False)


def tied(root: Path) -> None:
    """keras#18419: a variable that two layers share is written for each."""

    class Tied(layers.Layer):
        def tie(self, embedding: Any) -> Any:
            self.table = embedding.embeddings
            return self

        def save_own_variables(self, store: Any) -> None:
            store["0"] = self.table

        def call(self, x: Any) -> Any:
            return keras.ops.matmul(x, keras.ops.transpose(self.table))

    def model(tie: bool) -> Any:
        inputs = keras.Input((4,))
        embedding = layers.Embedding(256, 32, name="embedding")
        x = embedding(inputs)
        return keras.Model(inputs, Tied(name="logits").tie(embedding)(x) if tie else x)

    model(False).save(folder(root, "19-shared-variable") / "once.keras")
    model(True).save(root / "19-shared-variable" / "tied.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
