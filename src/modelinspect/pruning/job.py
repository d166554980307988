"""Describe one run of the pruning stage: everything that the worker has to know, checked before TensorFlow
starts.
"""

from __future__ import annotations

from msgspec import Struct

from modelinspect.pruning.engines import AUTO, ENGINES
from modelinspect.pruning.errors import JobError
from modelinspect.pruning.methods import NAMES, Stage
from modelinspect.pruning.schedules import (
    ConstantSchedule,
    Schedule,
    constant_for_run,
    polynomial_for_run,
    validate_schedule,
)
from modelinspect.pruning.selection import Pattern, Selection, validate_pattern

OPTIMIZERS = ("adam", "adamw", "adagrad", "adamax", "nadam", "rmsprop", "sgd", "momentum")
LOSSES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy", "mse")


class ScheduleWish(Struct, frozen=True):
    """The schedule as it was asked for; what is None is fitted to the run's length."""

    kind: str = "polynomial"
    sparsity: float = 0.8
    initial_sparsity: float = 0.0
    begin_step: int | None = None
    end_step: int | None = None
    power: float = 3.0
    frequency: int | None = None

    def fit(self, steps: int) -> Schedule:
        """Return the schedule for a run of so many steps. Raises `JobError`."""
        schedule: Schedule
        match self.kind:
            case "constant":
                schedule = constant_for_run(
                    steps,
                    self.sparsity,
                    begin_step=self.begin_step,
                    end_step=-1 if self.end_step is None else self.end_step,
                    frequency=self.frequency,
                )
            case "polynomial":
                if self.frequency is not None and self.frequency < 1:
                    raise JobError(f"the frequency must be 1 or more, not {self.frequency}")
                schedule = polynomial_for_run(
                    steps,
                    self.sparsity,
                    initial_sparsity=self.initial_sparsity,
                    begin_step=self.begin_step,
                    end_step=self.end_step,
                    power=self.power,
                    frequency=self.frequency,
                )
            case _:
                raise JobError(f"no schedule is named {self.kind!r}; there are constant, polynomial")
        validate_schedule(schedule)
        return schedule


class Training(Struct, frozen=True):
    """How the network is trained. None leaves it to the architecture, or to the model file."""

    data: str | None = None
    samples: int | None = None
    baseline_epochs: int | None = None
    epochs: int = 4
    batch_size: int | None = None
    optimizer: str = "adam"
    learning_rate: float | None = None
    loss: str | None = None
    one_shot: bool = False


class Job(Struct, frozen=True):
    """One run: a model, how it is pruned and trained, and what is saved.

    ``backend`` is that of Keras 3, empty for the one that KERAS_BACKEND names. ``done`` lists the (stage,
    method) pairs that need no saving any more: those of a worker that died.
    """

    model: str
    stages: tuple[Stage, ...]
    methods: tuple[str, ...]
    schedule: ScheduleWish = ScheduleWish()
    pattern: Pattern = Pattern()
    selection: Selection = Selection()
    training: Training = Training()
    seed: int = 42
    allow_code: bool = False
    code: str | None = None
    engine: str = AUTO
    backend: str = ""
    folder: str = ""
    done: tuple[tuple[str, str], ...] = ()

    @property
    def is_architecture(self) -> bool:
        """Return whether the model is a network that we build."""
        return self.model in _ARCHITECTURES

    @property
    def target(self) -> float:
        """The sparsity that pruned layers should reach."""
        return (
            self.pattern.m_by_n[0] / self.pattern.m_by_n[1] if self.pattern.m_by_n else self.schedule.sparsity
        )

    @property
    def samples(self) -> int:
        """The number of synthetic samples."""
        return self.training.samples or (_ARCHITECTURES[self.model].samples if self.is_architecture else 512)

    @property
    def batch_size(self) -> int:
        """The samples of a training step."""
        return self.training.batch_size or (
            _ARCHITECTURES[self.model].batch_size if self.is_architecture else 32
        )

    @property
    def baseline_epochs(self) -> int:
        """The epochs that the network is trained before it is pruned: none for a model file or in one shot,
        by default.
        """
        if self.training.baseline_epochs is not None:
            return self.training.baseline_epochs
        return 1 if self.is_architecture and not self.training.one_shot else 0


def validate(job: Job) -> None:
    """Raise `JobError` for a job that cannot be done, as far as it can be seen without TensorFlow."""
    training = job.training
    validate_pattern(job.pattern)
    if training.one_shot:
        validate_schedule(ConstantSchedule(job.schedule.sparsity))
    else:
        job.schedule.fit(1000)
    for name, value, least in (
        ("samples", training.samples, 1),
        ("batch size", training.batch_size, 1),
        ("baseline epochs", training.baseline_epochs, 0),
        ("epochs", training.epochs, 1),
        ("seed", job.seed, 0),
    ):
        if value is not None and value < least:
            raise JobError(f"the {name} must be {least} or more, not {value}")
    if training.learning_rate is not None and not 0 < training.learning_rate < float("inf"):
        raise JobError(f"the learning rate must be above 0, not {training.learning_rate:g}")
    _check_choice("engine", job.engine, ENGINES)
    _check_choice("optimizer", training.optimizer, OPTIMIZERS)
    if training.loss is not None:
        _check_choice("loss", training.loss, LOSSES)
    if unknown := set(job.methods) - set(NAMES):
        raise JobError(f"no saving method is named {sorted(unknown)[0]!r}; there are {', '.join(NAMES)}")
    if job.code and not job.allow_code:
        raise JobError("--code runs a file of Python: say --allow-code too")


def _check_choice(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise JobError(f"no {what} is named {name!r}; there are {', '.join(known)}")


class _Architecture(Struct, frozen=True):
    """A network that the pruning stage builds.

    ``samples`` and ``batch_size`` make a short run on two cores.
    """

    name: str
    about: str
    samples: int = 2048
    batch_size: int = 32


_ARCHITECTURES: dict[str, _Architecture] = {
    architecture.name: architecture
    for architecture in (
        _Architecture("mlp", "Dense 128 and Dense 10 on 10 inputs (2,698 parameters)"),
        _Architecture(
            "cnn",
            "the MNIST tutorial of tfmot: Conv2D 12, pooling, Dense 10 on 28x28 pixels (20,410 parameters)",
        ),
        _Architecture("many-small-layers", "sixteen Dense 64 and Dense 10 on 64 inputs (67,210 parameters)"),
        _Architecture("few-large-layers", "Dense 896 and Dense 10 on 64 inputs (67,210 parameters)"),
        _Architecture("lstm", "LSTM 48 and Dense 10 on 28 steps of 28 (15,274 parameters)", 1024),
        _Architecture("embedding", "Embedding of 2,000 words in 16, mean, Dense 16, Dense 1"),
        _Architecture("depthwise", "separable and depthwise convolutions on 32x32x3 pixels", 1024),
        _Architecture("attention", "two heads of self-attention and Dense 10 on 16 steps of 32", 1024),
        _Architecture(
            "mobilenet-v2", "MobileNetV2 with 10 classes on 96x96x3 pixels (2,270,794 parameters)", 192, 16
        ),
    )
}
