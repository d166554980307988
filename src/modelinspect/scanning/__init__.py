"""Inspect many artifacts on any executor, into one table or a dataset of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, overload

from modelinspect.api.opening import several
from modelinspect.api.showing import shown
from modelinspect.core.limits import Limits
from modelinspect.formats.discovery import group
from modelinspect.reports.scan import ScanReport, ScanRow
from modelinspect.scanning.engine import Engine, Progress, run
from modelinspect.scanning.looking import Outcome, Questions, Rules, Verdict, failed, is_artifact, look
from modelinspect.scanning.tasks import Search, Task
from modelinspect.scanning.workers import Done, Lost

if TYPE_CHECKING:
    from modelinspect.reports.dataset import DatasetReport

__all__ = ["Progress", "Rules", "find_artifacts", "group", "scan", "scan_batch", "scan_iter"]

Location = str | os.PathLike[str]
Budget = Mapping[str, Any]


def scan_iter(
    roots: Sequence[Location] | Location = (),
    *,
    locations: Iterable[Location] = (),
    executor: Executor | str | None = None,
    jobs: int | None = None,
    measure: bool = True,
    limits: Limits | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    lint: Rules | bool = False,
    budget: Budget | None = None,
) -> Iterator[ScanRow]:
    """Yield a row for each artifact below the roots as soon as it is inspected: exactly one, also where it
    could not be inspected.

    ``roots`` are files, folders and remote locations that are searched; ``locations`` are artifacts taken as
    they are, read from the iterable as they are needed. Rows come in the order in which they are done. A row
    that failed has a ``problem`` and an ``error``. What is held does not grow with the number of artifacts,
    only with the number of files in one folder: at most three groups of 64 artifacts for each process (four
    for each worker of another executor) are handed out and not yet yielded.

    ``executor`` is "processes" (one for each core, or ``jobs``), "threads", "dask://HOST:PORT", or an
    executor of ``concurrent.futures``; by default, processes where there are more than 8 artifacts, and this
    process where there are fewer. ``timeout`` (seconds) ends an artifact that takes longer: with processes to
    the second; otherwise it lowers the limits of processor time and of reading over HTTP. ``memory`` is the
    address space of one process in bytes, by default the memory of the machine. ``lint`` adds what all rules
    find, or those that ``scanning.Rules`` chooses, and ``budget`` (a table as `check` takes it) how each
    limit is kept.

    Raises `ModelInspectError` for a root that cannot be opened, before anything is inspected, and
    `UsageError` for rules that do not exist and a budget that is not valid.

    >>> import modelinspect as mi
    >>> sorted((row.location, row.size) for row in mi.scan_iter(["original.h5", "pruned.h5"]))
    [('original.h5', 25656), ('pruned.h5', 25656)]
    """
    search = Search([os.fspath(root) for root in several(roots)], locations, limits)
    engine = Engine(_usual(executor, search), jobs, timeout, memory)
    questions = Questions(
        measure=measure, limits=engine.limits(limits), lint=_rules(lint), budget=_budget(budget)
    )
    return (row for _, row in _rows(search, engine, questions, None))


@overload
def scan(
    roots: Sequence[Location] | Location = ...,
    executor: Executor | str | None = ...,
    *,
    locations: Iterable[Location] = ...,
    into: None = ...,
    resume: bool = ...,
    part_rows: int | None = ...,
    jobs: int | None = ...,
    measure: bool = ...,
    limits: Limits | None = ...,
    timeout: float | None = ...,
    memory: int | None = ...,
    lint: Rules | bool = ...,
    budget: Budget | None = ...,
    progress: Progress | None = ...,
    again: Callable[[], Executor] | None = ...,
) -> ScanReport: ...


@overload
def scan(
    roots: Sequence[Location] | Location = ...,
    executor: Executor | str | None = ...,
    *,
    locations: Iterable[Location] = ...,
    into: Location,
    resume: bool = ...,
    part_rows: int | None = ...,
    jobs: int | None = ...,
    measure: bool = ...,
    limits: Limits | None = ...,
    timeout: float | None = ...,
    memory: int | None = ...,
    lint: Rules | bool = ...,
    budget: Budget | None = ...,
    progress: Progress | None = ...,
    again: Callable[[], Executor] | None = ...,
) -> DatasetReport: ...


def scan(
    roots: Sequence[Location] | Location = (),
    executor: Executor | str | None = None,
    *,
    locations: Iterable[Location] = (),
    into: Location | None = None,
    resume: bool = False,
    part_rows: int | None = None,
    jobs: int | None = None,
    measure: bool = True,
    limits: Limits | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    lint: Rules | bool = False,
    budget: Budget | None = None,
    progress: Progress | None = None,
    again: Callable[[], Executor] | None = None,
) -> ScanReport | DatasetReport:
    """Inspect every artifact below the roots into one report, or into a dataset of Parquet files.

    Arguments are those of `scan_iter`.

    ``into`` is a folder, also one that fsspec reaches, for ``artifacts/part-*.parquet`` and
    ``tensors/part-*.parquet``: parts of ``part_rows`` artifacts (5,000), or what is there after 30 seconds,
    each written whole. With ``resume``, artifacts that are in the dataset under the same location, mark
    (sizes with times of modification, entity tags or checksums), version and options are not inspected again,
    and rows of changed ones are replaced. The report then counts, and what is held does not grow with the
    artifacts.

    ``progress`` receives how many artifacts are done, and how many have been found. ``again`` makes an
    executor of one process, for what is left when a process of ``executor`` was killed. What cannot be
    inspected is a row with its problem; the rest goes on.

    Raises `ModelInspectError` for a root that cannot be opened, `OutputError` where the dataset cannot be
    written, `MissingExtraError`.

    >>> import modelinspect as mi
    >>> [(row.location, row.size) for row in mi.scan(["original.h5", "pruned.h5"]).artifacts]
    [('original.h5', 25656), ('pruned.h5', 25656)]
    """
    places = [os.fspath(root) for root in several(roots)]
    search = Search(places, locations, limits)
    engine = Engine(_usual(executor, search), jobs, timeout, memory, again)
    questions = Questions(
        measure=measure, limits=engine.limits(limits), lint=_rules(lint), budget=_budget(budget)
    )
    if into is not None:
        from modelinspect.scanning.writing import scan_into

        return shown(
            scan_into(
                os.fspath(into),
                search,
                engine,
                questions,
                resume=resume,
                part_rows=part_rows,
                progress=progress,
            )
        )
    found = sorted(_rows(search, engine, questions, progress), key=lambda one: one[0].order)
    rows = tuple(row for _, row in found)
    size = sum(row.size or 0 for row in rows)
    return shown(
        ScanReport(roots=tuple(places), measured=measure, size=size, artifacts=rows, skipped=search.skipped)
    )


def scan_batch(
    locations: Iterable[Location],
    *,
    measure: bool = True,
    limits: Limits | None = None,
    lint: Rules | bool = False,
    tensors: bool = False,
) -> Any:
    """Inspect artifacts in this process and return a `pyarrow.Table`: one row for each location, in order,
    whatever goes wrong with it.

    A pure function for Ray, Beam, Spark or any other engine that hands out work itself. The columns are those
    of ``artifacts/`` in a dataset. ``tensors`` adds the column ``tensors_found``, lists of what ``tensors/``
    has; ``lint`` the column ``lint_found``, lists of what ``findings/`` has. Raises `MissingExtraError`
    without pyarrow.

    >>> import modelinspect as mi
    >>> mi.scan_batch(["original.h5", "pruned.h5"]).select(["location", "size"]).to_pylist()
    [{'location': 'original.h5', 'size': 25656}, {'location': 'pruned.h5', 'size': 25656}]
    """
    from modelinspect.scanning.tables import one_table

    tasks = [Task(os.fspath(location), (number, "")) for number, location in enumerate(locations)]
    questions = Questions(
        measure=measure, limits=limits, lint=_rules(lint), tensors=tensors, marks=True, options=""
    )
    return one_table(look(tasks, lambda index: None, questions), questions)


def find_artifacts(root: str, limits: Limits | None = None) -> tuple[list[str], int]:
    """Return the artifacts below a root and how many other files there are. A file is taken as it is.

    Files whose name says nothing are looked into: what begins as a model does, and is one, is an artifact
    too.
    """
    search = Search([root], (), limits)
    found: list[Task] = []
    for task in search.tasks():
        if task.is_named or is_artifact(task.location, limits):
            found.append(task)
        else:
            search.skipped += 1
    return [task.location for task in sorted(found, key=lambda task: task.order)], search.skipped


def _usual(executor: Executor | str | None, search: Search) -> Executor | str | None:
    """Return the executor; by default one that sees what is to be read: files in the memory of this process
    are nowhere else.
    """
    return (
        "threads"
        if executor is None and any(root.startswith("memory://") for root in search.roots)
        else executor
    )


def _rules(lint: Rules | bool) -> Rules | None:
    """Return the rules to run, None for none.

    Raises `UsageError` for those that do not exist, once and not for each artifact.
    """
    rules = lint if isinstance(lint, Rules) else Rules() if lint else None
    if rules is not None:
        from modelinspect.rules.registry import choose

        choose(rules.select, rules.ignore)
    return rules


def _budget(budget: Budget | None) -> Budget | None:
    """Return a budget that every artifact can be compared with. Raises `UsageError`."""
    if budget is not None:
        from modelinspect.budgets.file import make_budget
        from modelinspect.errors import UsageError

        if "models" in budget:
            raise UsageError(
                "a scan compares every artifact with the same limits, and this budget has limits for each of"
                " its [[models]]"
            )
        if make_budget(budget).growth:
            raise UsageError("a scan has no lock to measure growth against: leave growth out of its budget")
    return budget


def _rows(
    search: Search, engine: Engine, questions: Questions, progress: Progress | None
) -> Iterator[tuple[Task, ScanRow]]:
    for found in run(engine, look, questions, search.tasks(), progress):
        for task, outcome in _outcomes(found):
            if outcome.row is not None:
                yield task, outcome.row
            elif outcome.verdict is Verdict.OTHER:
                search.skipped += 1


def _outcomes(found: Done[Task, list[Outcome]] | Lost[Task]) -> Iterator[tuple[Task, Outcome]]:
    match found:
        case Done():
            yield from zip(found.batch, found.result, strict=True)
        case Lost():
            yield found.task, failed(found.task, found.failure, found.problem)
