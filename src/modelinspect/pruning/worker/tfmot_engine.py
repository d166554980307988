"""The engine of tf_keras and tfmot."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from modelinspect.pruning.data import InputFacts, OutputFacts, Samples
from modelinspect.pruning.events import WeightSparsity
from modelinspect.pruning.job import Job, Training
from modelinspect.pruning.methods import Stage
from modelinspect.pruning.schedules import Schedule
from modelinspect.pruning.selection import Decision, select
from modelinspect.pruning.worker import loading, networks, saving, training, wrapping
from modelinspect.pruning.worker.networks import Network
from modelinspect.pruning.worker.run import Train


class TfmotEngine:
    """Wraps, trains and strips."""

    problems: tuple[type[Exception], ...] = (ValueError, TypeError, RuntimeError, tf.errors.OpError)

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
        return loading.load(Path(job.model), allow_code=job.allow_code, code=job.code)

    def inputs_of(self, network: Network) -> list[InputFacts]:
        return training.inputs_of(network, tf_keras)

    def outputs_of(self, network: Network, loss: str | None) -> list[OutputFacts]:
        return training.outputs_of(network, loss)

    def decide(self, network: Network, job: Job) -> tuple[Decision, ...]:
        return select(wrapping.layer_facts(network), job.selection, job.pattern)

    def clone(self, network: Network) -> Network:
        return wrapping.clone(network)

    def compile(self, network: Network, training_: Training, losses: list[str]) -> None:
        training.compile_for(network, training_, losses, tf_keras)

    def fit(
        self,
        network: Network,
        samples: Samples,
        job: Job,
        epochs: int,
        report: Callable[[int, int], None],
        callbacks: Sequence[object],
    ) -> int:
        return training.fit(network, samples, epochs, job.batch_size, job.seed, report, callbacks, tf_keras)

    def evaluate(self, network: Network, samples: Samples) -> tuple[float, float | None, str]:
        return training.evaluate(network, samples)

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
        self.compile(wrapped, job.training, losses)
        if job.training.one_shot:
            wrapping.prune_at_once(wrapped)
        else:
            train(wrapped, (tfmot.sparsity.keras.UpdatePruningStep(),))
        yield Stage.WRAPPED, wrapped
        yield Stage.STRIPPED, wrapping.strip(wrapped)

    def count_zeros(self, network: Network, decisions: Sequence[Decision]) -> tuple[WeightSparsity, ...]:
        return wrapping.count_zeros(network, decisions)

    def save(self, network: Network, method: str, target: Path, samples: Samples, scratch: Path) -> None:
        saving.save(network, method, target, samples, scratch)
