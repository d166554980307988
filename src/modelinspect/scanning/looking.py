"""Inspect the artifacts of a batch, in this process or another: each gives one outcome, whatever goes
wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelinspect import api
from modelinspect.core.limits import Limits
from modelinspect.errors import (
    FormatError,
    InvariantError,
    LimitError,
    LocationError,
    MissingExtraError,
    ModelInspectError,
    SourceChangedError,
    TruncatedError,
    UnknownFormatError,
    UnsupportedFeatureError,
)
from modelinspect.formats.discovery import HEAD, is_model, may_be_model
from modelinspect.reports.check import CheckEntry
from modelinspect.reports.entries import TensorEntry
from modelinspect.reports.inspect import InspectReport
from modelinspect.reports.lint import LintFinding
from modelinspect.reports.scan import Failure, ScanRow
from modelinspect.scanning.tasks import Task, current_mark, state_of
from modelinspect.sources.opening import open_location


class Verdict(StrEnum):
    """What became of a task."""

    ROW = "row"
    OTHER = "other"
    """Its bytes are not those of a model."""
    UNCHANGED = "unchanged"
    """It has the mark of an earlier scan."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found at a task; ``tensors`` only where they were asked for, ``mark`` where marks were."""

    verdict: Verdict
    row: ScanRow | None = None
    tensors: tuple[TensorEntry, ...] = ()
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of lint to run: ids, patterns or groups, as `modelinspect.lint` takes them."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Questions:
    """What a scan asks of each artifact."""

    measure: bool = True
    limits: Limits | None = None
    lint: Rules | None = None
    budget: Mapping[str, Any] | None = None
    tensors: bool = False
    marks: bool = False
    options: str = ""
    """What the rows of a dataset say about these questions."""


Begin = Callable[[int], None]
"""Is called with the index of a task before it is looked at."""


def look(tasks: Sequence[Task], begin: Begin, questions: Questions) -> list[Outcome]:
    """Return the outcome of each task, in their order."""
    outcomes: list[Outcome] = []
    for index, task in enumerate(tasks):
        begin(index)
        outcomes.append(_outcome(task, questions))
    return outcomes


def failed(task: Task, failure: Failure, problem: str) -> Outcome:
    """Return the outcome of a task whose process ended with it."""
    return Outcome(
        Verdict.ROW, ScanRow(location=task.location, problem=problem, error=failure), mark=task.mark or ""
    )


def _outcome(task: Task, questions: Questions) -> Outcome:
    mark = task.mark or ""
    try:
        if not task.is_named and not is_artifact(task.location, questions.limits):
            return Outcome(Verdict.OTHER)
        if questions.marks and task.mark is None:
            mark = current_mark(task.location, questions.limits)
        if task.known is not None and state_of(mark, questions.options) == task.known:
            return Outcome(Verdict.UNCHANGED)
        row, tensors = _inspect(task.location, questions)
    except (ModelInspectError, OSError) as error:
        return Outcome(
            Verdict.ROW,
            ScanRow(location=task.location, problem=_problem(error), error=_failure(error)),
            mark=mark,
        )
    except MemoryError:
        problem = "there is not enough memory to inspect it"
        return Outcome(
            Verdict.ROW, ScanRow(location=task.location, problem=problem, error=Failure.MEMORY), mark=mark
        )
    except Exception as error:  # noqa: BLE001 - a mistake of ours costs one row that says so, and not the scan
        problem = (
            f"{type(error).__name__}: {error}; this is a bug in modelinspect, please report it with the file"
        )
        return Outcome(
            Verdict.ROW, ScanRow(location=task.location, problem=problem, error=Failure.BUG), mark=mark
        )
    return Outcome(Verdict.ROW, row, tensors, mark)


def is_artifact(location: str, limits: Limits | None) -> bool:
    """Return whether a file that no name gives away is a model: one small read first, a closer look only
    where it may be one.
    """
    try:
        with open_location(location, limits) as files:
            if files.primary is None:
                return False
            source = files.open(files.primary)
            return may_be_model(source.read_at(0, min(HEAD, source.size))) and is_model(files, limits)
    except (
        ModelInspectError,
        OSError,
    ):  # it cannot be read: not a row of a scan, and counted with the others
        return False


def _inspect(location: str, questions: Questions) -> tuple[ScanRow, tuple[TensorEntry, ...]]:
    report = api.inspect(location, measure=questions.measure, limits=questions.limits)
    lint: tuple[LintFinding, ...] | None = None
    checks: tuple[CheckEntry, ...] | None = None
    if questions.lint is not None:
        lint = _lint(location, questions, questions.lint)
    if questions.budget is not None:
        checks = api.check(location, questions.budget, growth=False, limits=questions.limits).checks
    return _row(location, report, lint, checks), report.tensors if questions.tensors else ()


def _lint(location: str, questions: Questions, rules: Rules) -> tuple[LintFinding, ...]:
    report = api.lint(
        location, select=rules.select, ignore=rules.ignore, measure=questions.measure, limits=questions.limits
    )
    return report.findings


def _row(
    location: str,
    report: InspectReport,
    lint: tuple[LintFinding, ...] | None,
    checks: tuple[CheckEntry, ...] | None,
) -> ScanRow:
    model = report.parameters()
    zeros = [entry.zero_count for entry in model]
    return ScanRow(
        location=location,
        format=report.artifact.format,
        size=report.artifact.size,
        members=len(report.artifact.members),
        tensors=len(report.tensors),
        parameters=sum(entry.element_count for entry in model),
        zero_parameters=(
            sum(count or 0 for count in zeros) if any(count is not None for count in zeros) else None
        ),
        categories=report.categories,
        findings=tuple(sorted({entry.rule for entry in report.findings})),
        diagnostics=report.diagnostic_count,
        lint=lint,
        checks=checks,
    )


_FAILURES: tuple[tuple[type[BaseException], Failure], ...] = (
    (InvariantError, Failure.BUG),
    (LimitError, Failure.LIMIT),
    (UnsupportedFeatureError, Failure.UNSUPPORTED),
    (TruncatedError, Failure.TRUNCATED),
    (FormatError, Failure.FORMAT),
    (UnknownFormatError, Failure.UNKNOWN_FORMAT),
    (SourceChangedError, Failure.CHANGED),
    (MissingExtraError, Failure.MISSING_EXTRA),
    (LocationError, Failure.LOCATION),
    (OSError, Failure.SYSTEM),
)
"""The first type that fits an error names its failure."""


def _failure(error: BaseException) -> Failure:
    return next((failure for kind, failure in _FAILURES if isinstance(error, kind)), Failure.FORMAT)


def _problem(error: BaseException) -> str:
    bug = (
        "; this is a bug in modelinspect, please report it with the file"
        if isinstance(error, InvariantError)
        else ""
    )
    return f"{error}{bug}"
