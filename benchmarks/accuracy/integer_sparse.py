"""Record what TensorFlow's converter writes with full-integer quantization and `EXPERIMENTAL_SPARSITY`
together, for the networks of plan_networks.py.

usage: python benchmarks/accuracy/integer_sparse.py

It writes integer_sparse_sizes.csv beside it, which a test compares with `plan`.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.plan_networks import Case, cases  # noqa: E402
from benchmarks.accuracy.plan_reality import write_h5  # noqa: E402

SIZES = FOLDER / "integer_sparse_sizes.csv"
FIELDS = ("architecture", "sparsity", "pattern", "form", "size")
OPERATORS = {
    "int8": "TFLITE_BUILTINS_INT8",
    "int16x8": "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
}
FORMS = ("int8", "int8-sparse")


def converted(network: Any, form: str) -> bytes:
    """Return the file of a form; the samples are random, because the size does not depend on them."""
    import tensorflow as tf

    kind, _, sparse = form.partition("-")
    random = np.random.default_rng(1)
    shape = network.inputs[0].shape[1:]
    samples = [random.standard_normal((1, *shape)).astype(np.float32) for _ in range(4)]
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if sparse:
        converter.optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
    converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, OPERATORS[kind])]
    converter.representative_dataset = lambda: ([one] for one in samples)
    return bytes(converter.convert())


def real() -> dict[tuple[str, str], int]:
    """Return the recorded sizes by the name of the case and the form."""
    with SIZES.open(encoding="utf-8", newline="") as file:
        return {
            (Case(row["architecture"], float(row["sparsity"]), row["pattern"]).name, row["form"]): int(
                row["size"]
            )
            for row in csv.DictReader(file)
        }


def _rows() -> Iterator[tuple[str, float, str, str, int]]:
    import tf_keras

    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            path = Path(folder) / "model.h5"
            write_h5(case, path)
            tf_keras.backend.clear_session()
            network = tf_keras.models.load_model(path, compile=False)
            for form in FORMS:
                data = converted(network, form)
                if len(sys.argv) > 1:
                    (Path(sys.argv[1]) / f"{case.name}-{form}.tflite").write_bytes(data)
                yield case.architecture, case.sparsity, case.pattern, form, len(data)
            print(case.name, flush=True)


def main() -> None:
    rows = list(_rows())
    with SIZES.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([FIELDS, *rows])


if __name__ == "__main__":
    main()
