"""Make the networks that `plan` is compared with: three architectures, pruned in numpy, saved and converted
by TensorFlow.

usage: python benchmarks/accuracy/plan_networks.py FOLDER [--sizes benchmarks/accuracy/plan_sizes.csv]

The weights come from numpy only, so a test makes the same ones again without TensorFlow and holds the
predictions against the sizes that TensorFlow's files had.
"""

from __future__ import annotations

import csv
import shutil
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARCHITECTURES = ("mlp", "cnn", "separable")
SPARSITIES = (0.2, 0.35, 0.5, 0.8, 0.95)
PATTERNS = ("unstructured", "4x1", "16x1")
MODES = ("float32", "float16", "dynamic-int8")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One network: an architecture whose kernels are pruned to a sparsity in a pattern."""

    architecture: str
    sparsity: float
    pattern: str

    @property
    def name(self) -> str:
        return f"{self.architecture}-{self.sparsity:.2f}-{self.pattern}"


def cases() -> list[Case]:
    """Return every combination."""
    return [Case(*key) for key in ((a, s, p) for s in SPARSITIES for p in PATTERNS for a in ARCHITECTURES)]


def weight(case: Case, path: str, shape: tuple[int, ...]) -> Array:
    """Return the values of a variable; ``path`` is layer/name."""
    random = np.random.default_rng(zlib.crc32(f"{case.architecture}/{path}".encode()))
    values = random.standard_normal(shape).astype(np.float32) * np.float32(0.1)
    if "variance" in path:
        return np.abs(values) + np.float32(0.5)
    return values if len(shape) < 2 else pruned(values, case.sparsity, case.pattern)


def pruned(values: Array, sparsity: float, pattern: str) -> Array:
    """Return a kernel with its smallest elements, or blocks of them along the inputs, set to zero; 4-D
    kernels have no blocks.
    """
    length = 1 if pattern == "unstructured" or values.ndim != 2 else int(pattern.split("x")[0])
    blocks = np.abs(values).reshape(values.shape[0] // length, length, -1).sum(axis=1)
    order = np.argsort(blocks, axis=None, kind="stable")
    keep = np.ones(blocks.size, dtype=bool)
    keep[order[: round(sparsity * blocks.size)]] = False
    mask = np.repeat(keep.reshape(blocks.shape), length, axis=0).reshape(values.shape)
    return np.where(mask, values, np.float32(0))


def build(architecture: str) -> Any:
    """Return the network of an architecture, not trained."""
    from tf_keras import Sequential, layers

    match architecture:
        case "mlp":
            parts = [
                layers.Input((320,)),
                layers.Dense(64, activation="relu"),
                layers.Dense(64, activation="relu"),
                layers.Dense(10),
            ]
        case "cnn":
            parts = [
                layers.Input((28, 28, 1)),
                layers.Conv2D(12, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(16, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        case _:
            parts = [
                layers.Input((32, 32, 3)),
                layers.Conv2D(16, 3, strides=2, use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.DepthwiseConv2D(3, activation="relu"),
                layers.SeparableConv2D(64, 3, strides=2),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(64, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
    return Sequential([*parts], name=architecture)


def fill(network: Any, case: Case) -> None:
    """Give the network the weights of a case."""
    network.set_weights(
        [weight(case, variable.name.split(":")[0], tuple(variable.shape)) for variable in network.weights]
    )


def main() -> None:
    import tensorflow as tf
    import tf_keras

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, float, str, str, int]] = []
    for case in cases():
        target = folder / case.name
        if not (target / "done").exists():
            tf_keras.backend.clear_session()
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            network = build(case.architecture)
            fill(network, case)
            network.save(target / "model.h5")
            network.save(target / "model.keras", save_format="keras")
            saved = target / "saved"
            tf.saved_model.save(network, str(saved), options=tf.saved_model.SaveOptions(save_debug_info=True))
            for mode in MODES:
                for sparse in (False, True):
                    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
                    optimizations = [] if mode == "float32" else [tf.lite.Optimize.DEFAULT]
                    if mode == "float16":
                        converter.target_spec.supported_types = [tf.float16]
                    if sparse:
                        optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
                    converter.optimizations = optimizations
                    (target / f"{mode}{'-sparse' * sparse}.tflite").write_bytes(converter.convert())
            shutil.rmtree(saved)
            (target / "done").touch()
            print(case.name, flush=True)
        for file in sorted(target.glob("*.tflite")):
            rows.append((case.architecture, case.sparsity, case.pattern, file.stem, file.stat().st_size))
    if "--sizes" in sys.argv:
        with Path(sys.argv[sys.argv.index("--sizes") + 1]).open("w", newline="", encoding="utf-8") as out:
            csv.writer(out, lineterminator="\n").writerows(
                [("architecture", "sparsity", "pattern", "form", "size"), *rows]
            )


if __name__ == "__main__":
    main()
