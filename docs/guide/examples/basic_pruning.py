"""Prunes a network to 80 %, saves it before and after, and asks modelinspect why the file is as large as it
is.

usage: python docs/guide/examples/basic_pruning.py [FOLDER]
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = (
    "1"  # before TensorFlow is imported: tfmot prunes tf_keras models, not those of Keras 3
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gzip
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

import modelinspect as mi

BATCH, EPOCHS = 32, 4


def samples():
    """Return seeded samples of ten classes."""
    random = np.random.default_rng(7)
    x = random.standard_normal((1024, 10)).astype("float32")
    return x, (x @ random.standard_normal((10, 10))).argmax(axis=1)


def network():
    """Return a compiled network."""
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Dense(128, activation="relu", input_shape=(10,)),
            tf_keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def main(folder):
    """Train, save, prune, strip, save, compare."""
    tf_keras.utils.set_random_seed(42)
    x, y = samples()
    model = network()
    model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
    original = folder / "original.h5"
    model.save(
        original, include_optimizer=False
    )  # before pruning: the wrapper prunes this very model's layers

    steps = EPOCHS * (len(x) // BATCH)
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0, final_sparsity=0.8, begin_step=0, end_step=steps // 2, frequency=steps // 16
    )
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    pruned.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    pruned.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()]
    )
    stripped = folder / "stripped.h5"
    tfmot.sparsity.keras.strip_pruning(pruned).save(stripped, include_optimizer=False)

    for path in (original, stripped):
        print(
            f"{path.name:12} {path.stat().st_size:>7,} bytes, {len(gzip.compress(path.read_bytes(), 9)):>7,}"
            " gzipped"
        )
    report = mi.explain(original, stripped)
    print(f"difference: {report.after.size - report.before.size:+,} bytes")
    for finding in report.findings:
        print(f"{finding.rule}: {finding.message}")
        print(f"  do: {finding.remedy}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary))
