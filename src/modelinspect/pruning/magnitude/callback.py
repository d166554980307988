"""Prune a Keras 3 model by magnitude while it trains, without wrappers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras import ops

from modelinspect.errors import ModelInspectError
from modelinspect.pruning.errors import JobError
from modelinspect.pruning.job import ScheduleWish
from modelinspect.pruning.magnitude.choice import Choice, Rule, choose, wish_of
from modelinspect.pruning.magnitude.kernels import find_units
from modelinspect.pruning.magnitude.masks import apply_mask, mask_of
from modelinspect.pruning.magnitude.oneshot import kernels_report
from modelinspect.pruning.magnitude.state import (
    VERSION,
    KernelState,
    PruningState,
    check_state,
    read_state,
    write_state,
)
from modelinspect.pruning.schedules import (
    Schedule,
    is_turn,
    schedule_warnings,
    sparsity_at,
    validate_schedule,
    with_target,
)
from modelinspect.pruning.selection import pattern_of
from modelinspect.reports.pruned_kernels import KernelsReport


class MagnitudePruning(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback of Keras 3 that sets the smallest weights of each kernel to zero while the model trains.

    Give it to ``fit``; nothing has to be stripped afterwards. ``sparsity`` is the share of zeros at the end,
    ``targets`` gives other shares for layers by name pattern, class or function. ``schedule`` is
    ``"polynomial"`` (Zhu and Gupta: from ``initial_sparsity`` at ``begin_step`` to ``sparsity`` at
    ``end_step``, cubic by default) or ``"constant"``; masks change every ``frequency`` steps. What is not
    given is fitted to the run: about ten changes, the target after three quarters of it.

    ``block_size`` is height x width of a matrix as Keras stores it (inputs x outputs), or ``"tflite-float"``
    (1x4) or ``"tflite-int8"`` (1x16): blocks along the inputs as TFLite stores them. ``m_by_n=(2, 4)`` makes
    two of every four inputs zero, once.

    ``include`` and ``exclude`` take name patterns, layer classes and functions of (layer, variable).
    ``state`` is a file: the pruning state is written there after each epoch, and training goes on from it
    where it exists.

    Masks are applied after each optimizer step, so list this callback before those that save. Works on the
    TensorFlow, JAX and torch backends, also with ``jit_compile``. In a custom loop, `attach` the model and
    put each step into ``with pruning.step():``. Wrong arguments raise `JobError` (a `ModelInspectError`).
    """

    def __init__(
        self,
        sparsity: float = 0.8,
        *,
        schedule: str = "polynomial",
        initial_sparsity: float = 0.0,
        begin_step: int | None = None,
        end_step: int | None = None,
        frequency: int | None = None,
        power: float = 3.0,
        block_size: str | Sequence[int] = (1, 1),
        pooling: str = "AVG",
        m_by_n: Sequence[int] | None = None,
        targets: Mapping[Any, float] | None = None,
        include: Rule | Sequence[Rule] | None = None,
        exclude: Rule | Sequence[Rule] | None = None,
        state: str | Path | None = None,
    ) -> None:
        super().__init__()
        self._wish = wish_of(sparsity, targets, include, exclude)
        self._pattern = pattern_of(block_size, pooling, m_by_n)
        self._timing = ScheduleWish(
            schedule, float(sparsity), initial_sparsity, begin_step, end_step, power, frequency
        )
        self._timing.fit(1000)
        self._state = None if state is None else Path(state)
        self._schedule: Schedule | None = None
        self._choices: tuple[Choice, ...] = ()
        self._left_out: tuple[Choice, ...] = ()
        self._masks: list[Any] = []
        self._steps = 0
        self._warnings: dict[str, None] = {}

    @property
    def steps(self) -> int:
        """The training steps done so far."""
        return self._steps

    def attach(self, model: Any, steps: int | None = None) -> None:
        """Choose the kernels of a model; `fit` calls this.

        ``steps`` is the length of the run, which an open schedule is fitted to.

        Raises `JobError` where nothing can be pruned, a name matches nothing, or the schedule needs a length
        and none is known.
        """
        if self._choices and model is self._model:
            return
        if self._choices:
            raise JobError("this MagnitudePruning belongs to another model; make a new one")
        choices = choose(find_units(model), self._wish, self._pattern)
        self.set_model(model)
        self._choices = tuple(choice for choice in choices if choice.chosen)
        self._left_out = tuple(choice for choice in choices if not choice.chosen)
        self._masks = [None] * len(self._choices)
        try:
            if self._state is not None and self._state.exists():
                self.load_state(self._state)
            if self._schedule is None:
                self._schedule = self._fitted(steps)
        except ModelInspectError:
            self._choices = ()
            raise

    @contextmanager
    def step(self) -> Iterator[None]:
        """Surround one training step of a custom loop: masks change before it where it is their turn, and are
        applied after it.
        """
        self._before_step()
        yield
        self._after_step()

    def stateless_step(self, values: Sequence[Any]) -> list[Any]:
        """Return the values of ``model.trainable_variables`` with masks applied, for JAX loops that hold the
        values themselves.

        Give what the optimizer returned, after each step.
        """
        trainable = self._attached().trainable_variables
        places = {id(variable): at for at, variable in enumerate(trainable)}
        masked = list(values)
        kernels = [
            (choice.kernel.variable, places.get(id(choice.kernel.variable))) for choice in self._choices
        ]
        for variable, at in kernels:
            if at is not None:
                variable.assign(masked[at])
        self._before_step()
        self._after_step()
        for variable, at in kernels:
            if at is not None:
                masked[at] = variable.value
        return masked

    def apply(self) -> None:
        """Set what the masks leave out to +0.0."""
        for choice, mask in zip(self._choices, self._masks, strict=True):
            if mask is not None:
                apply_mask(choice.kernel.variable, mask)

    def report(self) -> KernelsReport:
        """Return what was reached for each kernel, counted in the model."""
        model = self._attached()
        kind = self._timing.kind
        return kernels_report(
            model, (*self._choices, *self._left_out), self._pattern, kind, self._steps, tuple(self._warnings)
        )

    def save_state(self, place: str | Path) -> None:
        """Write step, schedule and masks, whole or not at all. Raises `OutputError`."""
        self._attached()
        if self._schedule is None:
            raise JobError("the schedule is not known before the training begins")
        state = PruningState(VERSION, self._steps, self._schedule, self._pattern, self._kernel_states())
        masks = [None if mask is None else ops.convert_to_numpy(mask) for mask in self._masks]
        write_state(Path(place), state, masks)

    def load_state(self, place: str | Path) -> None:
        """Go on from a state, of whatever backend.

        Raises `JobError` where it is of another model, `PruningError` where it is none.
        """
        self._attached()
        state, masks = read_state(Path(place))
        validate_schedule(state.schedule)
        check_state(Path(place), state, self._pattern, self._kernel_states())
        by_path = {kernel.path: mask for kernel, mask in zip(state.kernels, masks, strict=True)}
        self._schedule, self._steps = state.schedule, state.step
        found = [by_path[choice.kernel.path] for choice in self._choices]
        self._masks = [None if mask is None else ops.convert_to_tensor(mask, dtype="bool") for mask in found]
        self.apply()

    def on_train_begin(self, logs: Any = None) -> None:
        """Attach the model that is trained."""
        model = self.model
        if getattr(model, "steps_per_execution", 1) != 1:
            raise JobError("masks are applied after each step: compile with steps_per_execution=1")
        per_epoch, epochs = (self.params or {}).get("steps"), (self.params or {}).get("epochs")
        self.attach(model, per_epoch * epochs if per_epoch and epochs else None)
        self.apply()  # the weights may have been restored since the masks were set

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Change the masks, where it is their turn."""
        self._before_step()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Apply the masks to what the optimizer wrote."""
        self._after_step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the state, where a file was given."""
        if self._state is not None:
            self.save_state(self._state)

    def on_train_end(self, logs: Any = None) -> None:
        """Apply the masks again (averaged weights may have been put in place), and warn where the schedule
        fell short.
        """
        model = self._attached()
        self.apply()
        if self._schedule is None or self._pattern.m_by_n:
            return
        for message in schedule_warnings(self._schedule, self._steps):
            if message not in self._warnings:
                warnings.warn(f"{model.name}: {message}", stacklevel=2)
            self._warnings[message] = None

    def _before_step(self) -> None:
        model = self._attached()
        step, schedule = self._steps + 1, self._schedule
        if schedule is None:
            return
        first = self._masks[0] is None and step >= schedule.begin_step
        if not (first if self._pattern.m_by_n else is_turn(schedule, step)):
            return
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        for at, choice in enumerate(self._choices):
            self._masks[at] = mask_of(
                choice.kernel, self._pattern, sparsity_at(with_target(schedule, choice.target), step)
            )
        self.apply()

    def _after_step(self) -> None:
        model = self._attached()
        self._steps += 1
        if self._masks[0] is None:
            return
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        self.apply()

    def _attached(self) -> Any:
        if not self._choices:
            raise JobError("no model is attached yet: give the callback to fit, or call attach(model)")
        return self._model

    def _fitted(self, steps: int | None) -> Schedule:
        timing = self._timing
        if steps is None and (
            timing.end_step is None if timing.kind == "polynomial" else timing.frequency is None
        ):
            missing = "end_step" if timing.kind == "polynomial" else "frequency"
            raise JobError(
                f"the number of training steps is not known here: give {missing}, or attach(model, steps=...)"
            )
        return timing.fit(max(1, steps or timing.end_step or 1))

    def _kernel_states(self) -> tuple[KernelState, ...]:
        return tuple(
            KernelState(choice.kernel.path, choice.kernel.shape, choice.target) for choice in self._choices
        )
