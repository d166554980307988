"""What `plan` computes of `quantize("int8")` and `quantize("int4")` is what Keras 3 saves, to the byte."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.conversion.quantized.config import quantized_config
from modelinspect.conversion.quantized.einsum import Einsum, projection
from modelinspect.conversion.quantized.layers import Mode
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.reports.plan import OptionEntry
from tests.support.fixtures import fixture_path

OPTIONS = ("keras-int8", "keras-int4")


def _dense(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((200,)), layers.Dense(65, activation="relu"), layers.Dense(7, use_bias=False)]
    )


def _trained(keras: Any) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.Flatten(),
            layers.Dense(9),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 9)), verbose=0)
    return model


def _nested(keras: Any) -> Any:
    layers = keras.layers
    given, inner = keras.Input((16,)), keras.Input((16,))
    branch = keras.Sequential([keras.Input((16,)), layers.Dense(24), layers.Dense(16)], name="branch")
    head = keras.Model(inner, layers.Dense(5)(inner), name="head")
    return keras.Model(given, head(branch(branch(given))))


def _text(keras: Any) -> Any:
    layers = keras.layers
    given = keras.Input((9,), dtype="int32")
    rows = layers.Embedding(50, 150, mask_zero=True)(given)
    return keras.Model(given, layers.Dense(2)(layers.Bidirectional(layers.LSTM(6))(rows)))


def _tied(keras: Any) -> Any:
    table = keras.layers.ReversibleEmbedding(40, 12, tie_weights=False)
    given = keras.Input((5,), dtype="int32")
    return keras.Model(given, table(table(given), reverse=True))


def _einsum(keras: Any) -> Any:
    layers = keras.layers
    given = keras.Input((6, 4, 10))
    rows = layers.EinsumDense("abhd,hde->abe", (None, 13), bias_axes="e")(given)
    return keras.Model(given, layers.EinsumDense("abc,dc->adb", (7, None))(rows))


def _low_rank(keras: Any) -> Any:
    model = _dense(keras)
    model.layers[0].enable_lora(4)
    return model


def _brain(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((20,)), layers.Dense(8, dtype="bfloat16"), layers.Dense(8, dtype="mixed_bfloat16")]
    )


def _attention(keras: Any) -> Any:
    layers = keras.layers
    given, other = keras.Input((4, 16)), keras.Input((7, 12))
    made = layers.MultiHeadAttention(2, 8, dropout=0.1, use_gate=True)(given, other)
    made = layers.GroupQueryAttention(8, 4, 2)(made, made)
    return keras.Model([given, other], layers.Dense(3)(made))


def _in_time(keras: Any) -> Any:
    given = keras.Input((4, 8))
    return keras.Model(given, keras.layers.TimeDistributed(keras.layers.Dense(3))(given))


LOADED: tuple[Callable[[Any], Any], ...] = (
    _dense,
    _trained,
    _nested,
    _text,
    _tied,
    _einsum,
    _low_rank,
    _brain,
)


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    module = pytest.importorskip("keras")
    if not module.__version__.startswith("3.15."):
        pytest.skip("the layout is that of Keras 3.15")
    yield module
    module.backend.clear_session()


def _saved(keras: Any, make: Callable[[Any], Any], folder: Path) -> Path:
    keras.backend.clear_session()
    path = folder / "model.keras"
    make(keras).save(path)
    return path


def _made(keras: Any, path: Path, entry: OptionEntry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the command of an option where the names of layers are counted from the start."""
    monkeypatch.chdir(path.parent)
    keras.backend.clear_session()
    exec(entry.command, {})
    return path.with_name(f"model-{entry.option.removeprefix('keras-')}.keras")


