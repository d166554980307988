"""Run every family of options and put what they say in order."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from modelinspect.analyses.plan.base import (
    LATE,
    MOST_ERROR,
    Basis,
    Family,
    LeftOut,
    Note,
    Option,
    Outcome,
    Planning,
)
from modelinspect.analyses.plan.entropy import tensor_plans
from modelinspect.errors import FormatError, UsageError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.reports.entries import artifact_entry, diagnostic_entry
from modelinspect.reports.plan import OptionEntry, PlanReport, group_of, is_tflite_form

FAMILIES: tuple[str, ...] = (
    "transport",
    "zeros",
    "training_state",
    "duplicates",
    "hdf5",
    "shrink",
    "conversion",
    "keras_quantization",
    "slow_transport",
    "entropy",
)
"""The modules of this package that hold a ``FAMILY``."""


def families() -> list[Family]:
    """Load every family."""
    return [import_module(f"modelinspect.analyses.plan.{name}").FAMILY for name in FAMILIES]


def option_names() -> tuple[str, ...]:
    """Return the names of all options, sorted."""
    return tuple(sorted(name for family in families() for name in family.options))


def check_names(names: frozenset[str]) -> None:
    """Raise `UsageError` for an option that does not exist."""
    unknown = sorted(names - set(option_names()))
    if unknown:
        raise UsageError(f"there is no option {unknown[0]!r}; there are {', '.join(option_names())}")


def find_options(planning: Planning) -> PlanReport:
    """Compute every option that applies, the smallest first."""
    subject = planning.subject
    outcomes = list(run_families(planning))
    options, rough = _sure_enough([one for one in outcomes if isinstance(one, Option)], planning)
    options.sort(key=lambda option: (option.size, option.option))
    is_converted = any(is_tflite_form(option.option) for option in options)
    return PlanReport(
        artifact=artifact_entry(subject.artifact),
        measured=subject.measurements is not None,
        options=tuple(option_entry(option, subject.size) for option in options),
        tensors=tensor_plans(planning) if subject.measurements is not None else (),
        notes=tuple(one.text for one in outcomes if isinstance(one, Note)),
        left_out=tuple(one.text for one in (*outcomes, *rough) if isinstance(one, LeftOut)),
        late=sum(len(one.options) for one in outcomes if isinstance(one, LeftOut) and one.is_late),
        tensorflow=planning.release.version if is_converted else None,
        diagnostics=tuple(diagnostic_entry(found) for found in subject.artifact.diagnostics),
    )


def run_families(planning: Planning) -> Iterator[Outcome]:
    """Compute the options that are wanted and apply; what could not be computed is `LeftOut`."""
    subject = planning.subject
    for family in families():
        wanted = tuple(filter(planning.wants, family.options))
        is_unread = family.reads_weights and subject.measurements is None
        if not wanted or is_unread or subject.artifact.format not in family.formats:
            continue
        if planning.is_late:
            yield LeftOut(wanted, f"not computed: {LATE}", is_late=True)
            continue
        done: set[str] = set()
        try:
            for outcome in family.find(planning):
                if not isinstance(outcome, Option):
                    done.update(outcome.options if isinstance(outcome, LeftOut) else ())
                    yield outcome
                elif planning.wants(outcome.option):
                    done.add(outcome.option)
                    planning.found(outcome)
                    yield outcome
                    planning.reached = min(_least(outcome), planning.reached or outcome.size)
        except (FormatError, UnmeasurableError) as error:
            if left := tuple(name for name in wanted if name not in done):
                yield LeftOut(left, f"not computed: {error}", is_late=planning.is_late)


def _least(option: Option) -> int:
    """Return the smallest size that an option may have, of the file or, where no weight changes, of its
    download.
    """
    size = int(option.size * (1 - (option.error or 0.0)))
    return min(size, option.download_size) if option.lossless and option.download_size is not None else size


def _sure_enough(options: list[Option], planning: Planning) -> tuple[list[Option], tuple[LeftOut, ...]]:
    """Return the options whose size is known well, and those that were asked for by name; a rough guess is
    not a plan.
    """
    if planning.wanted:
        return options, ()
    rough = [
        option for option in options if option.basis is Basis.ESTIMATE and (option.error or 0.0) > MOST_ERROR
    ]
    if not rough:
        return options, ()
    reason = (
        f"not predicted within {MOST_ERROR:.0%} for this artifact; make the file and inspect it, or see the"
        " guess with --only"
    )
    return [option for option in options if option not in rough], (
        LeftOut(tuple(sorted(option.option for option in rough)), reason),
    )


def option_entry(option: Option, size: int) -> OptionEntry:
    """Return an option as a report has it."""
    return OptionEntry(
        option=option.option,
        size=option.size,
        delta=option.size - size,
        basis=str(option.basis),
        error=option.error,
        download_size=option.download_size,
        lossless=option.lossless,
        group=group_of(option.option),
        loads_as=option.loads_as,
        command=option.command,
        notes=option.notes,
    )
