"""What tfmot's pruning schedules do to a run of so many training steps, without running it.

tfmot 0.8.1 counts from 1: ``UpdatePruningStep`` sets ``pruning_step`` to 0 before the first batch and each
batch adds 1 before it asks the schedule (pruning_wrapper.py, ``call``). Masks change only at a *turn*: a step
of ``[begin_step, end_step]`` whose distance from ``begin_step`` is a multiple of ``frequency``
(pruning_schedule.py, ``_should_prune_in_step``).
"""

from __future__ import annotations

from msgspec import Struct, structs

from modelinspect.pruning.errors import JobError

FOREVER = -1
"""tfmot's ``end_step`` of a constant schedule that never ends."""


class ConstantSchedule(Struct, frozen=True, tag="constant"):
    """One sparsity from the first turn on."""

    sparsity: float
    begin_step: int = 0
    end_step: int = FOREVER
    frequency: int = 100

    @property
    def target(self) -> float:
        """The sparsity that a long enough run reaches."""
        return self.sparsity


class PolynomialSchedule(Struct, frozen=True, tag="polynomial"):
    """A sparsity that grows from one step to another, fast at first."""

    initial_sparsity: float
    final_sparsity: float
    begin_step: int
    end_step: int
    power: float = 3.0
    frequency: int = 100

    @property
    def target(self) -> float:
        """The sparsity that a long enough run reaches."""
        return self.final_sparsity


Schedule = ConstantSchedule | PolynomialSchedule


def validate_schedule(schedule: Schedule) -> None:
    """Raise `JobError` for what tfmot refuses, and for what it accepts and cannot do."""
    match schedule:
        case ConstantSchedule():
            _check_sparsity("sparsity", schedule.sparsity)
            if schedule.end_step < FOREVER:
                raise JobError(
                    f"the end step must be {FOREVER} (never) or 0 and more, not {schedule.end_step}"
                )
            endless = schedule.end_step == FOREVER
        case PolynomialSchedule():
            _check_sparsity("initial sparsity", schedule.initial_sparsity)
            _check_sparsity("sparsity", schedule.final_sparsity)
            if schedule.power <= 0:
                raise JobError(f"the power must be above 0, not {schedule.power:g}")
            endless = False
    if schedule.begin_step < 0:
        raise JobError(f"the begin step must be 0 or more, not {schedule.begin_step}")
    if not endless and schedule.end_step < schedule.begin_step:
        raise JobError(f"the end step ({schedule.end_step}) is before the begin step ({schedule.begin_step})")
    if isinstance(schedule, PolynomialSchedule) and schedule.end_step == schedule.begin_step:
        raise JobError(
            f"a polynomial schedule needs an end step after its begin step ({schedule.begin_step})"
        )
    if schedule.frequency < 1:
        raise JobError(f"the frequency must be 1 or more, not {schedule.frequency}")


def sparsity_at(schedule: Schedule, step: int) -> float:
    """Return the sparsity that the schedule asks for at a step, turn or not."""
    match schedule:
        case ConstantSchedule():
            return schedule.sparsity
        case PolynomialSchedule():
            passed = (step - schedule.begin_step) / (schedule.end_step - schedule.begin_step)
            left = 1.0 - min(1.0, max(0.0, passed))
            return float(
                schedule.final_sparsity
                + (schedule.initial_sparsity - schedule.final_sparsity) * left**schedule.power
            )


def is_turn(schedule: Schedule, step: int) -> bool:
    """Return whether masks change at a step (1 is the first)."""
    if step < schedule.begin_step or (schedule.end_step != FOREVER and step > schedule.end_step):
        return False
    return (step - schedule.begin_step) % schedule.frequency == 0


def with_target(schedule: Schedule, target: float) -> Schedule:
    """Return the schedule with another sparsity at its end."""
    match schedule:
        case ConstantSchedule():
            return structs.replace(schedule, sparsity=target)
        case PolynomialSchedule():
            return structs.replace(
                schedule, final_sparsity=target, initial_sparsity=min(schedule.initial_sparsity, target)
            )


def last_turn(schedule: Schedule, steps: int) -> int | None:
    """Return the last step of a run of so many steps at which masks change; None where they never do."""
    end = steps if schedule.end_step == FOREVER else min(steps, schedule.end_step)
    if end < schedule.begin_step:
        return None
    turn = end - (end - schedule.begin_step) % schedule.frequency
    return turn if turn >= 1 else None


def reached_sparsity(schedule: Schedule, steps: int) -> float:
    """Return the sparsity of the masks after a run of so many steps."""
    turn = last_turn(schedule, steps)
    return 0.0 if turn is None else sparsity_at(schedule, turn)


def steps_needed(schedule: Schedule) -> int | None:
    """Return the fewest steps that reach the target; None where no run does."""
    if schedule.target == 0.0:
        return 0
    match schedule:
        case ConstantSchedule():
            first = schedule.begin_step if schedule.begin_step >= 1 else schedule.frequency
            return first if schedule.end_step == FOREVER or first <= schedule.end_step else None
        case PolynomialSchedule():
            on_time = (schedule.end_step - schedule.begin_step) % schedule.frequency == 0
            return schedule.end_step if on_time else None


def schedule_warnings(schedule: Schedule, steps: int) -> tuple[str, ...]:
    """Say why a run of so many steps stops short of the target, and how many steps it needed."""
    reached, needed = reached_sparsity(schedule, steps), steps_needed(schedule)
    if abs(reached - schedule.target) < 0.005:
        return ()
    short = f"the run of {steps} steps reaches {reached:.1%} of the target's {schedule.target:.1%} sparsity"
    if needed is not None:
        return (f"{short}: the schedule needs {needed} steps",)
    final = last_turn(schedule, schedule.end_step)
    turn = "no step" if final is None else f"step {final}"
    return (
        (
            f"{short}: masks change every {schedule.frequency} steps from step {schedule.begin_step}, "
            f"so the last change before the end step {schedule.end_step} is at {turn}; "
            "choose an end step that is a whole number of frequencies after the begin step"
        ),
    )


def polynomial_for_run(
    steps: int,
    final_sparsity: float,
    *,
    initial_sparsity: float = 0.0,
    begin_step: int | None = None,
    end_step: int | None = None,
    power: float = 3.0,
    frequency: int | None = None,
) -> PolynomialSchedule:
    """Return a polynomial schedule; what is not given is chosen so three quarters of the run reach the
    target.
    """
    begin = 0 if begin_step is None else begin_step
    wanted = max(begin + 1, (steps * 3) // 4) if end_step is None else end_step
    every = max(1, min(100, (wanted - begin) // 10)) if frequency is None else frequency
    if frequency is None and end_step is not None and wanted > begin:
        while (wanted - begin) % every:
            every -= 1
    if end_step is None and every > 0:
        wanted = max(begin + every, wanted - (wanted - begin) % every)
    return PolynomialSchedule(initial_sparsity, final_sparsity, begin, wanted, power, every)


def constant_for_run(
    steps: int,
    sparsity: float,
    *,
    begin_step: int | None = None,
    end_step: int = FOREVER,
    frequency: int | None = None,
) -> ConstantSchedule:
    """Return a constant schedule; what is not given is chosen so a tenth of the run has passed at the first
    turn.
    """
    begin = 0 if begin_step is None else begin_step
    every = max(1, min(100, steps // 10)) if frequency is None else frequency
    return ConstantSchedule(sparsity, begin, end_step, every)


def _check_sparsity(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise JobError(f"the {name} must be at least 0 and below 1, not {value:g}")
