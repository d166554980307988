"""Does one job: builds or loads, trains, saves, wraps, prunes, strips and saves again."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from pathlib import Path

import h5py
import numpy
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from modelinspect.pruning import packing
from modelinspect.pruning.data import Samples, check_samples, read_samples, synthetic_samples
from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.events import (
    Event,
    LayersEvent,
    PlanEvent,
    SavedEvent,
    StageEvent,
    StartEvent,
    StepEvent,
    VersionsEvent,
    WarningEvent,
    WeightSparsity,
)
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import GZ, GZ_GAIN, METHODS, Stage, with_sources
from modelinspect.pruning.schedules import ConstantSchedule, schedule_warnings
from modelinspect.pruning.selection import select
from modelinspect.pruning.worker import loading, networks, saving, training, wrapping
from modelinspect.pruning.worker.networks import Network
from modelinspect.pruning.worker.reasons import is_full_disk, reason_of

TOLERANCE = 0.005
"""How far from its target a weight's sparsity may end without a warning."""

Send = Callable[[Event], None]


class DiskFullError(PruningError):
    """The disk is full: no other method could do better."""


def run(job: Job, send: Send) -> None:
    """Do the job. Raises `JobError` or `PruningError`."""
    send(VersionsEvent(versions()))
    tf_keras.utils.set_random_seed(job.seed)
    tf.config.experimental.enable_op_determinism()
    send(StepEvent(f"building {job.model}" if job.is_architecture else "loading the model"))
    _Run(job, send, _network(job)).go()


def versions() -> dict[str, str]:
    """Return the versions that decide sizes."""
    return {
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "tensorflow_model_optimization": getattr(tfmot, "__version__", "unknown"),
        "tf_keras": tf_keras.__version__,
    }


def _network(job: Job) -> Network:
    if job.is_architecture:
        return networks.build(job.model, tf_keras)
    return loading.load(Path(job.model), allow_code=job.allow_code, code=job.code)


