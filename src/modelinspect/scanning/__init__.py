"""Inspect many artifacts on any executor, into one table or a dataset of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor

from modelinspect.core.limits import Limits
from modelinspect.formats.discovery import group
from modelinspect.reports.scan import ScanReport, ScanRow
from modelinspect.scanning.engine import Engine, Progress, run
from modelinspect.scanning.looking import Outcome, Questions, Rules, Verdict, failed, look
from modelinspect.scanning.tasks import Search, Task
from modelinspect.scanning.workers import Done, Lost

__all__ = ["Progress", "Rules", "find_artifacts", "group", "scan", "scan_iter"]

Location = str | os.PathLike[str]


def scan_iter(
    roots: Sequence[Location] = (),
    *,
    locations: Iterable[Location] = (),
    executor: Executor | str | None = None,
    jobs: int | None = None,
    measure: bool = True,
    limits: Limits | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    lint: Rules | None = None,
) -> Iterator[ScanRow]:
    """Yield a row for each artifact below the roots as soon as it is inspected: exactly one, also where it could not be inspected.

    ``roots`` are files, folders and remote locations that are searched; ``locations`` are artifacts taken as they are, read as they are
    needed. Rows come in the order in which they are done, and a row that failed has a ``problem`` and an ``error``. What is held does not
    grow with the number of artifacts: at most three groups of 32 artifacts for each process are handed out and not yet yielded.

    ``executor`` is "processes" (one for each core, or ``jobs``), "threads", "dask://HOST:PORT", or an executor of ``concurrent.futures``;
    by default, processes where there are more than 8 artifacts, and none where there are fewer. ``timeout`` (seconds) ends an artifact that
    takes longer: to the second with processes; otherwise as the limits of processor time and of remote reading. ``memory`` is the address
    space of one process in bytes, by default the memory of the machine. ``lint`` adds what those rules find.

    Raises `ModelInspectError` for a root that cannot be opened, before anything is inspected.

    >>> import modelinspect as mi
    >>> sorted((row.location, row.size) for row in mi.scan_iter(["original.h5", "pruned.h5"]))
    [('original.h5', 25656), ('pruned.h5', 25656)]
    """
    search = Search([os.fspath(root) for root in roots], locations, limits)
    engine = Engine(executor, jobs, timeout, memory)
    questions = Questions(measure=measure, limits=engine.limits(limits), lint=lint)
    return (row for _, row in _rows(search, engine, questions, None))


def scan(
    roots: Sequence[Location] = (),
    executor: Executor | str | None = None,
    *,
    locations: Iterable[Location] = (),
    jobs: int | None = None,
    measure: bool = True,
    limits: Limits | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    lint: Rules | None = None,
    progress: Progress | None = None,
    again: Callable[[], Executor] | None = None,
) -> ScanReport:
    """Inspect every artifact below the roots: files, folders, remote locations. The arguments are those of `scan_iter`.

    ``again`` makes an executor of one process, for what is left when a process of ``executor`` was killed. ``progress`` receives how many
    artifacts are done, and how many have been found.
    What cannot be inspected is a row with its problem; the rest goes on. Raises `ModelInspectError` for a root that
    cannot be opened.

    >>> import modelinspect as mi
    >>> [(row.location, row.size) for row in mi.scan(["original.h5", "pruned.h5"]).artifacts]
    [('original.h5', 25656), ('pruned.h5', 25656)]
    """
    places = [os.fspath(root) for root in roots]
    search = Search(places, locations, limits)
    engine = Engine(executor, jobs, timeout, memory, again)
    questions = Questions(measure=measure, limits=engine.limits(limits), lint=lint)
    found = sorted(_rows(search, engine, questions, progress), key=lambda one: one[0].order)
    rows = tuple(row for _, row in found)
    size = sum(row.size or 0 for row in rows)
    return ScanReport(roots=tuple(places), measured=measure, size=size, artifacts=rows, skipped=search.skipped)


def find_artifacts(root: str, limits: Limits | None = None) -> tuple[list[str], int]:
    """Return the artifacts below a root and how many other files there are. A file is taken as it is.

    Files whose name says nothing are looked into: what begins as a model does, and is one, is an artifact too.
    """
    from modelinspect.scanning.looking import is_artifact

    search = Search([root], (), limits)
    found: list[Task] = []
    for task in search.tasks():
        if task.is_named or is_artifact(task.location, limits):
            found.append(task)
        else:
            search.skipped += 1
    return [task.location for task in sorted(found, key=lambda task: task.order)], search.skipped


def _rows(search: Search, engine: Engine, questions: Questions, progress: Progress | None) -> Iterator[tuple[Task, ScanRow]]:
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
