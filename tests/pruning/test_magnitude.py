"""`MagnitudePruning` and `prune` on the backend of Keras that this process has; `test_magnitude_backends`
runs this file on others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import modelinspect as mi  # noqa: E402
from modelinspect.pruning.errors import JobError, PruningError  # noqa: E402
from modelinspect.pruning.magnitude.masks import keep_largest, zeros_wanted  # noqa: E402
from modelinspect.pruning.selection import Pattern  # noqa: E402

pytestmark = pytest.mark.tensorflow

SAMPLES = 96
JIT = keras.backend.backend() != "torch"


def network(**compile_arguments: Any) -> Any:
    """A small network with convolution, recurrent, attention and dense kernels."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3), name="pixels")
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Reshape((8, 128), name="rows")(x)
    x = keras.layers.MultiHeadAttention(2, 8, name="attention")(x, x)
    x = keras.layers.LSTM(16, name="lstm")(x)
    outputs = keras.layers.Dense(5, activation="softmax", name="head")(x)
    model = keras.Model(inputs, outputs, name="small")
    model.compile("adam", "sparse_categorical_crossentropy", **compile_arguments)
    return model


def samples() -> tuple[Any, Any]:
    random = np.random.default_rng(1)
    return random.standard_normal((SAMPLES, 8, 8, 3)).astype("float32"), random.integers(0, 5, SAMPLES)


def dense(*sizes: int, **arguments: Any) -> Any:
    keras.utils.set_random_seed(7)
    layers = [keras.layers.Dense(size, name=f"dense_{at}") for at, size in enumerate(sizes[1:])]
    model = keras.Sequential([keras.Input((sizes[0],)), *layers], name="stack")
    model.compile(keras.optimizers.Adam(0.01), "mse", **arguments)
    return model


def regression(inputs: int, outputs: int, count: int = 64) -> tuple[Any, Any]:
    random = np.random.default_rng(2)
    return random.standard_normal((count, inputs)).astype("float32"), random.standard_normal(
        (count, outputs)
    ).astype("float32")