class _Run:
    """One job on its way: the network, its samples and the decisions about its layers."""

    def __init__(self, job: Job, send: Send, network: Network) -> None:
        self.job, self.send, self.network = job, send, network
        inputs = training.inputs_of(network)
        outputs = training.outputs_of(network, job.training.loss)
        self.losses = [facts.loss for facts in outputs]
        self.decisions = select(wrapping.layer_facts(network), job.selection, job.pattern)
        send(LayersEvent(tuple((part.layer.name, part.layer.type, part.chosen, part.reason) for part in self.decisions)))
        if job.training.data is None:
            self.samples = synthetic_samples(inputs, outputs, job.samples, job.seed)
        else:
            self.samples = read_samples(Path(job.training.data))
            check_samples(self.samples, inputs, outputs, job.training.data)
        self.steps = 0 if job.training.one_shot else job.training.epochs * -(-len(self.samples.x[0]) // job.batch_size)
        self.schedule = ConstantSchedule(job.schedule.sparsity, 0, -1, 1) if job.training.one_shot else job.schedule.fit(self.steps)
        send(PlanEvent(None if job.training.one_shot else self.schedule, self.steps, self.samples.synthetic, self.losses[0]))

    def go(self) -> None:
        """Make every stage's artifacts."""
        job, network = self.job, self.network
        if job.is_architecture or job.baseline_epochs or network.optimizer is None:
            training.compile_for(network, job.training, self.losses)
        if job.baseline_epochs:
            self._fit(network, job.baseline_epochs, "training the original", pruning=False)
        self._stage(Stage.ORIGINAL, network)
        self._warn_sparse_baseline()
        wrapped = wrapping.wrap(wrapping.clone(network), self.decisions, self.schedule, job.pattern)
        training.compile_for(wrapped, job.training, self.losses)
        if job.training.one_shot:
            wrapping.prune_at_once(wrapped)
        else:
            steps = self._fit(wrapped, job.training.epochs, "training the pruned network", pruning=True)
            if not job.pattern.m_by_n:
                for message in schedule_warnings(self.schedule, steps):
                    self.send(WarningEvent(message))
        self._stage(Stage.WRAPPED, wrapped)
        stripped = wrapping.strip(wrapped)
        self._stage(Stage.STRIPPED, stripped)
        self._warn_off_target(wrapping.count_zeros(stripped, self.decisions))

    def _fit(self, network: Network, epochs: int, what: str, *, pruning: bool) -> int:
        def report(done: int, total: int) -> None:
            self.send(StepEvent(what, done, total))

        self.send(StepEvent(what))
        try:
            return training.fit(network, self.samples, epochs, self.job.batch_size, self.job.seed, report, pruning=pruning)
        except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as problem:
            raise PruningError(f"{self.job.model}: {what} failed: {reason_of(problem)}") from problem

    def _stage(self, stage: Stage, network: Network) -> None:
        self.send(StepEvent(f"measuring the {stage} network"))
        loss, metric, name = self._measure(network)
        self.send(StageEvent(stage, loss, metric, name, wrapping.count_zeros(network, self.decisions)))
        if stage in self.job.stages:
            _Saver(self.job, self.send, stage, network, self.samples).save_all()

    def _measure(self, network: Network) -> tuple[float | None, float | None, str]:
        judge = network
        if getattr(network, "optimizer", None) is None:
            judge = wrapping.clone(network)  # compiling the network itself would change what is saved
            training.compile_for(judge, self.job.training, self.losses)
        try:
            return training.evaluate(judge, self.samples)
        except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as problem:
            self.send(WarningEvent(f"loss and metric could not be measured: {reason_of(problem)}"))
            return None, None, ""

    def _warn_sparse_baseline(self) -> None:
        for weight in wrapping.count_zeros(self.network, self.decisions):
            share = _share(weight)
            if weight.pruned and share > 0.01:
                self.send(WarningEvent(f"{weight.layer}/{weight.weight} has {share:.1%} zeros before it is pruned"))

    def _warn_off_target(self, weights: Sequence[WeightSparsity]) -> None:
        target = self.job.target
        for weight in weights:
            share = _share(weight)
            if weight.pruned and abs(share - target) > TOLERANCE:
                self.send(WarningEvent(f"{weight.layer}/{weight.weight} ends with {share:.1%} zeros, not {target:.1%}{self._why(weight)}"))

    def _why(self, weight: WeightSparsity) -> str:
        pattern = self.job.pattern
        if pattern.m_by_n and weight.shape[-2] % pattern.m_by_n[1]:
            return f": its {weight.shape[-2]} inputs are no multiple of {pattern.m_by_n[1]}, and the last group is padded with zeros"
        if pattern.block_size != (1, 1) and (weight.shape[0] % pattern.block_size[0] or weight.shape[1] % pattern.block_size[1]):
            height, width = pattern.block_size
            return f": {weight.shape[0]}x{weight.shape[1]} does not divide into blocks of {height}x{width}"
        size = prod(weight.shape)
        return f": {size} elements cannot come nearer" if pattern.block_size == (1, 1) and 1 / size > TOLERANCE else ""


class _Saver:
    """Saves one stage in every way that the job asks for."""

    def __init__(self, job: Job, send: Send, stage: Stage, network: Network, samples: Samples) -> None:
        self.job, self.send, self.stage, self.network, self.samples = job, send, stage, network, samples
        self.folder = Path(job.folder) / stage
        self.folder.mkdir(exist_ok=True)
        self.scratch = Path(tempfile.mkdtemp())

    def save_all(self) -> None:
        """Save, pack, gzip, and drop what was only saved to be packed."""
        try:
            self._save_all()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _save_all(self) -> None:
        for name in with_sources(self.job.methods):
            self._attempt(name, partial(self._save, name))
        self._pack("hdf5-gzip", packing.gzip_hdf5)
        self._pack("keras-deflate", packing.deflate_zip)
        if GZ in self.job.methods:
            self._gzip_all()
        for name in set(with_sources(self.job.methods)) - set(self.job.methods):
            _remove(self.folder / METHODS[name].path)

    def _save(self, name: str, target: Path) -> None:
        saving.save(self.network, name, target, self.samples, self.scratch)

    def _pack(self, name: str, pack: Callable[[Path, Path], None]) -> None:
        if name not in self.job.methods:
            return
        source = self.folder / METHODS[METHODS[name].of].path
        if not source.exists():
            self.send(SavedEvent(self.stage, name, reason=f"{METHODS[name].of} was not made"))
            return
        self._attempt(name, lambda target: pack(source, target))

    def _gzip_all(self) -> None:
        for name in self.job.methods:
            if name not in with_sources(self.job.methods):
                continue  # what is packed already
            source = self.folder / METHODS[name].path
            if source.is_file():
                self._gzip(name, source)

    def _gzip(self, name: str, source: Path) -> None:
        target = source.with_name(f"{source.name}.gz")
        try:
            packing.gzip_file(source, target)
        except OSError as problem:
            self._fail_if_full(problem)
            raise PruningError(f"{target.name}: {reason_of(problem)}") from problem
        if target.stat().st_size > source.stat().st_size * (1 - GZ_GAIN):
            target.unlink()
        else:
            self.send(SavedEvent(self.stage, f"{name}.{GZ}", f"{self.stage}/{target.name}"))

    def _attempt(self, name: str, write: Callable[[Path], None]) -> None:
        """Write one artifact; whatever is raised becomes the row's reason, but for a full disk."""
        if (str(self.stage), name) in self.job.done:
            return
        asked = name in self.job.methods
        path = METHODS[name].path
        target = self.folder / path
        _remove(target)
        if asked:
            self.send(StartEvent(self.stage, name))
        try:
            write(target)
        except Exception as problem:  # noqa: BLE001 - converters raise every kind; what a method cannot do is a row with the reason
            _remove(target)
            self._fail_if_full(problem)
            if asked:
                self.send(SavedEvent(self.stage, name, reason=reason_of(problem)))
            return
        if asked:
            self.send(SavedEvent(self.stage, name, f"{self.stage}/{path}"))

    def _fail_if_full(self, problem: Exception) -> None:
        if is_full_disk(problem) or shutil.disk_usage(self.folder).free < 4096:
            raise DiskFullError("no space is left on the disk") from problem


def _share(weight: WeightSparsity) -> float:
    size = prod(weight.shape)
    return weight.zeros / size if size else 0.0


def _remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
