"""Prunes one network by an aggressive and by a conservative schedule and compares sparsity, accuracy and
size.

usage: python docs/guide/examples/schedules.py
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gzip
import tempfile
from pathlib import Path

import tensorflow_model_optimization as tfmot
import tf_keras
from basic_pruning import BATCH, network, samples

import modelinspect as mi

EPOCHS = 6
STEPS = EPOCHS * (1024 // BATCH)


def schedules():
    """Return both: steps count from 1, and the last turn has to be the end step, or the target is never
    reached.
    """
    decay = tfmot.sparsity.keras.PolynomialDecay
    return {
        "aggressive": decay(
            initial_sparsity=0.5, final_sparsity=0.95, begin_step=0, end_step=STEPS // 4, power=3, frequency=4
        ),
        "conservative": decay(
            initial_sparsity=0.0,
            final_sparsity=0.5,
            begin_step=STEPS // 4,
            end_step=STEPS * 3 // 4,
            power=1,
            frequency=8,
        ),
    }


def prune(schedule, x, y):
    """Train a fresh network, prune it by the schedule, and return it stripped with its accuracy."""
    tf_keras.utils.set_random_seed(42)
    model = network()
    model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    pruned.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    pruned.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()]
    )
    accuracy = pruned.evaluate(x, y, verbose=0)[1]
    return tfmot.sparsity.keras.strip_pruning(pruned), accuracy


def main(folder):
    """Compare the schedules."""
    x, y = samples()
    for name, schedule in schedules().items():
        stripped, accuracy = prune(schedule, x, y)
        path = folder / f"{name}.h5"
        stripped.save(path, include_optimizer=False)
        report = mi.inspect(path)
        kernels = [tensor for tensor in report.tensors if tensor.name.endswith("kernel")]
        zeros = sum(tensor.zero_count for tensor in kernels) / sum(tensor.element_count for tensor in kernels)
        compressed = len(gzip.compress(path.read_bytes(), 9))
        print(
            f"{name:13} {zeros:.1%} zeros, accuracy {accuracy:.3f}, {path.stat().st_size:,} bytes,"
            f" {compressed:,} gzipped"
        )
        print(f"{'':13} of the file, {report.categories.zero_weights:,} bytes are zeros stored in full")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
