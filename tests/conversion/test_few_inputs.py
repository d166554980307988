"""Kernels with fewer inputs than a block has: of all of them, the converter looks at one block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import modelinspect as mi

pytestmark = pytest.mark.tensorflow

INPUTS, OUTPUTS = 2, 32
FORMS = {"tflite-sparse": [], "tflite-dynamic-int8-sparse": ["DEFAULT"]}


@pytest.mark.parametrize("first", [0.0, 0.5])
def test_whether_the_first_elements_are_zeros_decides_what_is_kept(first: float, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("tf_keras")
    network = keras.Sequential(
        [keras.layers.Input((INPUTS,)), keras.layers.Dense(OUTPUTS), keras.layers.Dense(4)]
    )
    kernel = np.zeros((INPUTS, OUTPUTS), "f4")
    kernel[:, 4::9] = 0.4
    kernel[1, 1] = first  # the fourth element, in the order of the outputs
    random = np.random.default_rng(3)
    network.set_weights([kernel, *(random.standard_normal(each.shape) for each in network.get_weights()[1:])])
    path = tmp_path / "model.h5"
    network.save(path, include_optimizer=False)
    sizes = {each.option: each.size for each in mi.plan(path, only=[*FORMS], downloads=False).options}
    for option, optimizations in FORMS.items():
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        chosen = (*optimizations, "EXPERIMENTAL_SPARSITY")
        converter.optimizations = [getattr(tf.lite.Optimize, name) for name in chosen]
        assert sizes[option] == len(converter.convert()), option
