"""What tfmot's schedules do to a run, foretold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelinspect.pruning.errors import JobError
from modelinspect.pruning.job import ScheduleWish
from modelinspect.pruning.schedules import (
    ConstantSchedule,
    PolynomialSchedule,
    Schedule,
    last_turn,
    reached_sparsity,
    schedule_warnings,
    sparsity_at,
    steps_needed,
    validate_schedule,
)


def walk(schedule: Schedule, steps: int) -> float:
    """Prune as tfmot's wrapper does: step by step, counting from 1."""
    sparsity = 0.0
    for step in range(1, steps + 1):
        in_range = step >= schedule.begin_step and (schedule.end_step < 0 or step <= schedule.end_step)
        if in_range and (step - schedule.begin_step) % schedule.frequency == 0:
            sparsity = sparsity_at(schedule, step)
    return sparsity


constants = st.builds(
    ConstantSchedule,
    st.just(0.5),
    st.integers(0, 30),
    st.one_of(st.just(-1), st.integers(30, 80)),
    st.integers(1, 40),
)
polynomials = st.builds(
    PolynomialSchedule,
    st.just(0.1),
    st.just(0.8),
    st.integers(0, 30),
    st.integers(31, 80),
    st.just(3.0),
    st.integers(1, 40),
)


@given(st.one_of(constants, polynomials), st.integers(0, 120))
def test_the_reached_sparsity_is_that_of_walking_the_run_step_by_step(schedule: Schedule, steps: int) -> None:
    assert reached_sparsity(schedule, steps) == pytest.approx(walk(schedule, steps))


@given(st.one_of(constants, polynomials))
def test_the_steps_needed_are_enough_and_one_fewer_is_not(schedule: Schedule) -> None:
    needed = steps_needed(schedule)
    if needed is None:
        assert walk(schedule, 500) != pytest.approx(schedule.target)
        return
    assert walk(schedule, needed) == pytest.approx(schedule.target)
    assert walk(schedule, needed - 1) != pytest.approx(schedule.target)


def test_a_constant_schedule_never_prunes_in_a_run_shorter_than_its_frequency() -> None:
    schedule = ConstantSchedule(0.8, begin_step=0, frequency=100)
    assert last_turn(schedule, 99) is None
    assert schedule_warnings(schedule, 99) == (
        "the run of 99 steps reaches 0.0% of the target's 80.0% sparsity: the schedule needs 100 steps",
    )


def test_an_end_step_off_the_frequency_is_said_never_to_reach_the_target() -> None:
    (message,) = schedule_warnings(PolynomialSchedule(0.0, 0.8, 0, 150, 3.0, 100), 1000)
    assert "at step 100" in message
    assert "whole number of frequencies" in message


def test_a_long_enough_run_has_no_warning() -> None:
    assert schedule_warnings(PolynomialSchedule(0.0, 0.8, 0, 200, 3.0, 100), 200) == ()


@given(st.integers(1, 100_000), st.sampled_from(["constant", "polynomial"]))
def test_a_fitted_schedule_reaches_its_target_within_the_run(steps: int, kind: str) -> None:
    schedule = ScheduleWish(kind, 0.8).fit(steps)
    assert reached_sparsity(schedule, steps) == pytest.approx(0.8)


@given(st.integers(1, 5000), st.integers(0, 50))
def test_a_frequency_that_is_fitted_to_a_given_end_step_reaches_the_target(end: int, begin: int) -> None:
    schedule = ScheduleWish("polynomial", 0.8, begin_step=begin, end_step=begin + end).fit(10_000)
    assert reached_sparsity(schedule, 10_000) == pytest.approx(0.8)


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantSchedule(1.2),
        ConstantSchedule(1.0),
        ConstantSchedule(-0.1),
        ConstantSchedule(0.5, begin_step=-1),
        ConstantSchedule(0.5, begin_step=10, end_step=5),
        ConstantSchedule(0.5, end_step=-2),
        ConstantSchedule(0.5, frequency=0),
        PolynomialSchedule(0.0, float("nan"), 0, 10),
        PolynomialSchedule(1.0, 0.5, 0, 10),
        PolynomialSchedule(0.0, 0.5, 10, 10),
        PolynomialSchedule(0.0, 0.5, 0, -1),
        PolynomialSchedule(0.0, 0.5, 0, 10, power=0),
    ],
)
def test_what_tfmot_refuses_is_refused_before_it_is_started(schedule: Schedule) -> None:
    with pytest.raises(JobError):
        validate_schedule(schedule)
