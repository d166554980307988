"""Makes small models for proofs: plain, pruned, clustered, quantization-aware, in tf_keras and in Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

X = np.random.default_rng(1).normal(size=(32, 16)).astype("f4")
Y = np.ones((32, 4), "f4")


def network(keras: Any, units: int = 32) -> Any:
    """Return two dense layers."""
    layers = keras.layers
    return keras.Sequential(
        [layers.Input((16,)), layers.Dense(units, "relu", name="hidden"), layers.Dense(4, name="head")]
    )


def trained(model: Any, optimizer: Any = "adam", callbacks: Any = ()) -> Any:
    """Compile a model and train it a little."""
    model.compile(optimizer, "mse")
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=list(callbacks))
    return model


def wrapped(begin: int = 0, **settings: Any) -> Any:
    """Return a model within wrappers of pruning, to half of its weights."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=begin, end_step=-1, frequency=1)
    return tfmot.sparsity.keras.prune_low_magnitude(network(tf_keras), pruning_schedule=schedule, **settings)


def steps() -> list[Any]:
    """Return the callback that prunes."""
    import tensorflow_model_optimization as tfmot

    return [tfmot.sparsity.keras.UpdatePruningStep()]


def stripped(model: Any) -> Any:
    """Return a model without wrappers of pruning."""
    import tensorflow_model_optimization as tfmot

    return tfmot.sparsity.keras.strip_pruning(model)


def loaded(path: str, keras: str = "tf_keras") -> Any:
    """Return a model that is loaded as somebody does who knows tfmot."""
    from importlib import import_module

    import tensorflow_model_optimization as tfmot

    with (
        tfmot.sparsity.keras.prune_scope(),
        tfmot.clustering.keras.cluster_scope(),
        tfmot.quantization.keras.quantize_scope(),
    ):
        return import_module(keras).models.load_model(path, compile=False)


def clustered() -> Any:
    """Return a model within wrappers of clustering."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    cluster = tfmot.clustering.keras
    linear = cluster.CentroidInitialization.LINEAR
    return cluster.cluster_weights(network(tf_keras), number_of_clusters=4, cluster_centroids_init=linear)


def aware() -> Any:
    """Return a model that is trained aware of quantization."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    return trained(tfmot.quantization.keras.quantize_model(network(tf_keras)))


def convert(model: Any, path: str, **settings: Any) -> None:
    """Convert a Keras model to TFLite."""
    import tensorflow as tf

    write(tf.lite.TFLiteConverter.from_keras_model(model), path, **settings)


def write(converter: Any, path: str, **settings: Any) -> None:
    """Run a converter."""
    for name, value in settings.items():
        setattr(converter, name, value)
    Path(path).write_bytes(converter.convert())


def outputs(path: str, x: Any = X) -> Any:
    """Return what a TFLite model computes of inputs, one after another."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        path, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = []
    for row in x:
        interpreter.set_tensor(into, row[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(out)[0])
    return np.array(found)
