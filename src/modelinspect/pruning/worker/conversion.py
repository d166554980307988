"""Set up TFLiteConverter for each form."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

REPRESENTATIVE = 64
"""The samples that the converter sees when it fixes the ranges of full integer models."""


def configure(
    converter: Any, mode: str, representative: Callable[[], Iterator[Any]], *, integer_input: bool
) -> None:
    """Set a converter up for a form such as ``dynamic-int8-sparse``; integer inputs keep their type in full
    integer models.
    """
    optimizations = []
    match mode.removesuffix("-sparse"):
        case "float32":
            pass
        case "float16":
            optimizations.append(tf.lite.Optimize.DEFAULT)
            converter.target_spec.supported_types = [tf.float16]
        case "dynamic-int8":
            optimizations.append(tf.lite.Optimize.DEFAULT)
        case "int8":
            optimizations.append(tf.lite.Optimize.DEFAULT)
            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            if not integer_input:
                converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
        case "int16":
            optimizations.append(tf.lite.Optimize.DEFAULT)
            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            ]
    if mode.endswith("-sparse"):
        optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
    converter.optimizations = optimizations


def convert_apart(
    saved: Path, mode: str, samples: list[Any], names: list[str], scratch: Path, *, integer_input: bool
) -> bytes:
    """Convert a SavedModel in its own process, for networks on which TFLite's calibrator is known to crash.

    TensorFlow 2.21 dies of SIGSEGV when it calibrates the loops of Keras 3's recurrent layers. Raises
    `RuntimeError` where it does.
    """
    given, made = scratch / "samples.npz", scratch / "converted.tflite"
    np.savez(given, **{f"x{at}": part[:REPRESENTATIVE] for at, part in enumerate(samples)})
    job = json.dumps(
        {
            "saved": str(saved),
            "mode": mode,
            "samples": str(given),
            "names": names,
            "integer": integer_input,
            "to": str(made),
        }
    )
    command = [sys.executable, "-m", "modelinspect.pruning.worker.conversion", job]
    with (
        (scratch / "conversion.log").open("w+b") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log) as process,  # noqa: S603 - our own interpreter and module
    ):
        process.wait()  # stdin stays open so long: its end would end the process
        log.seek(0)
        lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if process.returncode < 0:
        raise RuntimeError(f"TFLite's converter died of {signal.Signals(-process.returncode).name}")
    if process.returncode:
        raise RuntimeError(
            lines[-1][:300] if lines else f"TFLite's converter ended with status {process.returncode}"
        )
    return made.read_bytes()


def main(text: str) -> None:
    """Do one conversion; the end of the caller ends it."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    job = json.loads(text)
    with np.load(job["samples"], allow_pickle=False) as archive:
        samples = [archive[f"x{at}"] for at in range(len(job["names"]))]

    def representative() -> Iterator[Any]:
        for at in range(len(samples[0])):
            parts = [part[at : at + 1] for part in samples]
            yield parts if len(parts) == 1 else dict(zip(job["names"], parts, strict=True))

    converter = tf.lite.TFLiteConverter.from_saved_model(job["saved"])
    configure(converter, job["mode"], representative, integer_input=job["integer"])
    Path(job["to"]).write_bytes(bytes(converter.convert()))


def _end_with_caller() -> None:
    os.read(0, 1)
    os._exit(4)


if __name__ == "__main__":
    main(sys.argv[1])
