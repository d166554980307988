"""Names: of every weight that Keras saves, by every way of saving, the printed name is the layer's and
variable's in the code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.artifact import Artifact
from modelinspect.core.tensors import Role, Tensor

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def _mlp(k: Any) -> Any:
    return k.Sequential(
        [
            k.layers.Input((6,)),
            k.layers.Dense(5, name="stem"),
            k.layers.Dense(5, name="middle"),
            k.layers.Dense(2, name="head"),
        ]
    )


def _cnn(k: Any) -> Any:
    entry = k.Input((8, 8, 3))
    x = entry
    for number in range(3):
        x = k.layers.Conv2D(4, 3, padding="same", use_bias=number != 1, name=f"block{number}_conv")(x)
        x = k.layers.BatchNormalization(scale=number != 2, name=f"block{number}_bn")(x)
    return k.Model(entry, k.layers.Dense(2, name="scores")(k.layers.Flatten()(x)), name="cnn")


def _mobile(k: Any) -> Any:
    layers = [
        k.layers.Input((8, 8, 3)),
        k.layers.SeparableConv2D(4, 3, name="separable"),
        k.layers.DepthwiseConv2D(3, name="depthwise"),
        k.layers.PReLU(name="slope"),
        k.layers.Conv2DTranspose(3, 2, name="grow"),
        k.layers.GroupNormalization(1, name="groups"),
    ]
    return k.Sequential(layers, name="mobile")


def _recurrent(k: Any) -> Any:
    layers = [
        k.layers.Input((5, 4)),
        k.layers.LSTM(3, return_sequences=True, name="reader"),
        k.layers.GRU(3, name="writer"),
    ]
    return k.Sequential([*layers, k.layers.Dense(1, name="out")])


def _bidirectional(k: Any) -> Any:
    both = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True, name="reader"), name="both")
    return k.Sequential([k.layers.Input((5, 4)), both, k.layers.SimpleRNN(2, name="last")])


def _cells(k: Any) -> Any:
    cells = [k.layers.GRUCell(3, name="first_cell"), k.layers.LSTMCell(4, name="second_cell")]
    return k.Sequential(
        [k.layers.Input((5, 4)), k.layers.RNN(cells, name="stack"), k.layers.Dense(1, name="out")]
    )


def _text(k: Any) -> Any:
    entry = k.Input((7,), dtype="int32")
    x = k.layers.Embedding(11, 4, name="words")(entry)
    x = k.layers.Conv1D(4, 3, name="grams")(x)
    return k.Model(entry, k.layers.Dense(2, name="classes")(k.layers.GlobalMaxPooling1D()(x)), name="text")


def _attention(k: Any) -> Any:
    entry = k.Input((5, 6))
    mixed = k.layers.MultiHeadAttention(2, 3, name="mix")(entry, entry)
    x = k.layers.LayerNormalization(name="norm")(mixed)
    return k.Model(entry, k.layers.Dense(6, name="feed")(x), name="transformer")


def _nested(k: Any) -> Any:
    inner = k.Sequential(
        [k.layers.Input((6,)), k.layers.Dense(4, name="dense_a"), k.layers.BatchNormalization(name="bn_a")],
        name="encoder",
    )
    entry = k.Input((6,))
    return k.Model(entry, k.layers.Dense(2, name="decoder_out")(inner(entry)), name="whole")


def _shared(k: Any) -> Any:
    one, other = k.Input((6,)), k.Input((6,))
    tower = k.layers.Dense(4, name="tower")
    joined = k.layers.Concatenate()([tower(one), tower(other)])
    return k.Model([one, other], k.layers.Dense(1, name="distance")(joined), name="siamese")


def _frozen(k: Any) -> Any:
    layers = [
        k.layers.Dense(6, name="kept", trainable=False),
        k.layers.Dense(6, name="tuned"),
        k.layers.Dense(6, name="new"),
    ]
    return k.Sequential([k.layers.Input((6,)), *layers], name="transfer")


def _many(k: Any) -> Any:
    entry = x = k.Input((4,))
    for number in range(12):
        x = k.layers.Add()([x, k.layers.Dense(4, name=f"stage_{number:02}")(x)])
    return k.Model(entry, x, name="residual")


NETWORKS: dict[str, Callable[[Any], Any]] = {
    function.__name__.strip("_"): function
    for function in (
        _mlp,
        _cnn,
        _mobile,
        _recurrent,
        _bidirectional,
        _cells,
        _text,
        _attention,
        _nested,
        _shared,
        _frozen,
        _many,
    )
}


def _marked(model: Any, optimizer: Any, trained: list[Any], name: Callable[[Any], str]) -> dict[float, str]:
    """Give every variable elements of its own, and return what each should be called by its first element."""
    import tensorflow as tf

    with tf.name_scope("Adam"):  # as `fit` builds it; Keras 3 names its variables by itself
        optimizer.build(trained)
    expected: dict[float, str] = {}
    for variable in model.variables:
        if "seed" not in name(variable):
            expected[float(len(expected) + 1)] = name(variable)
            variable.assign(
                np.full(
                    variable.shape,
                    len(expected),
                    variable.dtype if isinstance(variable.dtype, str) else "float32",
                )
            )
    for slots, short in ((optimizer._momentums, "m"), (optimizer._velocities, "v")):
        for variable, of in zip(slots, trained, strict=True):
            expected[float(len(expected) + 1)] = f"Adam/{short}/{name(of)}"
            variable.assign(np.full(variable.shape, len(expected), "float32"))
    return expected


def _first(tensor: Tensor, folder: Path) -> float:
    """Return the first element as it is in the file."""
    extent = tensor.extents[0]
    with (folder / extent.member).open("rb") as file:
        file.seek(extent.span.offset)
        return float(np.frombuffer(file.read(4), "<f4")[0])


def _check(location: Path, expected: dict[float, str], *, slots: bool = True) -> None:
    artifact: Artifact = mi.open(location)
    folder = location if location.is_dir() else location.parent
    seen: set[float] = set()
    for tensor in artifact.tensors:
        roles = (Role.WEIGHT, Role.STATISTIC, Role.OPTIMIZER)
        if tensor.role in roles and tensor.dtype.name == "float32" and "learning_rate" not in tensor.name:
            value = _first(tensor, folder)
            assert f"/{tensor.name}".endswith(f"/{expected[value]}") or _within(
                tensor.name, expected[value]
            ), (
                tensor.path,
                expected[value],
            )
            seen.add(value)
    wanted = {value for value, name in expected.items() if slots or not name.startswith("Adam/")}
    assert seen == wanted


def _within(name: str, expected: str) -> bool:
    """Return whether a slot's name has the names of outer models, which tf_keras leaves out of its variables'
    names.
    """
    for prefix in ("Adam/m/", "Adam/v/"):
        if name.startswith(prefix) and expected.startswith(prefix):
            return name.removeprefix(prefix).endswith(f"/{expected.removeprefix(prefix)}")
    return False


@pytest.mark.parametrize("network", NETWORKS)
def test_keras_3_prints_the_names_of_the_code(network: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    model = NETWORKS[network](keras)
    model.compile("adam", "mse")

    def name(variable: Any) -> str:
        return str(variable.path).removeprefix(f"{model.name}/")

    expected = _marked(model, model.optimizer, model.trainable_variables, name)
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.export(tmp_path / "exported", verbose=False)
    (tmp_path / "beside").mkdir()
    model.save_weights(tmp_path / "beside" / "model.weights.h5")
    (tmp_path / "beside" / "config.json").write_text(json.dumps(keras.saving.serialize_keras_object(model)))
    tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))

    _check(tmp_path / "model.keras", expected)
    _check(tmp_path / "model.h5", expected)
    _check(tmp_path / "exported", expected, slots=False)
    _check(tmp_path / "beside" / "model.weights.h5", expected)
    _check(tmp_path / "checkpoint.index", expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_tf_keras_prints_the_names_of_the_code(network: str, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    tf_keras = pytest.importorskip("tf_keras")
    model = NETWORKS[network](tf_keras)
    model.compile("adam", "mse")

    def name(variable: Any) -> str:
        return str(variable.name).removesuffix(":0")

    expected = _marked(model, model.optimizer, model.trainable_variables, name)
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.save(tmp_path / "saved", save_traces=False)
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "checkpoint"))

    _check(tmp_path / "model.keras", expected)
    _check(tmp_path / "model.h5", expected)
    _check(tmp_path / "saved", expected)
    _check(tmp_path / "checkpoint.index", expected)
