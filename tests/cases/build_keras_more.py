"""Rebuilds the later cases that Keras 3 made; runs once, in a process of its own."""

from __future__ import annotations

import gzip
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.cases.build_keras import folder, network


def main(root: Path) -> None:
    keras.utils.set_random_seed(7)
    for make in (
        deflated,
        three_times,
        other_optimizer,
        half,
        mixed,
        half_precision,
        adapted,
        one_slot,
        never_stepped,
        deeper,
        wider,
        no_slots,
    ):
        make(root)
    for make in (narrow_floats, narrower, wide_again, weights_only, included, zipped, dynamic):
        make(root)


def trained(model: Any, optimizer: Any) -> Any:
    model.compile(optimizer, "mse")
    model.fit(np.ones((8, 64), "f4"), np.ones((8, 10), "f4"), verbose=0)
    return model


def deflated(root: Path) -> None:
    """keras-molecules#36: weights are written without compression."""
    path = folder(root, "41-deflated")
    trained(network(), "adam").save(path / "stored.keras")
    with (
        zipfile.ZipFile(path / "stored.keras") as old,
        zipfile.ZipFile(path / "deflated.keras", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))


def three_times(root: Path) -> None:
    """keras#6374: 810 MB become 2.4 GB."""
    path = folder(root, "42-three-times-by-adam")
    model = network(256)
    model.save_weights(path / "before.weights.h5")
    trained(model, "adam").save_weights(path / "after.weights.h5")


def other_optimizer(root: Path) -> None:
    """tensorflow-deeplab-resnet#141: Adam instead of momentum."""
    path = folder(root, "43-adam-for-momentum")
    model = network()
    trained(model, keras.optimizers.SGD(0.01, momentum=0.9)).save_weights(path / "momentum.weights.h5")
    trained(keras.models.clone_model(model), "adam").save_weights(path / "adam.weights.h5")


def half(root: Path) -> None:
    """DenseDepth#46: the published file is half as large."""
    path = folder(root, "44-half-of-it")
    trained(network(), keras.optimizers.SGD(0.01, momentum=0.9)).save(path / "own.h5")
    keras.models.load_model(path / "own.h5", compile=False).save(path / "published.h5")


def mixed(root: Path) -> None:
    """keras#17381: mixed precision saves in full precision."""
    path = folder(root, "45-mixed-precision")
    model = network()
    model.save(path / "float32.keras")
    keras.config.set_dtype_policy("mixed_float16")
    again = network()
    keras.config.set_dtype_policy("float32")
    again.set_weights(model.get_weights())
    again.save(path / "mixed.keras")


def half_precision(root: Path) -> None:
    """keras#18979: float16 variables."""
    path = folder(root, "46-half-precision")
    model = network()
    model.save_weights(path / "float32.weights.h5")
    keras.config.set_dtype_policy("float16")
    again = network()
    keras.config.set_dtype_policy("float32")
    again.set_weights(model.get_weights())
    again.save_weights(path / "float16.weights.h5")


def adapted(root: Path) -> None:
    """keras#23244: LoRA's matrices are merged when the model is saved."""
    path = folder(root, "47-lora-merged")
    model = network()
    model.save_weights(path / "plain.weights.h5")
    model.get_layer("hidden").enable_lora(4)
    model.save_weights(path / "lora.weights.h5")


def one_slot(root: Path) -> None:
    """TensorFlow#16767: Adam keeps two numbers for each weight, plain gradient descent none."""
    path = folder(root, "48-descent-to-adam")
    model = network()
    trained(model, "sgd").save_weights(path / "sgd.weights.h5")
    trained(keras.models.clone_model(model), "adam").save_weights(path / "adam.weights.h5")


def never_stepped(root: Path) -> None:
    """TensorFlow#91498, the other way about: the state is there before any step."""
    path = folder(root, "49-before-any-step")
    model = network()
    model.compile("adam", "mse")
    shutil.rmtree(path, ignore_errors=True)
    model.save(folder(root, "49-before-any-step") / "compiled.keras")
    model.optimizer.build(model.trainable_variables)
    model.save(path / "built.keras")


def chain(*units: int) -> Any:
    return keras.Sequential(
        [
            keras.Input((64,)),
            *(layers.Dense(count, name=f"dense_{index}") for index, count in enumerate(units)),
        ]
    )


def deeper(root: Path) -> None:
    """paz#155: the own model is larger than the published one, without its optimizer too."""
    path = folder(root, "50-another-depth")
    chain(64, 10).save_weights(path / "published.weights.h5")
    chain(64, 64, 64, 10).save_weights(path / "own.weights.h5")


def wider(root: Path) -> None:
    """paz#155, by width."""
    path = folder(root, "51-another-width")
    chain(64, 10).save_weights(path / "published.weights.h5")
    chain(256, 10).save_weights(path / "own.weights.h5")


def no_slots(root: Path) -> None:
    """DenseDepth#46 with RMSprop, which keeps one number for each weight."""
    path = folder(root, "52-rmsprop")
    trained(network(), "rmsprop").save(path / "own.keras")
    keras.models.load_model(path / "own.keras", compile=False).save(path / "published.keras")


def to_tflite(model: Any, path: Path, *types: Any, optimize: bool = True) -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimize else []
    converter.target_spec.supported_types = list(types)
    path.write_bytes(converter.convert())


def narrow_floats(root: Path) -> None:
    """TensorFlow#34982: float16 weights."""
    path = folder(root, "53-float16")
    model = network()
    to_tflite(model, path / "float32.tflite", optimize=False)
    to_tflite(model, path / "float16.tflite", tf.float16)


def narrower(root: Path) -> None:
    """BERT-for-Mobile#3: asked for float16, got as few bytes as dynamic-range quantization."""
    path = folder(root, "54-not-float16")
    model = network()
    to_tflite(model, path / "float16.tflite", tf.float16)
    to_tflite(model, path / "dynamic.tflite")


def wide_again(root: Path) -> None:
    """keras-cv#2334: float16 is twice as large as what was taken for float32."""
    path = folder(root, "55-was-not-float32")
    model = network()
    to_tflite(model, path / "dynamic.tflite")
    to_tflite(model, path / "float16.tflite", tf.float16)


def weights_only(root: Path) -> None:
    """TensorFlow#55785: of three dense layers only the weights are float16."""
    path = folder(root, "56-weights-only")
    model = chain(128, 64, 10)
    to_tflite(model, path / "float32.tflite", optimize=False)
    to_tflite(model, path / "float16.tflite", tf.float16)


def included(root: Path) -> None:
    """TensorFlow#40380: the file has the optimizer although it should not."""
    path = folder(root, "57-not-left-out")
    model = trained(network(), "adam")
    model.save(path / "without.h5", include_optimizer=False)
    model.save(path / "with.h5", include_optimizer=True)


def zipped(root: Path) -> None:
    """keras-molecules#36: the whole file is compressed."""
    path = folder(root, "58-gzip")
    trained(network(), "adam").save(path / "model.h5")
    with gzip.GzipFile(path / "model.h5.gz", "wb", mtime=0) as packed:
        packed.write((path / "model.h5").read_bytes())


def dynamic(root: Path) -> None:
    """TensorFlow#45932: the float model and the one of dynamic range; here the quantized one is smaller."""
    path = folder(root, "59-dynamic-range")
    model = network()
    to_tflite(model, path / "float32.tflite", optimize=False)
    to_tflite(model, path / "dynamic.tflite")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
