"""Proves the remedies that convert to TFLite in another way."""

from __future__ import annotations

from typing import Any

import numpy as np

import modelinspect as mi
from modelinspect.remedies import Remedy
from tests.remedies.models import network, outputs, steps, stripped, trained, wrapped, write
from tests.remedies.proving import causes, findings, follow, proves, size


def _sparse(model: Any, path: str, *more: Any) -> Any:
    """Convert a model with sparse encoding; return a converter as it was before it was set."""
    import tensorflow as tf

    kind = tf.lite.Optimize
    write(
        tf.lite.TFLiteConverter.from_keras_model(model),
        path,
        optimizations=[*more, kind.EXPERIMENTAL_SPARSITY],
    )
    return tf.lite.TFLiteConverter.from_keras_model(model)


def _sparse_half(model: Any, path: str) -> Any:
    """Convert a model to float16 with sparse encoding; return a converter as it was before it was set."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_types = [tf.float16]
    kind = tf.lite.Optimize
    write(converter, path, optimizations=[kind.DEFAULT, kind.EXPERIMENTAL_SPARSITY])
    return tf.lite.TFLiteConverter.from_keras_model(model)


def _with_zeros(units: int, inputs: int, share: float) -> Any:
    import tf_keras

    model = tf_keras.Sequential(
        [tf_keras.layers.Input((inputs,)), tf_keras.layers.Dense(units, name="hidden")]
    )
    made = np.random.default_rng(1)
    kernel = made.normal(size=(inputs, units)) * (made.uniform(size=(inputs, units)) > share)
    model.set_weights([kernel.astype("f4"), np.zeros(units, "f4")])
    return model


def _convolution() -> Any:
    """Return a convolution with zeros at random."""
    import tf_keras

    model = tf_keras.Sequential([tf_keras.layers.Input((8, 8, 16)), tf_keras.layers.Conv2D(32, 3)])
    kernel = np.random.default_rng(1).normal(size=(3, 3, 16, 32)).astype("f4")
    model.set_weights([np.where(kernel > 0.5, kernel, 0), np.zeros(32, "f4")])
    return model


@proves(Remedy.CONVERT_DENSE, Remedy.CONVERT_DENSE_NARROW)
def encoding_that_loses_is_left_out() -> None:
    import tensorflow as tf

    for remedy, more in (
        (Remedy.CONVERT_DENSE, ()),
        (Remedy.CONVERT_DENSE_NARROW, (tf.lite.Optimize.DEFAULT,)),
    ):
        converter = _sparse(_with_zeros(64, 300, 0.32), "lost.tflite", *more)
        rule = "sparse-encoding-net-loss"
        for name in (rule, "sparse-encoding"):
            follow("lost.tflite", name, remedy, converter=converter, tf=tf)
        write(converter, "dense.tflite")
        assert rule not in findings("dense.tflite")
        assert "sparse-encoding" not in causes("dense.tflite")
        assert size("dense.tflite") < size("lost.tflite")
        x = np.random.default_rng(1).normal(size=(2, 300)).astype("f4")
        assert np.allclose(outputs("dense.tflite", x), outputs("lost.tflite", x), atol=1e-3)


@proves(Remedy.CONVERT_DENSE, Remedy.CONVERT_DENSE_NARROW)
def weights_beyond_the_last_block_are_kept() -> None:
    """Blocks of 4 or 16 inputs, where a layer has fewer."""
    import tensorflow as tf

    for remedy, more, inputs in (
        (Remedy.CONVERT_DENSE, (), 3),
        (Remedy.CONVERT_DENSE_NARROW, (tf.lite.Optimize.DEFAULT,), 10),
    ):
        converter = _sparse(_with_zeros(256, inputs, 0.4), "cut.tflite", *more)
        follow("cut.tflite", "sparse-weights-lost", remedy, converter=converter, tf=tf)
        write(converter, "whole.tflite")
        assert "sparse-weights-lost" not in findings("whole.tflite")


@proves(Remedy.CONVERT_DENSE)
def convolutions_that_no_block_fits_are_stored_densely() -> None:
    import tensorflow as tf

    converter = _sparse(_convolution(), "sparse.tflite")
    follow("sparse.tflite", "densify-present", Remedy.CONVERT_DENSE, converter=converter, tf=tf)
    write(converter, "dense.tflite")
    assert "densify-present" not in findings("dense.tflite")


@proves(Remedy.CONVERT_DENSE_HALF)
def float16_weights_stay_float16() -> None:
    import tensorflow as tf

    converter = _sparse_half(_convolution(), "half.tflite")
    follow("half.tflite", "densify-present", Remedy.CONVERT_DENSE_HALF, converter=converter, tf=tf)
    write(converter, "dense.tflite")
    assert "densify-present" not in findings("dense.tflite")
    kernels = [tensor for tensor in mi.inspect("dense.tflite").tensors if tensor.shape == (32, 3, 3, 16)]
    assert {str(tensor.dtype) for tensor in kernels if tensor.stored_size} == {"float16"}


@proves(Remedy.PRUNE_BLOCKS)
def blocks_of_the_size_that_the_kernel_takes_need_no_densify() -> None:
    import tensorflow as tf
    import tf_keras

    for more, block in (((), 4), ((tf.lite.Optimize.DEFAULT,), 16)):
        single = stripped(trained(wrapped(), callbacks=steps())) if block == 4 else _wide()
        _sparse(single, "single.tflite", *more)
        texts = {findings("single.tflite")[rule] for rule in ("densify-present", "block-mismatch")}
        assert len(texts) == 1
        assert f"({block} inputs)" in texts.pop()
        model = network(tf_keras) if block == 4 else _wide()
        model = follow("single.tflite", "block-mismatch", Remedy.PRUNE_BLOCKS, model=model)["model"]
        _fit(model)
        _sparse(stripped(model), "blocks.tflite", *more)
        assert not {"densify-present", "block-mismatch"} & findings("blocks.tflite").keys()
        assert any(tensor.storage == "sparse" for tensor in mi.inspect("blocks.tflite").tensors)


@proves(Remedy.PRUNE_BLOCKS)
def layers_that_blocks_do_not_fit_stay_as_they_are() -> None:
    """Also a network with convolutions, which tfmot does not prune in blocks."""
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(5, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(64),
            layers.Dense(8),
        ]
    )
    _sparse(stripped(trained(wrapped(), callbacks=steps())), "single.tflite")
    model = follow("single.tflite", "densify-present", Remedy.PRUNE_BLOCKS, model=model)["model"]
    assert [type(layer).__name__.startswith("Prune") for layer in model.layers] == [False, False, False, True]


def _wide() -> Any:
    """Return a model whose kernels are large enough for int8, with half of them zeros at random."""
    import tf_keras

    model = tf_keras.Sequential(
        [tf_keras.layers.Input((32,)), tf_keras.layers.Dense(64, "relu"), tf_keras.layers.Dense(16)]
    )
    made = np.random.default_rng(1)
    model.set_weights([w * (made.uniform(size=w.shape) > 0.5) for w in model.get_weights()])
    return model


def _fit(model: Any) -> None:
    """Train for more than the 100 steps after which the schedule prunes that is used unless another is
    given.
    """
    model.compile("adam", "mse")
    made = np.random.default_rng(
        1
    )  # of equal inputs many units learn nothing, and keep the zeros that they began with
    model.fit(
        made.normal(size=(32, model.input_shape[-1])).astype("f4"),
        made.normal(size=(32, model.output_shape[-1])).astype("f4"),
        batch_size=8,
        epochs=30,
        verbose=0,
        callbacks=steps(),
    )


@proves(Remedy.CONVERT_FLOAT)
def many_channels_of_few_weights_are_smaller_in_float() -> None:
    import tensorflow as tf

    model = _with_zeros(1024, 2, 0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    write(converter, "int8.tflite", optimizations=[tf.lite.Optimize.DEFAULT])
    follow("int8.tflite", "quant-params-dominate", Remedy.CONVERT_FLOAT, converter=converter)
    write(converter, "float.tflite")
    assert "quant-params-dominate" not in findings("float.tflite")
    assert size("float.tflite") < size("int8.tflite")
