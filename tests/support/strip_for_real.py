"""Trains, wraps and strips networks with tf_keras and tfmot, in every format: the files that `plan` predicts.

usage: python strip_for_real.py FOLDER NETWORK...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from benchmarks.accuracy.unseen_networks import build, named

_WITHOUT: dict[str, dict[str, bool]] = {".h5": {"include_optimizer": False}, ".keras": {}}


def main() -> None:
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras

    sparsity = tfmot.sparsity.keras
    for name in sys.argv[2:]:
        folder = Path(sys.argv[1]) / name
        after = folder / "after"
        after.mkdir(parents=True)
        build(named(name), tf_keras).save(str(folder / "base.h5"), include_optimizer=False)

        def base(path: str = str(folder / "base.h5")) -> Any:
            return tf_keras.models.load_model(path, compile=False)

        trained = base()
        _train(trained)
        _save(tf, trained, folder, "trained")
        for suffix in (".h5", ".keras"):
            _load(tf_keras, folder / f"trained{suffix}").save(
                str(after / f"trained{suffix}"), **_WITHOUT[suffix]
            )
        base().save_weights(str(after / "trained.weights.h5"))
        tf.train.Checkpoint(model=base()).write(str(after / "trained-checkpoint" / "model"))
        wrapped = sparsity.prune_low_magnitude(base(), sparsity.ConstantSparsity(0.5, begin_step=100))
        wrapped.compile(optimizer="adam", loss="mse")
        _save(tf, wrapped, folder, "wrapped")
        with sparsity.prune_scope():
            for suffix in (".h5", ".keras"):
                stripped = sparsity.strip_pruning(_load(tf_keras, folder / f"wrapped{suffix}"))
                stripped.save(str(after / f"wrapped{suffix}"), **_WITHOUT[suffix])
                if suffix == ".h5":
                    stripped.save_weights(str(after / "wrapped.weights.h5"))
                    tf.train.Checkpoint(model=stripped).write(str(after / "wrapped-checkpoint" / "model"))
                    converter = tf.lite.TFLiteConverter.from_keras_model(stripped)
                    (after / "wrapped.tflite").write_bytes(converter.convert())


def _train(model: Any) -> None:
    model.compile(optimizer="adam", loss="mse")
    given = [np.zeros((2, *value.shape[1:]), np.float32) for value in model.inputs]
    wanted = [np.zeros((2, *value.shape[1:]), np.float32) for value in model.outputs]
    weights = model.get_weights()
    model.train_on_batch(given[0] if len(given) == 1 else given, wanted[0] if len(wanted) == 1 else wanted)
    model.set_weights(weights)


def _save(tf: Any, model: Any, folder: Path, name: str) -> None:
    model.save(str(folder / f"{name}.h5"))
    model.save(str(folder / f"{name}.keras"))
    model.save_weights(str(folder / f"{name}.weights.h5"))
    tf.train.Checkpoint(model=model).write(str(folder / f"{name}-checkpoint" / "model"))


def _load(library: Any, path: Path) -> Any:
    return library.models.load_model(str(path), compile=False)


if __name__ == "__main__":
    main()
