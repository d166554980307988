"""Combines pruning with quantization: single weights and blocks, dense and sparse, each as TFLite.

usage: python docs/guide/examples/pruning_and_quantization.py
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gzip
import tempfile
from pathlib import Path

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

import modelinspect as mi

WIDTH = 512


def pruned_network(block_size):
    """Return a network with half of its weights zero, pruned in one step without training."""
    tf_keras.utils.set_random_seed(42)
    model = tf_keras.Sequential(
        [tf_keras.layers.Dense(WIDTH, input_shape=(WIDTH,)), tf_keras.layers.Dense(WIDTH)]
    )
    schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=1, frequency=1)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, schedule, block_size=block_size)
    pruned.compile("sgd", "mse")
    pruned.optimizer.learning_rate = 0.0  # the masks are set, the weights stay what they were
    x = tf.zeros((32, WIDTH))
    pruned.fit(x, x, epochs=1, batch_size=8, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    return tfmot.sparsity.keras.strip_pruning(pruned)


def convert(model, optimizations):
    """Return the TFLite file's bytes."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = optimizations
    return converter.convert()


def main(folder):
    """Convert, compare, explain."""
    int8, sparse = tf.lite.Optimize.DEFAULT, tf.lite.Optimize.EXPERIMENTAL_SPARSITY
    for pattern, block_size in {"single weights": (1, 1), "blocks of 16x1": (16, 1)}.items():
        model = pruned_network(block_size)
        files = {"float32": [], "int8": [int8], "int8 sparse": [int8, sparse]}
        for name, optimizations in files.items():
            path = folder / f"{pattern} {name}.tflite"
            path.write_bytes(convert(model, optimizations))
            compressed = len(gzip.compress(path.read_bytes(), 9))
            print(f"{pattern:15} {name:12} {path.stat().st_size:>8,} bytes {compressed:>8,} gzipped")
        report = mi.explain(folder / f"{pattern} int8.tflite", folder / f"{pattern} int8 sparse.tflite")
        print(f"  int8 to int8 sparse: {report.after.size - report.before.size:+,} bytes")
        for cause in sorted(report.causes, key=lambda entry: -abs(entry.delta))[:2]:
            print(f"  {cause.delta:+,} {cause.cause}: {cause.message}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
