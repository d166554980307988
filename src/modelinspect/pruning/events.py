"""The lines that the worker sends: one JSON object each."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from modelinspect.pruning.schedules import Schedule


class Trouble(StrEnum):
    """Why a worker gave up."""

    USAGE = "usage"
    MODEL = "model"
    DISK = "disk"
    MISSING = "missing"
    INTERNAL = "internal"


class VersionsEvent(Struct, frozen=True, tag="versions"):
    """The libraries that did the work."""

    versions: dict[str, str]


class EngineEvent(Struct, frozen=True, tag="engine"):
    """What prunes, and why; known before the worker starts."""

    engine: str
    reason: str


class LayersEvent(Struct, frozen=True, tag="layers"):
    """Every layer of the network, and whether it is pruned: (name, type, chosen, reason)."""

    layers: tuple[tuple[str, str, bool, str], ...]


class PlanEvent(Struct, frozen=True, tag="plan"):
    """What the run will do. ``schedule`` is None in one shot."""

    schedule: Schedule | None
    steps: int
    synthetic: bool
    loss: str


class StepEvent(Struct, frozen=True, tag="step"):
    """What begins now; ``total`` steps of it follow, of which ``done`` are done."""

    what: str
    done: int = 0
    total: int = 0


class WeightSparsity(Struct, frozen=True):
    """A weight that tfmot prunes (in the layers chosen) or would prune (in the others), and its zeros."""

    layer: str
    weight: str
    shape: tuple[int, ...]
    zeros: int
    pruned: bool


class StageEvent(Struct, frozen=True, tag="stage"):
    """How a stage's network does and how sparse it is."""

    stage: str
    loss: float | None
    metric: float | None
    metric_name: str
    weights: tuple[WeightSparsity, ...]


class StartEvent(Struct, frozen=True, tag="start"):
    """A method begins."""

    stage: str
    method: str


class SavedEvent(Struct, frozen=True, tag="saved"):
    """A method ended: with an artifact at ``path`` in the job's folder, or with the reason why not."""

    stage: str
    method: str
    path: str = ""
    reason: str = ""


class WarningEvent(Struct, frozen=True, tag="warning"):
    """Something that the reader of the result should know."""

    message: str


class FailureEvent(Struct, frozen=True, tag="failure"):
    """The worker gives up."""

    trouble: Trouble
    message: str


class DoneEvent(Struct, frozen=True, tag="done"):
    """The worker did all it was asked for."""


Event = (
    EngineEvent
    | VersionsEvent
    | LayersEvent
    | PlanEvent
    | StepEvent
    | StageEvent
    | StartEvent
    | SavedEvent
    | WarningEvent
    | FailureEvent
    | DoneEvent
)
