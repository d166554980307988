"""Scan into a dataset: only what it does not hold in the same state already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace

from modelinspect.core.artifact import Severity
from modelinspect.core.limits import Limits
from modelinspect.errors import ModelInspectError
from modelinspect.reports.dataset import DatasetReport
from modelinspect.scanning.dataset import PART_ROWS, Dataset
from modelinspect.scanning.engine import Engine, Progress, run
from modelinspect.scanning.looking import Questions, failed
from modelinspect.scanning.tables import ARTIFACTS, Tables, look_into_tables, tables_of
from modelinspect.scanning.tasks import MOST, Search, Task, state_of
from modelinspect.scanning.workers import Done


@dataclass(slots=True)
class _Counts:
    scanned: int = 0
    failed: int = 0
    unchanged: int = 0
    others: int = 0


def scan_into(
    location: str,
    search: Search,
    engine: Engine,
    questions: Questions,
    *,
    resume: bool = False,
    part_rows: int | None = None,
    progress: Progress | None = None,
) -> DatasetReport:
    """Inspect what a dataset does not hold, and write it there. Raises `ModelInspectError`."""
    asked = replace(questions, tensors=True, marks=True, options=options_of(questions))
    dataset = Dataset(location, resume=resume, part_rows=part_rows or PART_ROWS)
    counts = _Counts()
    try:
        for found in run(
            engine, look_into_tables, asked, _changed(search, dataset, asked, counts), progress, MOST
        ):
            made = (
                found.result
                if isinstance(found, Done)
                else tables_of([failed(found.task, found.failure, found.problem)], asked)
            )
            dataset.add(made.tables)
            _count(made, counts)
    except BaseException:
        with suppress(ModelInspectError):
            dataset.flush()  # an interrupt costs nothing that was done
        raise
    dataset.flush()
    totals = dataset.totals()
    return DatasetReport(
        dataset=location,
        roots=tuple(search.roots),
        measured=questions.measure,
        artifacts=totals.artifacts,
        size=totals.size,
        parts=totals.parts,
        scanned=counts.scanned,
        failed=counts.failed,
        unchanged=counts.unchanged,
        skipped=search.skipped + counts.others,
        formats=dict(totals.formats),
        errors=dict(totals.errors),
        lint=None if questions.lint is None else {str(one): totals.severities[str(one)] for one in Severity},
        exceeded=None if questions.budget is None else totals.exceeded,
    )


def options_of(questions: Questions) -> str:
    """Return what changes the rows of an artifact, as JSON: another text means that it has to be inspected
    again.
    """
    limits = questions.limits or Limits()
    usual = Limits()
    named = {one.name: getattr(limits, one.name) for one in fields(Limits) if one.compare}
    asked = {
        "measure": questions.measure,
        "lint": (
            None
            if questions.lint is None
            else [*questions.lint.select, *(f"-{rule}" for rule in questions.lint.ignore)]
        ),
        "budget": questions.budget,
        "limits": {name: value for name, value in named.items() if value != getattr(usual, name)},
    }
    return json.dumps(
        {name: value for name, value in asked.items() if value not in (None, {})}, sort_keys=True, default=str
    )


def _changed(search: Search, dataset: Dataset, questions: Questions, counts: _Counts) -> Iterator[Task]:
    """Yield what the dataset does not hold in its present state; of what was not listed, a worker finds that
    out.
    """
    for task in search.tasks():
        state = dataset.state(task.location)
        if not state:
            yield task
        elif task.mark is None:
            yield replace(task, known=state)
        elif state_of(task.mark, questions.options) == state:
            counts.unchanged += 1
        else:
            yield task


def _count(made: Tables, counts: _Counts) -> None:
    counts.others += made.others
    counts.unchanged += made.unchanged
    artifacts = made.tables.get(ARTIFACTS)
    if artifacts is not None:
        counts.scanned += artifacts.num_rows
        counts.failed += artifacts.num_rows - artifacts.column("error").null_count
