"""Makes Keras 3 model files for the tests of `modelinspect prune`; run as ``python keras3_models.py FOLDER
NAME...``.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="house")
class Scale(layers.Layer):
    """A layer that Keras does not have."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1], shape[-1]), name="scale")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.scale)


def small() -> keras.Model:
    """Two dense layers whose inputs divide into blocks of 16."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="head"),
        ],
        name="small",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(keras.random.normal((64, 64), seed=1), keras.ops.zeros((64,), "int32"), verbose=0)
    return model


def evil() -> keras.Model:
    """A Lambda layer whose code would write a file."""
    return keras.Sequential(
        [keras.Input((8,)), layers.Dense(8), layers.Lambda(lambda x: x * 2, name="evil"), layers.Dense(2)]
    )


def custom() -> keras.Model:
    """A layer of its author."""
    return keras.Sequential([keras.Input((8,)), Scale(name="scaled"), layers.Dense(4, name="head")])


def lstm() -> keras.Model:
    """A recurrent network."""
    return keras.Sequential(
        [keras.Input((12, 8)), layers.LSTM(32, name="memory"), layers.Dense(10, activation="softmax")]
    )


def transformer() -> keras.Model:
    """One block of a text transformer: 400 words, 16 positions."""
    words = keras.Input((16,), dtype="int32", name="words")
    x = layers.Embedding(400, 32, name="embedding")(words)
    attended = layers.MultiHeadAttention(2, 16, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm_1")(layers.Add(name="add_1")([x, attended]))
    hidden = layers.Dense(32, name="down")(layers.Dense(64, activation="gelu", name="up")(x))
    x = layers.LayerNormalization(name="norm_2")(layers.Add(name="add_2")([x, hidden]))
    return keras.Model(
        words,
        layers.Dense(2, activation="softmax", name="head")(layers.GlobalAveragePooling1D(name="pool")(x)),
    )


def mobilenet() -> keras.Model:
    """MobileNetV3Small on 64x64 pixels, 10 classes."""
    return keras.applications.MobileNetV3Small(
        input_shape=(64, 64, 3), weights=None, classes=10, include_preprocessing=False
    )


MODELS = {
    "small": small,
    "evil": evil,
    "custom": custom,
    "lstm": lstm,
    "transformer": transformer,
    "mobilenet": mobilenet,
}


def main(folder: Path, names: list[str]) -> None:
    """Write the models as .keras, and the small one also as .h5 and as weights beside a configuration."""
    for name in names:
        keras.utils.set_random_seed(1)
        model = MODELS[name]()
        model.save(folder / f"{name}.keras")
        if name == "small":
            model.save(folder / "small.h5")
            (folder / "unpacked").mkdir()
            with zipfile.ZipFile(folder / "small.keras") as archive:
                archive.extractall(folder / "unpacked")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
