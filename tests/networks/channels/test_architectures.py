"""Architectures that are in use: a quarter of the filters of every layer is zeroed, and what the tool names
is taken out for real.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.networks.channels.test_by_hand import outputs
from tests.support.surgery import filled, places_of, removal_of, seeded, without, zeroed

pytestmark = pytest.mark.tensorflow
SHAPE = (32, 32, 3)


def network(keras: Any, name: str) -> Any:
    settings: dict[str, Any] = {"weights": None, "input_shape": SHAPE, "classes": 5}
    if name.startswith("MobileNet"):
        settings["alpha"] = 0.25 if name == "MobileNet" else 0.35
    return getattr(keras.applications, name)(**settings)


def without_filters(model: Any, seed: int) -> Any:
    """Zero a quarter of the filters of every convolution; the statistics of a dead one become those of zeros,
    as training makes them.
    """
    numbers = np.random.default_rng(seed)
    layers = model.layers
    for place, layer in enumerate(layers):
        kind = type(layer).__name__
        if kind not in ("Conv2D", "DepthwiseConv2D"):
            continue
        kernel = layer.get_weights()[0]
        axis = 2 if kind == "DepthwiseConv2D" else 3
        dead = tuple(
            sorted(numbers.choice(kernel.shape[axis], kernel.shape[axis] // 4, replace=False).tolist())
        )
        zeroed(model, layer.name, "kernel", axis, dead)
        follower = layers[place + 1] if place + 1 < len(layers) else None
        if type(follower).__name__ == "BatchNormalization":
            zeroed(model, follower.name, "moving_mean", 0, dead)
            zeroed(model, follower.name, "beta", 0, dead, -0.5)
    return model


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "ResNet50"])
def test_an_architecture_computes_the_same_without_its_dead_channels(name: str, tmp_path: Path) -> None:
    keras = import_module("keras")
    seeded(keras, 5)
    model = without_filters(filled(network(keras, name), 6), 7)
    model.save(tmp_path / "model.h5")
    artifact, removal = removal_of(tmp_path / "model.h5")
    assert removal is not None
    x = np.random.default_rng(8).normal(0, 1, (2, *SHAPE)).astype("f4")
    smaller = without(keras, model, places_of(model, artifact, removal), x)
    whole = sum(weight.nbytes for weight in model.get_weights())
    assert removal.size == whole - sum(weight.nbytes for weight in smaller.get_weights())
    assert removal.size > whole // 5
    (one,), (other,) = outputs(model, x), outputs(smaller, x)
    assert np.allclose(one, other, atol=1e-3)
