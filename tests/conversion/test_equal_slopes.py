"""Slopes of PReLU layers that are equal, as all zeros before training, are one constant to the converter; a
SavedModel is not taken for one of its parts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.api.opening import opened, subject_of
from modelinspect.networks.keras_variables import read_model

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("slope", [0.0, 0.25, None])
def test_equal_slopes_are_stored_once(slope: float | None, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("tf_keras")
    random = np.random.default_rng(4)
    layers = [keras.layers.Input((8, 8, 3), batch_size=1)]
    for _ in range(3):
        layers += [keras.layers.Conv2D(16, 3, padding="same"), keras.layers.PReLU(shared_axes=(1, 2))]
    network = keras.Sequential(layers)
    for weight in network.weights:
        is_slope = "alpha" in weight.name and slope is not None
        weight.assign(np.full(weight.shape, slope) if is_slope else random.standard_normal(weight.shape))
    path = tmp_path / "model.h5"
    network.save(path, include_optimizer=False)
    option = mi.plan(path, only=["tflite-float32"], downloads=False).options[0]
    assert option.size == len(tf.lite.TFLiteConverter.from_keras_model(network).convert())


@pytest.mark.parametrize("is_whole", [True, False])
def test_only_the_configuration_of_the_whole_is_taken(is_whole: bool, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("tf_keras")
    part = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])

    class Whole(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.part, self.head = part, keras.layers.Dense(50)

        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return self.head(self.part(inputs))

    network = part if is_whole else Whole()
    network(np.zeros((1, 4), "f4"))
    network.save(tmp_path / "saved", save_format="tf")
    with opened(tmp_path / "saved") as (artifact, files):
        subject = subject_of(artifact, files, measure=False, limits=None, progress=None)
        model = read_model(subject.artifact, subject.reading)
    assert (model is not None) == is_whole
