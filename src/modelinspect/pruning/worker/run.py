"""Do one job with an engine: build or load, train, save, prune and save again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Protocol

from modelinspect.pruning.data import (
    InputFacts,
    OutputFacts,
    Samples,
    check_samples,
    read_samples,
    synthetic_samples,
)
from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.events import (
    LayersEvent,
    PlanEvent,
    StageEvent,
    StepEvent,
    VersionsEvent,
    WarningEvent,
    WeightSparsity,
)
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import Stage
from modelinspect.pruning.schedules import ConstantSchedule, Schedule, schedule_warnings
from modelinspect.pruning.selection import Decision
from modelinspect.pruning.worker import training
from modelinspect.pruning.worker.networks import Network
from modelinspect.pruning.worker.reasons import reason_of
from modelinspect.pruning.worker.saver import Saver, Send

TOLERANCE = 0.005
"""How far from its target a weight's sparsity may end without a warning."""

Train = Callable[[Network, Sequence[object]], int]
"""Trains a network with callbacks and returns the steps done."""


class Engine(Protocol):
    """What pruning does with tf_keras and tfmot, or with Keras 3; a subclass for each says what differs."""

    keras: ModuleType
    """``keras`` or ``tf_keras``."""

    problems: tuple[type[Exception], ...]
    """What training and evaluating may raise for a network that does not fit its samples."""

    warnings: list[str]
    """What the reader of the result should know about how the network was loaded."""

    def start(self, seed: int) -> dict[str, str]:
        """Seed everything, and return the versions of the libraries that decide sizes."""

    def network(self, job: Job) -> Network:
        """Build or load the network. Raises `JobError` or `PruningError`."""

    def inputs_of(self, network: Network) -> list[InputFacts]:
        """Describe what the network takes."""
        return training.inputs_of(network, self.keras)

    def outputs_of(self, network: Network, loss: str | None) -> list[OutputFacts]:
        """Describe what the network gives, and the loss of each."""
        return training.outputs_of(network, loss)

    def decide(self, network: Network, job: Job) -> tuple[Decision, ...]:
        """Decide for each layer. Raises `JobError`."""

    def clone(self, network: Network) -> Network:
        """Return a network with its own variables and the same values."""

    def compile(self, network: Network, job: Job, losses: list[str]) -> None:
        """Compile with the job's optimizer."""
        training.compile_for(network, job.training, losses, self.keras)

    def fit(
        self,
        network: Network,
        samples: Samples,
        job: Job,
        epochs: int,
        report: Callable[[int, int], None],
        callbacks: Sequence[object],
    ) -> int:
        """Train, and return the steps done."""
        return training.fit(network, samples, epochs, job.batch_size, job.seed, report, callbacks, self.keras)

    def evaluate(self, network: Network, samples: Samples) -> tuple[float, float | None, str]:
        """Return loss, metric and the metric's name on the samples held back."""
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
        """Prune, and yield each stage that comes of it. ``train`` is not called in one shot."""

    def count_zeros(self, network: Network, decisions: Sequence[Decision]) -> tuple[WeightSparsity, ...]:
        """Count the zeros of every weight that could be pruned."""

    def save(self, network: Network, method: str, target: Path, samples: Samples, scratch: Path) -> None:
        """Write the network by the method of that name."""


def run(job: Job, send: Send, engine: Engine) -> None:
    """Do the job. Raises `JobError` or `PruningError`."""
    send(StepEvent(f"building {job.model}" if job.is_architecture else "loading the model"))
    send(VersionsEvent(engine.start(job.seed)))
    _Run(job, send, engine, engine.network(job)).go()