def values(variable: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def zeros(variable: Any) -> int:
    return int((values(variable) == 0).sum())


def kernels(report: Any) -> dict[str, Any]:
    return {f"{kernel.layer}/{kernel.weight}": kernel for kernel in report.kernels}


@pytest.mark.parametrize("jit", [False, True])
def test_training_ends_with_exactly_the_wanted_zeros_in_every_kernel(jit: bool) -> None:
    model = network(jit_compile=jit and JIT)
    pruning = mi.MagnitudePruning(0.8)
    model.fit(*samples(), epochs=3, batch_size=16, verbose=0, callbacks=[pruning])
    found = kernels(pruning.report())
    assert set(found) == {
        "conv/kernel",
        "attention/query/kernel",
        "attention/key/kernel",
        "attention/value/kernel",
        "attention/attention_output/kernel",
        "lstm/kernel",
        "lstm/recurrent_kernel",
        "head/kernel",
    }
    for kernel in found.values():
        assert kernel.zero_count == round(0.8 * np.prod(kernel.shape)), kernel
    assert pruning.report().warnings == ()
    assert pruning.steps == 3 * SAMPLES // 16


def test_zeros_are_positive_zeros_and_stay_when_momentum_and_weight_decay_push() -> None:
    model = dense(32, 24, 8)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1), "mse")
    pruning = mi.MagnitudePruning(0.5, schedule="constant", frequency=1, end_step=1)
    seen: list[Any] = []

    class Look(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(values(self.model.layers[0].kernel).copy())

    model.fit(*regression(32, 8), epochs=2, batch_size=16, verbose=0, callbacks=[pruning, Look()])
    assert len(seen) == 8
    for kernel in seen:
        assert np.array_equal(kernel == 0, seen[0] == 0)
        assert not np.signbit(kernel[kernel == 0]).any()
    assert not np.array_equal(seen[0], seen[-1])


def test_the_polynomial_schedule_is_followed_step_by_step() -> None:
    model = dense(40, 20)
    pruning = mi.MagnitudePruning(0.8, begin_step=2, end_step=10, frequency=2, power=3)
    shares: list[float] = []

    class Look(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            shares.append(zeros(self.model.layers[0].kernel) / 800)

    model.fit(*regression(40, 20, 48), epochs=3, batch_size=12, verbose=0, callbacks=[pruning, Look()])
    wanted = [0.0] * 12
    for step in range(1, 13):
        turn = min(step - step % 2, 10)
        wanted[step - 1] = 0.0 if turn < 2 else round(800 * 0.8 * (1 - (1 - (turn - 2) / 8) ** 3)) / 800
    assert shares == wanted


def test_a_run_that_is_too_short_warns_how_many_steps_it_needed() -> None:
    model = dense(8, 8)
    pruning = mi.MagnitudePruning(0.5, end_step=100, frequency=1)
    with pytest.warns(UserWarning, match="the schedule needs 100 steps"):
        model.fit(*regression(8, 8), epochs=1, batch_size=16, verbose=0, callbacks=[pruning])
    assert "needs 100 steps" in pruning.report().warnings[0]


def test_a_custom_loop_prunes_as_fit_does() -> None:
    x, y = regression(32, 8)
    fitted = dense(32, 24, 8)
    fitted.fit(
        x,
        y,
        epochs=2,
        batch_size=16,
        shuffle=False,
        verbose=0,
        callbacks=[mi.MagnitudePruning(0.75, end_step=6, frequency=2)],
    )
    looped = dense(32, 24, 8)
    pruning = mi.MagnitudePruning(0.75, end_step=6, frequency=2)
    pruning.attach(looped)
    for _ in range(2):
        for at in range(0, 64, 16):
            with pruning.step():
                looped.train_on_batch(x[at : at + 16], y[at : at + 16])
    for one, other in zip(fitted.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert [kernel.zero_count for kernel in pruning.report().kernels] == [
        round(0.75 * 32 * 24),
        round(0.75 * 24 * 8),
    ]


def test_an_exception_in_a_step_leaves_the_model_masked_by_apply() -> None:
    model = dense(16, 8)
    pruning = mi.MagnitudePruning(0.5, schedule="constant", frequency=1)
    pruning.attach(model)
    with pruning.step():
        pass

    def fail_in_a_step() -> None:
        with pruning.step():
            model.layers[0].kernel.assign(keras.ops.ones((16, 8)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_in_a_step()
    assert zeros(model.layers[0].kernel) == 0
    pruning.apply()
    assert zeros(model.layers[0].kernel) == 64
    assert pruning.steps == 1


def test_values_that_a_stateless_loop_holds_are_masked() -> None:
    model = dense(16, 8)
    pruning = mi.MagnitudePruning(0.5, schedule="constant", frequency=1)
    pruning.attach(model)
    held = [keras.ops.convert_to_tensor(values(variable) + 1.0) for variable in model.trainable_variables]
    masked = pruning.stateless_step(held)
    assert zeros(masked[0]) == 64
    assert np.array_equal(values(masked[1]), values(held[1]))
    kept = values(masked[0]) != 0
    assert np.array_equal(values(masked[0])[kept], values(held[0])[kept])


def test_averaged_weights_are_masked_when_the_optimizer_puts_them_in_place() -> None:
    model = dense(32, 16)
    model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
    pruning = mi.MagnitudePruning(0.5)
    model.fit(*regression(32, 16), epochs=3, batch_size=16, verbose=0, callbacks=[pruning])
    assert zeros(model.layers[0].kernel) == 256


def test_training_goes_on_from_a_state_with_the_same_masks_and_weights(tmp_path: Path) -> None:
    x, y = regression(32, 8)
    arguments: dict[str, Any] = {"batch_size": 16, "shuffle": False, "verbose": 0}
    whole = dense(32, 24, 8)
    whole.fit(x, y, epochs=4, callbacks=[mi.MagnitudePruning(0.8, end_step=12, frequency=3)], **arguments)

    first = dense(32, 24, 8)
    state = tmp_path / "pruning.npz"
    first.fit(
        x,
        y,
        epochs=2,
        callbacks=[mi.MagnitudePruning(0.8, end_step=12, frequency=3, state=state)],
        **arguments,
    )
    first.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    pruning = mi.MagnitudePruning(0.8, end_step=12, frequency=3, state=state)
    again.fit(x, y, initial_epoch=2, epochs=4, callbacks=[pruning], **arguments)
    assert pruning.steps == 16
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(one == 0, other == 0)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "pruning.npz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 nothing", "not a pruning state"),
        (b"", "not a pruning state"),
        (None, "has no kernel 'dense_0/kernel'"),
    ],
)
def test_a_state_that_is_none_or_of_another_model_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    place = tmp_path / "state.npz"
    if content is None:
        other = mi.MagnitudePruning(0.5, schedule="constant", frequency=1)
        other.attach(network())
        other.save_state(place)
    else:
        place.write_bytes(content)
    pruning = mi.MagnitudePruning(0.5, schedule="constant", frequency=1, state=place)
    with pytest.raises((JobError, PruningError), match=message):
        pruning.attach(dense(4, 4))
    with pytest.raises(JobError, match="no model is attached"):
        pruning.report()


def test_a_state_whose_mask_has_another_size_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "state.npz"
    pruning = mi.MagnitudePruning(0.5, schedule="constant", frequency=1)
    pruning.attach(dense(4, 4))
    with pruning.step():
        pass
    pruning.save_state(place)
    with np.load(place) as archive:
        arrays = dict(archive)
    assert zipfile.is_zipfile(place)
    np.savez(place, **{**arrays, "mask_0": arrays["mask_0"][:1]})
    with pytest.raises(PruningError, match="not a pruning state"):
        pruning.load_state(place)


def test_one_shot_sets_zeros_in_place_and_leaves_everything_else() -> None:
    model = network()
    before = {variable.path: values(variable) for variable in model.weights}
    report = mi.prune(model, 0.6)
    pruned = {kernel.path for unit in _units(model) for kernel in unit.kernels}
    assert len(pruned) == len(report.kernels) == 8
    kernel_variables = {id(kernel.variable): kernel for unit in _units(model) for kernel in unit.kernels}
    for variable in model.weights:
        after = values(variable)
        if id(variable) not in kernel_variables:
            assert np.array_equal(after, before[variable.path])
            continue
        assert (after == 0).sum() == round(0.6 * after.size)
        assert np.array_equal(after[after != 0], before[variable.path][after != 0])
        assert np.abs(before[variable.path][after == 0]).max() <= np.abs(after[after != 0]).min()


def _units(model: Any) -> Any:
    from modelinspect.pruning.magnitude.kernels import find_units

    return find_units(model)


def test_targets_include_and_exclude_take_names_classes_and_functions() -> None:
    report = mi.prune(
        network(),
        0.5,
        targets={"attention/*": 0.25, keras.layers.Conv2D: 0.0},
        exclude=["head", lambda layer, variable: "recurrent" in variable.name],
    )
    found = kernels(report)
    assert found["attention/query/kernel"].target == 0.25
    assert found["attention/query/kernel"].sparsity == 0.25
    assert found["lstm/kernel"].target == 0.5
    assert {name: kernel.reason for name, kernel in found.items() if not kernel.pruned} == {
        "conv/kernel": "its target is 0",
        "head/kernel": "an exclude rule matches",
        "lstm/recurrent_kernel": "an exclude rule matches",
    }
    report = mi.prune(network(), 0.5, include=keras.layers.Dense)
    assert [kernel.layer for kernel in report.kernels if kernel.pruned] == ["head"]
    assert kernels(report)["conv/kernel"].reason == "no include rule matches"


class Mine(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """A layer that Keras does not have, with a matrix of its own and a Dense layer inside."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.inner = keras.layers.Dense(6, name="inner")

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(shape[-1], shape[-1]), name="table")
        self.inner.build(shape)

    def call(self, inputs: Any) -> Any:
        return self.inner(keras.ops.matmul(inputs, self.table))


def test_a_layer_that_keras_does_not_have_is_left_out_with_a_reason_and_pruned_by_name() -> None:
    def build() -> Any:
        return keras.Sequential([keras.Input((6,)), Mine(name="mine")])

    found = kernels(mi.prune(build(), 0.5))
    assert found["mine/inner/kernel"].pruned
    assert found["mine/table"].reason == "Mine is not a layer of Keras; include= prunes table by its name"
    found = kernels(mi.prune(build(), 0.5, include="mine/table"))
    assert found["mine/table"].zero_count == 18
    assert not found["mine/inner/kernel"].pruned


def test_layers_of_nested_models_and_shared_layers_are_found_once() -> None:
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, name="same")], name="inner")
    inputs = keras.Input((8,))
    model = keras.Model(
        inputs, keras.layers.Bidirectional(keras.layers.GRU(4), name="both")(inner(inner(inputs))[:, None, :])
    )
    assert list(kernels(mi.prune(model, 0.5))) == [
        "inner/same/kernel",
        "both/forward_gru/kernel",
        "both/forward_gru/recurrent_kernel",
        "both/backward_gru/kernel",
        "both/backward_gru/recurrent_kernel",
    ]


def test_quantized_kernels_and_lora_are_left_out_with_a_reason() -> None:
    model = dense(16, 8, 8)
    model.layers[0].quantize("int8")
    model.layers[1].enable_lora(2)
    with pytest.raises(
        JobError, match=r"nothing to prune: dense_0/kernel: it is quantized \(int8\): prune before quantize"
    ):
        mi.prune(model, 0.5)


@pytest.mark.parametrize(("layout", "length"), [("tflite-float", 4), ("tflite-int8", 16)])
def test_named_layouts_make_blocks_along_the_inputs_of_an_output(layout: str, length: int) -> None:
    model = network()
    found = kernels(mi.prune(model, 0.5, block_size=layout))
    for layer, matrix in (
        ("head", values(model.get_layer("head").kernel).T),
        ("conv", values(model.get_layer("conv").kernel).transpose(3, 0, 1, 2).reshape(-1, 3)),
        (
            "attention/query",
            values(model.get_layer("attention").query_dense.kernel).transpose(1, 2, 0).reshape(16, 128),
        ),
        (
            "attention/attention_output",
            values(model.get_layer("attention").output_dense.kernel).transpose(2, 0, 1).reshape(128, 16),
        ),
    ):
        blocks = [row[at : at + length] for row in matrix for at in range(0, len(row), length)]
        empty = [bool((block == 0).all()) for block in blocks]
        assert [bool((block == 0).any()) for block in blocks] == empty, layer
        assert sum(empty) == round(0.5 * len(blocks)), layer
    assert "3 inputs are not a multiple" in found["conv/kernel"].note


def test_two_of_four_inputs_of_every_output_are_zero() -> None:
    model = network()
    mi.prune(model, m_by_n=(2, 4))
    for matrix in (
        values(model.get_layer("lstm").cell.kernel).T,
        values(model.get_layer("attention").key_dense.kernel).transpose(1, 2, 0).reshape(16, 128),
    ):
        assert ((matrix.reshape(-1, 4) == 0).sum(axis=1) == 2).all()


def test_ties_are_broken_by_place_so_that_the_count_is_exact() -> None:
    mask = keep_largest(np.full((5, 4), 2.0, "float32"), (0,), Pattern(), 0.55)
    assert mask.reshape(-1).tolist() == [True] * 9 + [False] * 11
    assert zeros_wanted(4, 0.95) == 3
    assert zeros_wanted(5, 0.5) == 2


def test_blocks_at_the_border_are_smaller_and_averaged_over_what_exists() -> None:
    magnitudes = np.ones((5, 2), "float32")
    magnitudes[4] = 3.0
    mask = keep_largest(magnitudes, (0,), Pattern((4, 1)), 0.5)
    assert mask.sum(axis=1).tolist() == [0, 0, 0, 0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.2}, "must be at least 0 and below 1, not 1.2"),
        ({"sparsity": float("nan")}, "must be at least 0 and below 1, not nan"),
        ({"sparsity": True}, "must be at least 0 and below 1, not True"),
        ({"block_size": "tflite"}, "block_size takes two numbers such as 16x1 or a layout"),
        ({"block_size": (0, 4)}, "a block must be at least 1x1"),
        ({"m_by_n": (4, 2)}, "M by N sparsity needs 1 <= M < N"),
        ({"pooling": "MEDIAN"}, "the pooling must be AVG or MAX"),
        ({"include": 3}, "take names, layer classes and functions, not 3"),
        ({"targets": {"head": 2}}, "must be at least 0 and below 1, not 2"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments: dict[str, Any], message: str) -> None:
    for make in (lambda: mi.MagnitudePruning(**arguments), lambda: mi.prune(network(), **arguments)):
        with pytest.raises(mi.ModelInspectError, match=message):
            make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "cubic"}, "no schedule is named 'cubic'"),
        ({"begin_step": 5, "end_step": 2}, "is before the begin step"),
        ({"frequency": 0}, "the frequency must be 1 or more"),
        ({"power": 0}, "the power must be above 0"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_one_clear_line(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(JobError, match=message):
        mi.MagnitudePruning(**arguments)


def test_models_and_names_that_do_not_fit_are_one_clear_line() -> None:
    with pytest.raises(JobError, match="no layer matches 'haed'; there are head"):
        mi.prune(network(), exclude="haed")
    with pytest.raises(JobError, match="no layer has the type GRU"):
        mi.prune(network(), include=keras.layers.GRU)
    with pytest.raises(JobError, match="has no weights yet"):
        mi.prune(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(JobError, match="str of builtins is not a Keras 3 model"):
        mi.prune("model.keras")
    with pytest.raises(JobError, match="nothing to prune"):
        mi.prune(network(), block_size=(2, 2), include="conv/*")
    with pytest.raises(JobError, match=r"give end_step, or attach\(model, steps=...\)"):
        mi.MagnitudePruning(0.5).attach(network())


def test_nan_is_refused_and_nothing_is_written() -> None:
    model = dense(8, 8, 8)
    model.layers[1].kernel.assign(keras.ops.full((8, 8), float("nan")))
    with pytest.raises(PruningError, match="dense_1/kernel holds NaN"):
        mi.prune(model, 0.5)
    assert zeros(model.layers[0].kernel) == 0


def test_several_steps_in_one_execution_are_refused() -> None:
    model = dense(8, 8, steps_per_execution=2) if keras.backend.backend() != "torch" else None
    if model is None:
        pytest.skip("torch has no steps_per_execution")
    with pytest.raises(JobError, match="steps_per_execution=1"):
        model.fit(*regression(8, 8), verbose=0, callbacks=[mi.MagnitudePruning(0.5)])


def test_one_callback_prunes_one_model() -> None:
    pruning = mi.MagnitudePruning(0.5, schedule="constant", frequency=1)
    pruning.attach(dense(4, 4))
    with pytest.raises(JobError, match="belongs to another model"):
        pruning.attach(dense(4, 4))


def test_the_report_is_data_that_says_what_was_reached() -> None:
    report = mi.prune(network(), 0.5, exclude="head")
    data = report.to_dict()
    assert data["schema"] == "modelinspect.pruning/1"
    assert data["backend"] == keras.backend.backend()
    json.dumps(data)
    assert "7 of 8 kernels pruned, 50.0 % zeros" in next(iter(report.blocks())).lines[0]
    assert len(report.table().rows) == 8


def test_pruning_loads_nothing_heavy_beside_keras() -> None:
    code = (
        "import sys, keras; before = set(sys.modules)\n"
        "import modelinspect as mi\n"
        "m = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])\n"
        "mi.prune(m, 0.5); mi.MagnitudePruning(0.5)\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} & set(sys.argv[1:])))"
    )
    heavy = [
        "tensorflow",
        "tf_keras",
        "tensorflow_model_optimization",
        "jax",
        "torch",
        "rich",
        "typer",
        "fsspec",
        "flatbuffers",
        "google",
    ]
    heavy.remove(keras.backend.backend())  # Keras loads parts of it when they are used
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
