"""The engine of tf_keras and tfmot: it loads a model file that was judged safe, wraps, trains, strips and
saves; what a way of saving cannot do, it raises.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from modelinspect.pruning.data import Samples
from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.events import WeightSparsity
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import Stage
from modelinspect.pruning.modelfile import ModelFile, ModelKind, look_at, refuse_code
from modelinspect.pruning.schedules import Schedule
from modelinspect.pruning.selection import Decision, select
from modelinspect.pruning.worker import networks, wrapping
from modelinspect.pruning.worker.code import custom_objects
from modelinspect.pruning.worker.conversion import REPRESENTATIVE, configure
from modelinspect.pruning.worker.networks import Network
from modelinspect.pruning.worker.reasons import reason_of
from modelinspect.pruning.worker.run import Engine, Train


class TfmotEngine(Engine):
    """Wraps, trains and strips."""

    keras = tf_keras
    problems = (ValueError, TypeError, RuntimeError, tf.errors.OpError)

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def start(self, seed: int) -> dict[str, str]:
        tf_keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()
        return {
            "h5py": h5py.__version__,
            "hdf5": h5py.version.hdf5_version,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "tensorflow_model_optimization": getattr(tfmot, "__version__", "unknown"),
            "tf_keras": tf_keras.__version__,
        }

    def network(self, job: Job) -> Network:
        if job.is_architecture:
            return networks.build(job.model, tf_keras)
        return _load(Path(job.model), allow_code=job.allow_code, code=job.code)

    def decide(self, network: Network, job: Job) -> tuple[Decision, ...]:
        return select(wrapping.layer_facts(network), job.selection, job.pattern)

    def clone(self, network: Network) -> Network:
        return wrapping.clone(network)

    def pruned(
        self,
        network: Network,
        job: Job,
        decisions: Sequence[Decision],
        schedule: Schedule,
        losses: list[str],
        train: Train,
    ) -> Iterator[tuple[Stage, Network]]:
        wrapped = wrapping.wrap(wrapping.clone(network), decisions, schedule, job.pattern)
        self.compile(wrapped, job, losses)
        if job.training.one_shot:
            wrapping.prune_at_once(wrapped)
        else:
            train(wrapped, (tfmot.sparsity.keras.UpdatePruningStep(),))
        yield Stage.WRAPPED, wrapped
        yield Stage.STRIPPED, wrapping.strip(wrapped)

    def count_zeros(self, network: Network, decisions: Sequence[Decision]) -> tuple[WeightSparsity, ...]:
        return wrapping.count_zeros(network, decisions)

    def save(self, network: Network, method: str, target: Path, samples: Samples, scratch: Path) -> None:
        _save(network, method, target, samples, scratch)


def _load(place: Path, *, allow_code: bool, code: str | None) -> Network:
    """Return the network of a model file. Raises `JobError` or `PruningError`."""
    facts = look_at(place)
    if not allow_code:
        refuse_code(place, facts)
    if code:
        tf_keras.utils.get_custom_objects().update(custom_objects(Path(code)))
    try:
        if facts.kind is ModelKind.KERAS:
            network = tf_keras.models.load_model(place, safe_mode=not allow_code)
        else:
            network = tf_keras.models.load_model(place)
    except Exception as problem:  # Keras raises every kind; all mean that it cannot load the file
        raise PruningError(_advice(place, facts, problem)) from problem
    if not isinstance(network, tf_keras.Sequential) and not getattr(network, "_is_graph_network", False):
        raise PruningError(f"{place}: a subclassed model; tfmot prunes Sequential and functional models")
    if not network.built or not network.inputs:
        raise PruningError(
            f"{place}: the model does not say the shape of its input, so it has no weights yet"
        )
    return network


def _advice(place: Path, facts: ModelFile, problem: Exception) -> str:
    reason = reason_of(problem)
    if facts.written_by_keras_3:
        return (
            f"{place}: written by Keras {facts.keras_version}, and tfmot prunes tf_keras models, which cannot"
            f" load it ({reason}); build the network again with TF_USE_LEGACY_KERAS=1, copy the weights"
            " (get_weights, set_weights), save it and prune that file"
        )
    if "Unknown layer" in reason or "Unknown" in reason or "custom" in reason:
        return f"{place}: {reason}; give the file that defines it with --code FILE.py --allow-code"
    return f"{place}: tf_keras cannot load it: {reason}"


def _save(network: Network, method: str, target: Path, samples: Samples, scratch: Path) -> None:
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
