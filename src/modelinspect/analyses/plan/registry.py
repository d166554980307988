"""Runs every family of options and puts what they say in order."""

from __future__ import annotations

from importlib import import_module

from modelinspect.analyses.plan.base import MOST_ERROR, Basis, Family, Option, Planning
from modelinspect.analyses.plan.kernels import tensor_plans
from modelinspect.errors import FormatError, UsageError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.reports.entries import artifact_entry, diagnostic_entry
from modelinspect.reports.plan import OptionEntry, PlanReport

FAMILIES: tuple[str, ...] = ("transport", "zeros", "training_state", "duplicates", "hdf5", "archives", "conversion", "entropy")
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
    found = _sure_enough(run_families(planning), planning)
    found.sort(key=lambda option: (option.size, option.option))
    return PlanReport(
        artifact=artifact_entry(planning.artifact),
        measured=planning.measurements is not None,
        options=tuple(option_entry(option, planning.size) for option in found),
        tensors=tensor_plans(planning) if planning.measurements is not None else (),
        notes=tuple(planning.warnings),
        left_out=tuple(planning.left_out),
        diagnostics=tuple(diagnostic_entry(found) for found in planning.artifact.diagnostics),
    )


def run_families(planning: Planning) -> list[Option]:
    """Compute the options that are wanted and apply; what could not be computed is left to ``planning.left_out``."""
    found: list[Option] = []
    for family in families():
        if planning.artifact.format not in family.formats or not planning.wants(*family.options):
            continue
        if family.reads_weights and planning.measurements is None:
            continue
        try:
            found += [option for option in family.find(planning) if planning.wants(option.option)]
            planning.reached = min((option.size for option in found if option.basis is Basis.MEASURED), default=None)
        except (FormatError, UnmeasurableError) as error:
            planning.left_out.append(f"{', '.join(family.options)}: not computed: {error}")
    return found


def _sure_enough(options: list[Option], planning: Planning) -> list[Option]:
    """Return the options whose size is known well, and those that were asked for by name; a rough guess is no plan."""
    if planning.wanted:
        return options
    rough = [option for option in options if option.basis is Basis.ESTIMATE and (option.error or 0.0) > MOST_ERROR]
    if rough:
        names = ", ".join(sorted(option.option for option in rough))
        planning.left_out.append(
            f"{names}: not predicted within {MOST_ERROR:.0%} for this artifact; make the file and inspect it, or see the guess with --only"
        )
    return [option for option in options if option not in rough]


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
        loads_as=option.loads_as,
        command=option.command,
        notes=option.notes,
    )
