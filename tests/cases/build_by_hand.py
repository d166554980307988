"""Rebuilds the cases whose writers are not at hand, byte for byte as they write."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.flat import build


def main(root: Path) -> None:
    for make in (unrolled, shards, more_steps):
        make(root)


def unrolled(root: Path) -> None:
    """TensorFlow#17540: an unrolled network, whose steps each have a copy of the weights."""
    path = root / "28-unrolled"
    path.mkdir(parents=True, exist_ok=True)
    for name, steps, copies in (("shared", 4, False), ("copied", 4, True)):
        (path / f"{name}.tflite").write_bytes(steps_of(steps, copies))


def more_steps(root: Path) -> None:
    """TensorFlow#59921: a recurrent layer that is unrolled over more steps, all with one kernel."""
    path = root / "60-more-steps"
    path.mkdir(parents=True, exist_ok=True)
    for name, steps in (("few", 4), ("many", 80)):
        (path / f"{name}.tflite").write_bytes(steps_of(steps, copies=False))


def steps_of(steps: int, copies: bool) -> bytes:
    """Return a model of fully connected layers one after another, 64 x 64 each; all with one kernel, or each
    with a copy of it.
    """
    kernel = np.random.default_rng(1).normal(size=(64, 64)).astype("<f4").tobytes()
    count = steps if copies else 1
    tensors: list[dict[str, Any]] = [
        {"name": f"step_{index}", "shape": [1, 64], "type": 0, "buffer": 0} for index in range(steps + 1)
    ]
    tensors += [
        {"name": f"cell/kernel_{index}", "shape": [64, 64], "type": 0, "buffer": 1 + index}
        for index in range(count)
    ]
    operators = [
        {
            "opcode_index": 0,
            "inputs": [index, steps + 1 + (index if copies else 0), -1],
            "outputs": [index + 1],
        }
        for index in range(steps)
    ]
    return build(
        {
            "version": 3,
            "operator_codes": [{"builtin_code": 9, "deprecated_builtin_code": 9}],
            "subgraphs": [
                {
                    "tensors": tensors,
                    "inputs": [0],
                    "outputs": [steps],
                    "operators": operators,
                    "name": "main",
                }
            ],
            "buffers": [{}, *({"data": kernel} for _ in range(count))],
        }
    )


def shards(root: Path) -> None:
    """tfjs#5721: weights of a TF.js model in float32, and quantized to one byte."""
    path = root / "36-tfjs"
    kernel = np.random.default_rng(1).normal(size=(256, 96)).astype("<f4")
    low, high = float(kernel.min()), float(kernel.max())
    scale = (high - low) / 255
    narrow = np.round((kernel - low) / scale).astype("u1")
    told = {"dtype": "uint8", "min": low, "scale": scale, "original_dtype": "float32"}
    write_tfjs(path / "float32", kernel, None)
    write_tfjs(path / "uint8", narrow, told)


def write_tfjs(folder: Path, kernel: Any, quantization: dict[str, Any] | None) -> None:
    """Write a layers model of one kernel."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "group1-shard1of1.bin").write_bytes(kernel.tobytes())
    weight: dict[str, Any] = {"name": "dense/kernel", "shape": list(kernel.shape), "dtype": "float32"}
    if quantization:
        weight["quantization"] = quantization
    layer = {"class_name": "Dense", "config": {"name": "dense", "units": kernel.shape[1], "use_bias": False}}
    model = {"class_name": "Sequential", "config": {"name": "net", "layers": [layer]}}
    description = {
        "format": "layers-model",
        "generatedBy": "2.21.0",
        "convertedBy": "TensorFlow.js Converter v4.22.0",
        "modelTopology": {"keras_version": "2.21.0", "backend": "tensorflow", "model_config": model},
        "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": [weight]}],
    }
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
