"""Inspect many artifacts on any executor, into one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial

from modelinspect import api
from modelinspect.core.limits import Limits
from modelinspect.errors import InvariantError, ModelInspectError
from modelinspect.formats.discovery import HEAD, group, is_model, may_be_model
from modelinspect.reports.scan import ScanReport, ScanRow
from modelinspect.sources.files import FileSet
from modelinspect.sources.opening import open_location

_BLOB = re.compile(r"(?:^|/)models--[^/]+/blobs/[0-9a-f]{40,64}$")
"""Files of the Hugging Face cache by their hashes."""
Progress = Callable[[int, int], None]
"""Receives how many artifacts are done, and how many there are."""


def scan(
    roots: Sequence[str],
    executor: Executor | None = None,
    *,
    measure: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
    again: Callable[[], Executor] | None = None,
) -> ScanReport:
    """Inspect every artifact below the roots: files, folders, remote locations.

    ``again`` makes an executor of one process, for what is left when a process of ``executor`` was killed.
    What cannot be inspected is a row with its problem; the rest goes on. Raises `ModelInspectError` for a root that
    cannot be opened.

    >>> import modelinspect as mi
    >>> [(row.location, row.size) for row in mi.scan(["original.h5", "pruned.h5"]).artifacts]
    [('original.h5', 25656), ('pruned.h5', 25656)]
    """
    locations: list[str] = []
    skipped = 0
    for root in roots:
        found, others = find_artifacts(root, limits)
        locations += found
        skipped += others
    locations = list(dict.fromkeys(locations))
    look = partial(_look, measure=measure, limits=limits)
    answers = map(look, locations) if executor is None else _answers(executor, look, locations, again)
    rows: list[ScanRow] = []
    for row in answers:
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(locations))
    return ScanReport(roots=tuple(roots), measured=measure, size=sum(row.size or 0 for row in rows), artifacts=tuple(rows), skipped=skipped)


def _answers(
    executor: Executor, look: Callable[[str], ScanRow], locations: Sequence[str], again: Callable[[], Executor] | None
) -> Iterator[ScanRow]:
    """Yield a row for each location, in order, also where the process that inspects one is killed: that one is a row with its problem."""
    futures: list[Future[ScanRow]] = []
    for location in locations:
        try:
            futures.append(executor.submit(look, location))
        except BrokenExecutor:
            break
    for index, location in enumerate(locations):
        try:
            if index < len(futures):
                yield futures[index].result()
                continue
        except BrokenExecutor:
            pass  # it was killed, or waited after one that was: it gets its own process
        yield _alone(look, location, again)


def _alone(look: Callable[[str], ScanRow], location: str, again: Callable[[], Executor] | None) -> ScanRow:
    if again is not None:
        try:
            with again() as executor:
                return executor.submit(look, location).result()
        except BrokenExecutor:
            pass
    return ScanRow(location=location, problem="the process that inspected it was killed, perhaps for want of memory")


def find_artifacts(root: str, limits: Limits | None = None) -> tuple[list[str], int]:
    """Return the artifacts below a root and how many other files there are. A file is taken as it is.

    Files whose name says nothing are looked into: what begins as a model does, and is one, is an artifact too.
    """
    base = root.rstrip("/") or "/"
    with open_location(root, limits) as files:
        if files.primary is not None:
            return [root], 0
        listed = files.names()
        names = [name for name in listed if not _BLOB.search(f"{base}/{name}")]  # links of snapshots lead to them
        found, skipped = group(names, partial(_is_model, files, base, limits))
        skipped += len(listed) - len(names)
    return [base if name == "." else f"{base.rstrip('/')}/{name}" for name in found], skipped


def _is_model(files: FileSet, base: str, limits: Limits | None, name: str) -> bool:
    try:
        source = files.open(name)
        if not may_be_model(source.read_at(0, min(HEAD, source.size))):
            return False
        with open_location(f"{base.rstrip('/')}/{name}", limits) as alone:
            return is_model(alone, limits)
    except (ModelInspectError, OSError):  # it cannot be read: no row of a scan, and counted with the others
        return False


def _look(location: str, *, measure: bool, limits: Limits | None) -> ScanRow:
    """Inspect one artifact, in this process or another."""
    try:
        report = api.inspect(location, measure=measure, limits=limits)
    except InvariantError:
        raise
    except (ModelInspectError, OSError) as error:
        return ScanRow(location=location, problem=str(error))
    except MemoryError:
        return ScanRow(location=location, problem="there is not enough memory to inspect it")
    model = [entry for entry in report.tensors if entry.role in ("weight", "statistic")]
    zeros = [entry.zero_count for entry in model]
    return ScanRow(
        location=location,
        format=report.artifact.format,
        size=report.artifact.size,
        members=len(report.artifact.members),
        tensors=len(report.tensors),
        parameters=sum(entry.element_count for entry in model),
        zero_parameters=sum(count or 0 for count in zeros) if any(count is not None for count in zeros) else None,
        categories=report.categories,
        findings=tuple(sorted({entry.rule for entry in report.findings})),
        diagnostics=report.diagnostic_count,
    )