class _Run:
    """One job on its way: the network, its samples and the decisions about its layers."""

    def __init__(self, job: Job, send: Send, engine: Engine, network: Network) -> None:
        self.job, self.send, self.engine, self.network = job, send, engine, network
        inputs = engine.inputs_of(network)
        outputs = engine.outputs_of(network, job.training.loss)
        self.losses = [facts.loss for facts in outputs]
        self.decisions = engine.decide(network, job)
        send(
            LayersEvent(
                tuple((part.layer.name, part.layer.type, part.chosen, part.reason) for part in self.decisions)
            )
        )
        if job.training.data is None:
            self.samples = synthetic_samples(inputs, outputs, job.samples, job.seed)
        else:
            self.samples = read_samples(Path(job.training.data))
            check_samples(self.samples, inputs, outputs, job.training.data)
        self.steps = (
            0 if job.training.one_shot else job.training.epochs * -(-len(self.samples.x[0]) // job.batch_size)
        )
        self.schedule = (
            ConstantSchedule(job.schedule.sparsity, 0, -1, 1)
            if job.training.one_shot
            else job.schedule.fit(self.steps)
        )
        send(
            PlanEvent(
                None if job.training.one_shot else self.schedule,
                self.steps,
                self.samples.synthetic,
                self.losses[0],
            )
        )

    def go(self) -> None:
        """Make every stage's artifacts."""
        job, network, engine = self.job, self.network, self.engine
        for message in engine.warnings:
            self.send(WarningEvent(message))
        if job.is_architecture or job.baseline_epochs or getattr(network, "optimizer", None) is None:
            engine.compile(network, job, self.losses)
        if job.baseline_epochs:
            self._fit("training the original", job.baseline_epochs, network, ())
        self._stage(Stage.ORIGINAL, network)
        self._warn_sparse_baseline()
        train = partial(self._fit, "training the pruned network", job.training.epochs)
        for stage, pruned in engine.pruned(network, job, self.decisions, self.schedule, self.losses, train):
            self._stage(stage, pruned)
        self._warn_off_target(engine.count_zeros(pruned, self.decisions))

    def _fit(self, what: str, epochs: int, network: Network, callbacks: Sequence[object]) -> int:
        def report(done: int, total: int) -> None:
            self.send(StepEvent(what, done, total))

        self.send(StepEvent(what))
        try:
            steps = self.engine.fit(network, self.samples, self.job, epochs, report, callbacks)
        except self.engine.problems as problem:
            raise PruningError(f"{self.job.model}: {what} failed: {reason_of(problem)}") from problem
        if callbacks and not self.job.pattern.m_by_n:
            for message in schedule_warnings(self.schedule, steps):
                self.send(WarningEvent(message))
        return steps

    def _stage(self, stage: Stage, network: Network) -> None:
        self.send(StepEvent(f"measuring the {stage} network"))
        loss, metric, name = self._measure(network)
        self.send(StageEvent(stage, loss, metric, name, self.engine.count_zeros(network, self.decisions)))
        if stage in self.job.stages:
            self.send(StepEvent(f"saving the {stage} network"))
            Saver(self.job, self.send, stage, partial(self._save, network)).save_all()

    def _save(self, network: Network, method: str, target: Path, scratch: Path) -> None:
        self.engine.save(network, method, target, self.samples, scratch)

    def _measure(self, network: Network) -> tuple[float | None, float | None, str]:
        judge = network
        if getattr(network, "optimizer", None) is None:
            judge = self.engine.clone(network)  # compiling the network itself would change what is saved
            self.engine.compile(judge, self.job, self.losses)
        try:
            return self.engine.evaluate(judge, self.samples)
        except self.engine.problems as problem:
            self.send(WarningEvent(f"loss and metric could not be measured: {reason_of(problem)}"))
            return None, None, ""

    def _warn_sparse_baseline(self) -> None:
        for weight in self.engine.count_zeros(self.network, self.decisions):
            share = _share(weight)
            if weight.pruned and share > 0.01:
                self.send(
                    WarningEvent(f"{weight.layer}/{weight.weight} has {share:.1%} zeros before it is pruned")
                )

    def _warn_off_target(self, weights: Sequence[WeightSparsity]) -> None:
        target = self.job.target
        for weight in weights:
            share = _share(weight)
            if weight.pruned and abs(share - target) > TOLERANCE:
                self.send(
                    WarningEvent(
                        f"{weight.layer}/{weight.weight} ends with {share:.1%} zeros, not"
                        f" {target:.1%}{self._why(weight)}"
                    )
                )

    def _why(self, weight: WeightSparsity) -> str:
        pattern = self.job.pattern
        if pattern.m_by_n and weight.shape[-2] % pattern.m_by_n[1]:
            return (
                f": its {weight.shape[-2]} inputs are not a multiple of {pattern.m_by_n[1]}, and the last"
                " group is padded with zeros"
            )
        if pattern.block_size != (1, 1) and (
            weight.shape[0] % pattern.block_size[0] or weight.shape[1] % pattern.block_size[1]
        ):
            height, width = pattern.block_size
            return f": {weight.shape[0]}x{weight.shape[1]} does not divide into blocks of {height}x{width}"
        size = prod(weight.shape)
        return (
            f": {size} elements cannot come nearer"
            if pattern.block_size == (1, 1) and 1 / size > TOLERANCE
            else ""
        )


def _share(weight: WeightSparsity) -> float:
    size = prod(weight.shape)
    return weight.zeros / size if size else 0.0
