"""Run the pruning stage: make the directory of artifacts and its manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from math import prod
from pathlib import Path
from typing import Any, Literal

import msgspec

from modelinspect.errors import ModelInspectError, OutputError
from modelinspect.pruning.artifacts import Inspect, measure_artifact
from modelinspect.pruning.data import read_samples
from modelinspect.pruning.engines import EngineChoice, choose_engine
from modelinspect.pruning.errors import JobError
from modelinspect.pruning.events import (
    EngineEvent,
    Event,
    LayersEvent,
    PlanEvent,
    SavedEvent,
    StageEvent,
    VersionsEvent,
    WarningEvent,
)
from modelinspect.pruning.folder import MANIFEST, check_target, output_error, whole_folder
from modelinspect.pruning.job import Job, validate
from modelinspect.pruning.methods import GZ, NAMES, Stage, for_engine
from modelinspect.pruning.modelfile import look_at, refuse_code, refuse_foreign
from modelinspect.pruning.process import WORKER, check_extra, run_worker
from modelinspect.pruning.schedules import ConstantSchedule, PolynomialSchedule
from modelinspect.reports.manifest import (
    ArtifactRow,
    LayerDecision,
    PruneReport,
    ScheduleEntry,
    StageEntry,
    WeightEntry,
)
from modelinspect.version import VERSION

Watch = Callable[[Event], None]


def prune(
    job: Job,
    target: Path,
    *,
    inspect: Inspect,
    command: tuple[str, ...] = (),
    force: bool = False,
    watch: Watch | None = None,
    worker: Sequence[str] | None = None,
) -> PruneReport:
    """Do the job and put everything at the target, whole or not at all.

    ``inspect`` finds the categories of an artifact; ``watch`` is given every event; ``worker`` starts the
    worker elsewhere than in this environment. Raises `JobError` (the command has to change), `PruningError`,
    `OutputError`, `MissingExtraError`.
    """
    choice = check(job)
    check_target(target, force=force)
    job = for_choice(job, choice)
    if worker is None:
        check_extra(choice.engine)
    if watch is not None:
        watch(EngineEvent(choice.engine, choice.reason))
    with whole_folder(target, force=force) as (folder, scratch):
        record = _Record(job, choice, folder, inspect)
        try:
            with closing(
                run_worker(msgspec.structs.replace(job, folder=str(folder)), scratch, worker or WORKER)
            ) as events:
                for event in events:
                    record.take(event)
                    if watch is not None:
                        watch(event)
        except OutputError as problem:
            raise OutputError(f"{target}: {problem}") from problem
        report = record.report(command)
        try:
            (folder / MANIFEST).write_text("\n".join(report.json_lines()) + "\n")
        except OSError as problem:
            raise output_error(target, problem) from problem
    return report


def for_choice(job: Job, choice: EngineChoice) -> Job:
    """Return the job with its engine, and with the stages and methods that the engine has.

    Raises `JobError`.
    """
    stages, methods = for_engine(choice.engine, job.stages, job.methods)
    return msgspec.structs.replace(job, engine=choice.engine, stages=stages, methods=methods)


def check(job: Job) -> EngineChoice:
    """Find what is wrong with a job before TensorFlow starts, and choose its engine.

    Raises `JobError` or `PruningError`.
    """
    validate(job)
    if job.training.data is not None:
        read_samples(Path(job.training.data))
    if job.code is not None and not Path(job.code).is_file():
        raise JobError(f"{job.code}: no such file")
    if job.is_architecture:
        return choose_engine(job.engine, job.model, None)
    place = Path(job.model)
    facts = look_at(place)
    if not job.allow_code:
        refuse_code(place, facts)
    if job.code is None:
        refuse_foreign(place, facts)
    return choose_engine(job.engine, job.model, facts)


class _Record:
    """What the worker has reported so far; sizes and categories are found as soon as an artifact is."""

    def __init__(self, job: Job, choice: EngineChoice, folder: Path, inspect: Inspect) -> None:
        self.job, self.choice, self.folder, self.inspect = job, choice, folder, inspect
        self.versions: Mapping[str, str] = {}
        self.layers: tuple[LayerDecision, ...] = ()
        self.plan: PlanEvent | None = None
        self.stages: dict[str, StageEntry] = {}
        self.rows: dict[tuple[str, str], ArtifactRow] = {}
        self.warnings: dict[str, None] = {}

    def take(self, event: Event) -> None:
        """Note what an event says."""
        match event:
            case VersionsEvent(versions):
                self.versions = {**versions, "modelinspect": VERSION}
            case LayersEvent(layers):
                self.layers = tuple(
                    LayerDecision(name=name, type=kind, pruned=chosen, reason=why)
                    for name, kind, chosen, why in layers
                )
            case PlanEvent():
                self.plan = event
            case StageEvent():
                self.stages[event.stage] = _stage_entry(event, self.job.target)
            case SavedEvent():
                self.rows[event.stage, event.method] = self._row(event)
            case WarningEvent(message):
                self.warnings[message] = None
            case _:
                pass

    def report(self, command: tuple[str, ...]) -> PruneReport:
        """Return the whole record."""
        order = {name: at for at, name in enumerate(NAMES)}
        stages = {stage.value: at for at, stage in enumerate(Stage)}
        rows = sorted(
            self.rows.values(),
            key=lambda row: (
                stages[row.stage],
                row.method.endswith(".gz"),
                order[row.method.removesuffix(".gz")],
            ),
        )
        job = self.job
        return PruneReport(
            model=job.model,
            engine=self.choice.engine,
            engine_reason=self.choice.reason,
            command=command,
            seed=job.seed,
            versions=dict(sorted(self.versions.items())),
            schedule=_schedule_entry(self.plan, job),
            block_size=job.pattern.block_size,
            block_pooling=job.pattern.pooling,
            sparsity_m_by_n=job.pattern.m_by_n,
            training=_training_entry(job, self.plan),
            layers=self.layers,
            stages=tuple(self.stages[stage] for stage in Stage if stage in self.stages),
            artifacts=tuple(rows),
            warnings=tuple(self.warnings),
        )

    def _row(self, event: SavedEvent) -> ArtifactRow:
        if not event.path:
            return ArtifactRow(stage=event.stage, method=event.method, outcome="failed", reason=event.reason)
        place = self.folder / event.path
        measured = measure_artifact(place)
        gzipped = event.method.endswith(f".{GZ}")
        made: Literal["made"] = "made"
        row = ArtifactRow(
            stage=event.stage,
            method=event.method,
            outcome=made,
            path=event.path,
            size=measured.size,
            gzip_size=None if gzipped else measured.gzip_size,
            sha256=measured.sha256,
        )
        try:
            found = self.inspect(place)
        except ModelInspectError as problem:
            self._warn(event, f"could not be inspected: {str(problem).replace(f'{place}: ', '')}")
            return row
        if found.categories.unattributed:
            self._warn(event, f"{found.categories.unattributed:,} bytes could not be attributed")
        for finding in found.errors:
            self._warn(event, finding.message)
        return msgspec.structs.replace(
            row,
            categories=found.categories,
            layers=found.layers,
            diagnostic_count=found.diagnostic_count,
            errors=tuple(finding.rule for finding in found.errors),
        )

    def _warn(self, event: SavedEvent, text: str) -> None:
        """Note what is wrong with an artifact, once for it and its ``.gz``."""
        self.warnings[f"{event.stage} {event.method.removesuffix(f'.{GZ}')}: {text}"] = None


def _stage_entry(event: StageEvent, target: float) -> StageEntry:
    weights = []
    for weight in event.weights:
        size = prod(weight.shape)
        weights.append(
            WeightEntry(
                layer=weight.layer,
                weight=weight.weight,
                shape=weight.shape,
                zero_count=weight.zeros,
                sparsity=weight.zeros / size if size else 0.0,
                target=target if weight.pruned else None,
            )
        )
    return StageEntry(
        stage=event.stage,
        loss=event.loss,
        metric=event.metric,
        metric_name=event.metric_name,
        weights=tuple(weights),
    )


def _schedule_entry(plan: PlanEvent | None, job: Job) -> ScheduleEntry:
    steps = 0 if plan is None else plan.steps
    match None if plan is None else plan.schedule:
        case ConstantSchedule(sparsity, begin, end, frequency):
            return _schedule("constant", None, sparsity, begin, end, None, frequency, steps)
        case PolynomialSchedule(initial, final, begin, end, power, frequency):
            return _schedule("polynomial", initial, final, begin, end, power, frequency, steps)
        case None:
            return _schedule("one-shot", None, job.schedule.sparsity, None, None, None, None, steps)


def _schedule(
    kind: Literal["constant", "polynomial", "one-shot"],
    initial: float | None,
    final: float,
    begin: int | None,
    end: int | None,
    power: float | None,
    frequency: int | None,
    steps: int,
) -> ScheduleEntry:
    return ScheduleEntry(
        kind=kind,
        initial_sparsity=initial,
        final_sparsity=final,
        begin_step=begin,
        end_step=end,
        power=power,
        frequency=frequency,
        steps=steps,
    )


def _training_entry(job: Job, plan: PlanEvent | None) -> dict[str, Any]:
    training = job.training
    return {
        "data": training.data or "synthetic",
        "samples": None if training.data else job.samples,
        "baseline_epochs": job.baseline_epochs,
        "epochs": 0 if training.one_shot else training.epochs,
        "batch_size": job.batch_size,
        "optimizer": training.optimizer,
        "learning_rate": training.learning_rate,
        "loss": "" if plan is None else plan.loss,
    }
