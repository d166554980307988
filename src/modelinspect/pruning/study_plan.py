"""Read a study's recipe and list its runs: the full cross of architectures, schedules, sparsities and
patterns.
"""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path

import msgspec
from msgspec import Struct

from modelinspect.core.settings_file import decode, read_toml
from modelinspect.errors import UsageError
from modelinspect.pruning.engines import BACKENDS, Engine
from modelinspect.pruning.errors import JobError
from modelinspect.pruning.job import Job, ScheduleWish, Training, validate
from modelinspect.pruning.methods import Stage, choose_methods, choose_stages, for_engine
from modelinspect.pruning.selection import Pattern

DEFAULT_RECIPE = Path(__file__).with_name("study.toml")
"""The recipe that runs where none is given."""

RELEASES_RECIPE = Path(__file__).with_name("study_releases.toml")
"""The recipe that runs under several TensorFlow releases where none is given."""


class Timing(Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule without its sparsity; ``kind`` is constant, polynomial or one-shot."""

    kind: str = "polynomial"
    initial_sparsity: float = 0.0
    begin_step: int | None = None
    end_step: int | None = None
    power: float = 3.0
    frequency: int | None = None


class PatternWish(Struct, frozen=True, forbid_unknown_fields=True):
    """Single weights, blocks, or M by N."""

    block_size: tuple[int, int] = (1, 1)
    pooling: str = "AVG"
    m_by_n: tuple[int, int] | None = None


class Grid(Struct, frozen=True, forbid_unknown_fields=True):
    """One full cross; schedules and patterns by their names in the recipe.

    Engines are ``tfmot``, ``keras`` and, on another backend, ``keras-jax`` or ``keras-torch``. The stage that
    Keras 3 has for ``stripped`` is ``pruned``.
    """

    architectures: tuple[str, ...]
    sparsities: tuple[float, ...]
    schedules: tuple[str, ...] = ("one-shot",)
    patterns: tuple[str, ...] = ("element",)
    stages: tuple[str, ...] = ("stripped",)
    methods: tuple[str, ...] = ()
    engines: tuple[str, ...] = (Engine.TFMOT,)


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """A study: named schedules and patterns, and the grids that cross them."""

    grids: tuple[Grid, ...]
    schedules: dict[str, Timing] = {}
    patterns: dict[str, PatternWish] = {}
    seed: int = 42
    epochs: int = 3
    samples: int | None = None


class Run(Struct, frozen=True):
    """One run of the pruning stage. ``key`` names it and changes with anything that decides its result."""

    key: str
    schedule: str
    pattern: str
    job: Job
    engine: str = Engine.TFMOT


def read_recipe(place: Path) -> Recipe:
    """Read a recipe. Raises `JobError`."""
    try:
        return decode(read_toml(place), Recipe, str(place))
    except UsageError as problem:
        raise JobError(str(problem)) from problem


def runs_of(recipe: Recipe) -> tuple[Run, ...]:
    """Return the runs in the recipe's order, each once.

    Raises `JobError` for names that it does not have and jobs that cannot be.
    """
    schedules = {"one-shot": Timing("one-shot"), **recipe.schedules}
    patterns = {"element": PatternWish(), **recipe.patterns}
    found: dict[str, Run] = {}
    for grid in recipe.grids:
        crossed = product(grid.engines, grid.architectures, grid.schedules, grid.sparsities, grid.patterns)
        for engine, architecture, schedule, sparsity, pattern in crossed:
            if schedule not in schedules:
                raise JobError(f"the recipe has no schedule {schedule!r}; there are {', '.join(schedules)}")
            if pattern not in patterns:
                raise JobError(f"the recipe has no pattern {pattern!r}; there are {', '.join(patterns)}")
            job = _job(recipe, grid, engine, architecture, schedules[schedule], sparsity, patterns[pattern])
            run = Run(
                _key(job, engine, architecture, schedule, sparsity, pattern), schedule, pattern, job, engine
            )
            found.setdefault(run.key, run)
    return tuple(found.values())


def _job(
    recipe: Recipe,
    grid: Grid,
    engine: str,
    architecture: str,
    timing: Timing,
    sparsity: float,
    pattern: PatternWish,
) -> Job:
    one_shot = timing.kind == "one-shot"
    wish = ScheduleWish(
        "constant" if one_shot else timing.kind,
        sparsity,
        timing.initial_sparsity,
        timing.begin_step,
        timing.end_step,
        timing.power,
        timing.frequency,
    )
    name, backend = _engine(engine)
    renamed = {Stage.STRIPPED: Stage.PRUNED} if name is Engine.KERAS else {}
    wanted = tuple(
        renamed.get(stage, stage) for stage in choose_stages(grid.stages) if stage is not Stage.PRUNED
    )
    stages, methods = for_engine(name, wanted, choose_methods(grid.methods))
    job = Job(
        model=architecture,
        stages=stages,
        methods=methods,
        engine=name,
        backend=backend,
        schedule=wish,
        pattern=Pattern(pattern.block_size, pattern.pooling, pattern.m_by_n),
        training=Training(samples=recipe.samples, epochs=recipe.epochs, one_shot=one_shot),
        seed=recipe.seed,
    )
    if not job.is_architecture:
        raise JobError(f"no architecture is named {architecture!r}")
    validate(job)
    return job


def _engine(name: str) -> tuple[Engine, str]:
    """Return the engine and its backend. Raises `JobError`."""
    engine, _, backend = name.partition("-")
    if engine not in tuple(Engine) or (backend and (engine != Engine.KERAS or backend not in BACKENDS)):
        known = (*Engine, *(f"{Engine.KERAS}-{backend}" for backend in BACKENDS))
        raise JobError(f"no engine of a study is named {name!r}; there are {', '.join(known)}")
    return Engine(engine), backend


def _key(job: Job, engine: str, architecture: str, schedule: str, sparsity: float, pattern: str) -> str:
    digest = hashlib.sha256(msgspec.json.encode(job)).hexdigest()[:10]
    prefix = "" if engine == Engine.TFMOT else f"{engine}-"
    return f"{prefix}{architecture}-{schedule}-{100 * sparsity:g}-{pattern}-{digest}"
