"""Save a network in one way each; what a way cannot do, it raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from modelinspect.pruning.data import Samples
from modelinspect.pruning.worker.conversion import REPRESENTATIVE, configure
from modelinspect.pruning.worker.networks import Network


def save(network: Network, method: str, target: Path, samples: Samples, scratch: Path) -> None:
    """Write the network at the target by the method of that name.

    ``scratch`` keeps what conversions share: give the same empty folder for the same network.
    """
    if method.startswith("tflite-"):
        target.write_bytes(_convert(network, method.removeprefix("tflite-"), samples, scratch))
    else:
        _SAVERS[method](network, target)


def _convert(network: Network, mode: str, samples: Samples, scratch: Path) -> bytes:
    converter = _converter(network, scratch)
    integer = any(tensor.dtype.is_integer for tensor in network.inputs)
    configure(converter, mode, _representative(network, samples), integer_input=integer)
    return bytes(converter.convert())


def _converter(network: Network, scratch: Path) -> Any:
    """Return a converter; a recurrent network gets a batch of one, without which its loops cannot be
    converted.

    ``from_keras_model`` would save the same SavedModel for every conversion (lite.py,
    _convert_keras_to_saved_model); we save it once.
    """
    if not any(isinstance(getattr(layer, "layer", layer), tf_keras.layers.RNN) for layer in network.layers):
        saved = scratch / "saved-model"
        if not saved.exists():
            tf.saved_model.save(network, str(saved), options=tf.saved_model.SaveOptions(save_debug_info=True))
        return tf.lite.TFLiteConverter.from_saved_model(str(saved))
    signature = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in network.inputs]
    function = tf.function(
        lambda *inputs: network(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
    )
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function(*signature)], network
    )


def _representative(network: Network, samples: Samples) -> Callable[[], Iterator[Any]]:
    dtypes = [tensor.dtype.as_numpy_dtype for tensor in network.inputs]

    def samples_of() -> Iterator[Any]:
        for at in range(min(REPRESENTATIVE, len(samples.x[0]))):
            parts = [part[at : at + 1].astype(dtype) for part, dtype in zip(samples.x, dtypes, strict=True)]
            yield parts if len(parts) == 1 else dict(zip(network.input_names, parts, strict=True))

    return samples_of


def _h5(network: Network, target: Path) -> None:
    network.save(target)


def _h5_no_optimizer(network: Network, target: Path) -> None:
    network.save(target, include_optimizer=False)


def _weights_h5(network: Network, target: Path) -> None:
    network.save_weights(target)


def _keras(network: Network, target: Path) -> None:
    network.save(target, save_format="keras")


def _saved_model(network: Network, target: Path) -> None:
    tf.saved_model.save(network, str(target))


def _saved_model_keras(network: Network, target: Path) -> None:
    network.save(target, save_format="tf")


def _saved_model_no_traces(network: Network, target: Path) -> None:
    network.save(target, save_format="tf", save_traces=False)


def _saved_model_export(network: Network, target: Path) -> None:
    network.export(str(target))


def _checkpoint(network: Network, target: Path) -> None:
    target.mkdir()
    parts = {"model": network} | (
        {"optimizer": network.optimizer} if getattr(network, "optimizer", None) else {}
    )
    tf.train.Checkpoint(**parts).save(str(target / "ckpt"))


_SAVERS: dict[str, Callable[[Network, Path], None]] = {
    "h5": _h5,
    "h5-no-optimizer": _h5_no_optimizer,
    "weights-h5": _weights_h5,
    "keras": _keras,
    "saved-model": _saved_model,
    "saved-model-keras": _saved_model_keras,
    "saved-model-no-traces": _saved_model_no_traces,
    "saved-model-export": _saved_model_export,
    "checkpoint": _checkpoint,
}