@pytest.mark.tensorflow
@pytest.mark.parametrize("make", LOADED, ids=lambda make: make.__name__)
def test_a_quantized_model_has_the_exact_size_and_loads(
    make: Callable[[Any], Any], keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(keras, make, tmp_path)
    report = mi.plan(path, only=OPTIONS)
    assert {entry.option for entry in report.options} == set(OPTIONS), report.left_out
    assert not report.notes
    for entry in report.options:
        made = _made(keras, path, entry, monkeypatch)
        assert (entry.basis, entry.size) == ("exact", made.stat().st_size)
        loaded = keras.models.load_model(made)
        assert f"{entry.option.removeprefix('keras-')}" in str(loaded.layers[-1].dtype_policy.name) or (
            loaded.layers[-1].name == "head"
        )


@pytest.mark.tensorflow
def test_a_quantized_attention_layer_has_the_exact_size_and_is_warned_about(
    keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(keras, _attention, tmp_path)
    report = mi.plan(path, only=OPTIONS)
    assert len(report.notes) == 1
    for entry in report.options:
        made = _made(keras, path, entry, monkeypatch)
        assert (entry.basis, entry.size) == ("exact", made.stat().st_size)
        with pytest.raises(ValueError, match="could not be loaded"):
            keras.models.load_model(made)
        assert entry.loads_as.startswith("with load_weights, into this model after quantize(")
    model = keras.models.load_model(path, compile=False)  # the way that the option gives
    model.quantize("int4")
    model.load_weights(tmp_path / "model-int4.keras")


@pytest.mark.tensorflow
def test_a_layer_that_ignores_the_scale_of_its_kernel_is_warned_about(
    keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(keras, _in_time, tmp_path)
    report = mi.plan(path, only=["keras-int8"])
    (entry,) = report.options
    (note,) = report.notes
    assert "time_distributed (TimeDistributed)" in note
    made = _made(keras, path, entry, monkeypatch)
    assert entry.size == made.stat().st_size
    inputs = np.ones((2, 4, 8), "f4")
    before, after = keras.models.load_model(path)(inputs), keras.models.load_model(made)(inputs)
    assert np.abs(np.asarray(after)).max() > 10 * np.abs(np.asarray(before)).max()


@pytest.mark.tensorflow
def test_what_keras_refuses_is_left_out_with_the_reason(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers

    def refused(layer: Any, shape: tuple[int, ...], kind: str = "float32") -> tuple[str, ...]:
        given = keras.Input(shape, dtype=kind)
        keras.Model(given, layer(given)).save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras", compile=False)
        with pytest.raises((ValueError, TypeError)):
            model.quantize("int8")
        report = mi.plan(tmp_path / "model.keras", only=["keras-int8"])
        assert not report.options
        return report.left_out

    assert "computes in float16" in refused(layers.Dense(3, dtype="mixed_float16"), (4,))[0]
    assert "the equation of" in refused(layers.EinsumDense("...x,xy->...y", (9, 5)), (9, 4))[0]
    words = layers.TextVectorization(vocabulary=["a"])
    assert "a layer that is not built" in refused(words, (1,), "string")[0]
    keras.backend.clear_session()
    already = _dense(keras)
    already.quantize("int8")
    already.save(tmp_path / "model.keras")
    report = mi.plan(tmp_path / "model.keras", only=["keras-int4"])
    assert report.left_out == ("keras-int4: Keras refuses: dense is already quantized (int8)",)


@pytest.mark.tensorflow
def test_a_model_that_keras_leaves_as_it_is_has_no_option(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    model.save(tmp_path / "model.keras")
    report = mi.plan(tmp_path / "model.keras", only=OPTIONS)
    assert not report.options
    assert len(report.left_out) == 2
    assert all("Keras quantizes no layer of this model" in line for line in report.left_out)


def test_a_file_of_tf_keras_cannot_be_quantized_by_keras() -> None:
    (line,) = mi.plan(fixture_path("pruned_mlp/stripped/model.keras"), only=OPTIONS).left_out
    assert line == "keras-int8, keras-int4: tf_keras has no Model.quantize; Keras 3 has"


def test_the_scales_of_an_equation_have_the_rank_of_its_outputs() -> None:
    assert Einsum.of("abc,cd->abd").scale_shape((32, 33)) == (1, 1, 33)
    assert Einsum.of("bsd,dhk->bshk").scale_shape((32, 4, 9)) == (1, 1, 4, 9)
    assert projection(2, 2, 1).scale_shape((4, 8, 32)) == (1, 1, 32)
    assert Einsum.of("abhd,hde->abe").matrix((4, 10, 13)) == (40, 13)
    with pytest.raises(UnmeasurableError):
        Einsum.of("...a,ab->...b")


@pytest.mark.parametrize("value", [[], {"config": []}, {"class_name": "Dense", "config": {"dtype": 3}}])
def test_any_configuration_is_rewritten(value: Any) -> None:
    """Hostile values are carried over or replaced, never an error."""
    made = quantized_config({"config": value}, Mode.INT8, 7)
    assert made["compile_config"] == {}
    json.dumps(made)


def test_a_damaged_member_leaves_the_options_out(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        dense = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "a", "dtype": {}}}
        archive.writestr(
            "config.json",
            json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": [dense]}}),
        )
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(200))
    report = mi.plan(path, only=OPTIONS)
    assert not report.options
