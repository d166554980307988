"""Makes model files for the tests of `modelinspect prune`; run as ``python models.py FOLDER`` with
TF_USE_LEGACY_KERAS=1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tf_keras
from tf_keras import layers


class Mine(layers.Layer):
    """A layer that neither tf_keras nor tfmot knows."""

    def build(self, shape):
        self.kernel = self.add_weight("kernel", (shape[-1], 8))

    def call(self, inputs):
        return inputs @ self.kernel


def main(folder: Path) -> None:
    """Write the models."""
    tf_keras.utils.set_random_seed(1)
    trap = str(folder / "trap")
    # the code stands in the file as bytecode, so the path has to stand in it as a constant
    evil = eval(f"lambda x: (open({trap!r}, 'w').write('ran'), x)[1]")
    bad = tf_keras.Sequential(
        [layers.Input((10,)), layers.Dense(8), layers.Lambda(evil, name="evil"), layers.Dense(2)]
    )
    bad.save(folder / "lambda.h5")
    bad.save(folder / "lambda.keras")
    bad.save(folder / "lambda_saved_model", save_format="tf")
    custom = tf_keras.Sequential([layers.Input((10,)), Mine(name="mine"), layers.Dense(2, name="head")])
    custom.save(folder / "custom.h5")
    inner = tf_keras.Sequential(
        [layers.Input((10,)), layers.Dense(64, activation="relu", name="dense")], name="inner"
    )
    inputs = layers.Input((10,), name="given")
    outputs = layers.Dense(5, activation="softmax", name="head")(
        layers.ReLU(name="relu")(inner(inputs) * 2.0)
    )
    nested = tf_keras.Model(inputs, outputs, name="nested")
    nested.save(folder / "nested.h5")
    nested.save(folder / "nested_saved_model", save_format="tf")
    Path(trap).unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
