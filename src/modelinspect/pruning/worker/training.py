"""Compile, train and measure networks of ``keras`` or ``tf_keras``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from modelinspect.pruning.data import InputFacts, OutputFacts, Samples
from modelinspect.pruning.job import LOSSES, Training
from modelinspect.pruning.worker.networks import Network

Report = Callable[[int, int], None]
"""Takes the steps done and the steps in all."""

_SAME_LOSS = {"mean_squared_error": "mse", "MeanSquaredError": "mse"}
_BETWEEN_REPORTS = 0.2


def compile_for(network: Network, training: Training, losses: list[str], keras: ModuleType) -> None:
    """Compile with the job's optimizer."""
    network.compile(
        optimizer=_optimizer(training, keras),
        loss=losses[0] if len(losses) == 1 else losses,
        metrics=[_metric(losses[0])],
    )


def fit(
    network: Network,
    samples: Samples,
    epochs: int,
    batch_size: int,
    seed: int,
    report: Report,
    callbacks: Sequence[object],
    keras: ModuleType,
) -> int:
    """Train and return the steps done. Samples are shuffled by the seed."""
    steps = epochs * -(-len(samples.x[0]) // batch_size)
    last = 0.0
    done = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal last, done
        done += 1
        if time.monotonic() - last > _BETWEEN_REPORTS:
            last = time.monotonic()
            report(done, steps)

    watched = [keras.callbacks.LambdaCallback(on_train_batch_end=count), *callbacks]
    keras.utils.set_random_seed(seed)
    network.fit(
        _one(samples.x),
        _one(samples.y),
        batch_size=batch_size,
        epochs=epochs,
        shuffle=True,
        verbose=0,
        callbacks=watched,
    )
    return done


def evaluate(network: Network, samples: Samples) -> tuple[float, float | None, str]:
    """Return loss, metric and the metric's name on the samples held back."""
    values = network.evaluate(_one(samples.test_x), _one(samples.test_y), verbose=0, return_dict=True)
    names = [name for name in values if name != "loss" and not name.endswith("_loss")]
    name = names[0] if names else ""
    return float(values["loss"]), float(values[name]) if name else None, name


def inputs_of(network: Network, keras: ModuleType) -> list[InputFacts]:
    """Describe what the network takes."""
    return [_input(network, tensor, keras) for tensor in network.inputs]


def outputs_of(network: Network, wanted: str | None) -> list[OutputFacts]:
    """Describe what the network gives; the loss is the wanted one, the compiled one, or what the last
    activation suggests.
    """
    compiled = _loss_name(getattr(network, "loss", None))
    found = []
    for at, tensor in enumerate(network.outputs):
        layer = _layer_of(network, tensor, at)
        found.append(
            OutputFacts(
                tuple(tensor.shape[1:]), wanted or compiled or _suggested(layer, tuple(tensor.shape[1:]))
            )
        )
    return found


def _input(network: Network, tensor: Any, keras: ModuleType) -> InputFacts:
    shape = tuple(tensor.shape[1:])
    integer = (
        tensor.dtype.startswith(("int", "uint"))
        if isinstance(tensor.dtype, str)
        else bool(tensor.dtype.is_integer)
    )
    embeddings = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    if embeddings and (integer or len(network.inputs) == 1):
        return InputFacts(shape, True, min(layer.input_dim for layer in embeddings))
    return InputFacts(shape, integer)


def _layer_of(network: Network, tensor: Any, at: int) -> Any:
    """Return the layer that makes an output; Keras 3 keeps it with the tensor, tf_keras its name with the
    network.
    """
    operation = getattr(getattr(tensor, "_keras_history", None), "operation", None)
    if operation is not None:
        return operation
    names = getattr(network, "output_names", [])
    return network.get_layer(names[at]) if at < len(names) else network.layers[-1]


def _suggested(layer: Any, shape: tuple[int | None, ...]) -> str:
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    if activation == "softmax" and shape and (shape[-1] or 0) > 1:
        return "sparse_categorical_crossentropy"
    return "binary_crossentropy" if activation == "sigmoid" else "mse"


def _loss_name(loss: Any) -> str:
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    name = _SAME_LOSS.get(name, name) if isinstance(name, str) else ""
    return name if name in LOSSES else ""


def _metric(loss: str) -> str:
    return "mae" if loss == "mse" else "accuracy"


def _optimizer(training: Training, keras: ModuleType) -> Any:
    name = "SGD" if training.optimizer == "momentum" else training.optimizer
    optimizer = keras.optimizers.get(name)
    config = optimizer.get_config()
    if training.optimizer == "momentum":
        config["momentum"] = 0.9
    if training.learning_rate is not None:
        config["learning_rate"] = training.learning_rate
    return type(optimizer).from_config(config)


def _one(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else parts
