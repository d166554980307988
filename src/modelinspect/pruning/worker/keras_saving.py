"""Save a Keras 3 network in one way each; what a way cannot do, it raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from modelinspect.core.names import WEIGHTS_INDEX
from modelinspect.pruning.data import Samples
from modelinspect.pruning.worker.conversion import REPRESENTATIVE, configure, convert_apart
from modelinspect.pruning.worker.networks import Network

SHARDS = 2
"""The shards that sharded weights are split into, where no layer is larger than one."""


def save(network: Network, method: str, target: Path, samples: Samples, scratch: Path) -> None:
    """Write the network at the target by the method of that name; conversions of one network share
    ``scratch``.
    """
    if method.startswith("tflite-"):
        target.write_bytes(_convert(network, method.removeprefix("tflite-"), samples, scratch))
    else:
        _SAVERS[method](network, target)


def clone(network: Network) -> Network:
    """Return a network with its own variables and the same values, not compiled (``clone_model`` compiles it
    as the network was).
    """
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.optimizer = None
    copy.compiled = False
    return copy


def _convert(network: Network, mode: str, samples: Samples, scratch: Path) -> bytes:
    """Convert the SavedModel of the network; a recurrent one gets a batch of one, without which its loops
    cannot be converted.
    """
    saved = scratch / "saved-model"
    recurrent = any(isinstance(layer, keras.layers.RNN) for layer in network._flatten_layers())
    if not saved.exists():
        if recurrent:
            _export_batch_of_one(network, saved)
        else:
            network.export(str(saved), verbose=False)
    integer = any(tensor.dtype.startswith(("int", "uint")) for tensor in network.inputs)
    if recurrent and mode.startswith(("int8", "int16")):
        inputs = [part.astype(tensor.dtype) for part, tensor in zip(samples.x, network.inputs, strict=True)]
        return convert_apart(
            saved, mode, inputs, [tensor.name for tensor in network.inputs], scratch, integer_input=integer
        )
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    configure(converter, mode, _representative(network, samples), integer_input=integer)
    return bytes(converter.convert())


def _export_batch_of_one(network: Network, target: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(network)
    signature = [
        tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name) for tensor in network.inputs
    ]
    serve: Callable[..., Any] = lambda *inputs: network(  # noqa: E731
        list(inputs) if len(inputs) > 1 else inputs[0], training=False
    )
    archive.add_endpoint("serve", serve, input_signature=signature)
    archive.write_out(str(target), verbose=False)


def _representative(network: Network, samples: Samples) -> Callable[[], Iterator[Any]]:
    def samples_of() -> Iterator[Any]:
        for at in range(min(REPRESENTATIVE, len(samples.x[0]))):
            parts = [
                part[at : at + 1].astype(tensor.dtype)
                for part, tensor in zip(samples.x, network.inputs, strict=True)
            ]
            yield (
                parts
                if len(parts) == 1
                else {tensor.name: part for tensor, part in zip(network.inputs, parts, strict=True)}
            )

    return samples_of


def _h5(network: Network, target: Path) -> None:
    _save_h5(network, target, include_optimizer=True)


def _h5_no_optimizer(network: Network, target: Path) -> None:
    _save_h5(network, target, include_optimizer=False)


def _save_h5(network: Network, target: Path, *, include_optimizer: bool) -> None:
    """Save as HDF5, and put back what Keras takes away.

    Keras 3.15.1 removes the optimizer from the network's own compile configuration
    (legacy/saving/saving_utils.py, model_metadata): a ``.keras`` file that is saved later would load with
    RMSprop and without the optimizer's state.
    """
    config = getattr(getattr(network, "_compile_config", None), "config", None)
    before = dict(config) if isinstance(config, dict) else {}
    try:
        network.save(target, include_optimizer=include_optimizer)
    finally:
        if isinstance(config, dict):
            config.update(before)


def _weights_h5(network: Network, target: Path) -> None:
    network.save_weights(target)


def _weights_sharded(network: Network, target: Path) -> None:
    """Keras fills shards with whole layers, so a shard holds at least the largest of them."""
    target.mkdir()
    sizes = [sum(_size(variable) for variable in layer.weights) for layer in network.layers]
    network.save_weights(target / WEIGHTS_INDEX, max_shard_size=max(sum(sizes) / SHARDS, *sizes, 1) / 1024**3)


def _size(variable: Any) -> int:
    return int(prod(variable.shape)) * int(tf.as_dtype(variable.dtype).size)


def _keras(network: Network, target: Path) -> None:
    network.save(target)


def _keras_int8(network: Network, target: Path) -> None:
    _quantized(network, target, "int8")


def _keras_int4(network: Network, target: Path) -> None:
    _quantized(network, target, "int4")


def _quantized(network: Network, target: Path, mode: str) -> None:
    copy = clone(network)
    copy.quantize(mode)
    if all(
        getattr(layer, "quantization_mode", None) is None
        for layer in copy._flatten_layers(include_self=False)
    ):
        raise ValueError(f"no layer of the network can be quantized to {mode}")
    copy.save(target)


def _saved_model(network: Network, target: Path) -> None:
    tf.saved_model.save(network, str(target))


def _saved_model_export(network: Network, target: Path) -> None:
    network.export(str(target), verbose=False)


def _checkpoint(network: Network, target: Path) -> None:
    target.mkdir()
    parts = {"model": network} | (
        {"optimizer": network.optimizer} if getattr(network, "optimizer", None) else {}
    )
    tf.train.Checkpoint(**parts).save(str(target / "ckpt"))


def _orbax(network: Network, target: Path) -> None:
    checkpoint = keras.callbacks.OrbaxCheckpoint(directory=str(target), save_freq="epoch")
    checkpoint.set_model(network)
    checkpoint.on_epoch_end(0)
    checkpoint.on_train_end()


_SAVERS: dict[str, Callable[[Network, Path], None]] = {
    "h5": _h5,
    "h5-no-optimizer": _h5_no_optimizer,
    "weights-h5": _weights_h5,
    "weights-h5-sharded": _weights_sharded,
    "keras": _keras,
    "keras-int8": _keras_int8,
    "keras-int4": _keras_int4,
    "saved-model": _saved_model,
    "saved-model-export": _saved_model_export,
    "checkpoint": _checkpoint,
    "orbax": _orbax,
}
