"""Write a page for each model of a scan, into a new folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import partial
from pathlib import Path
from urllib.parse import quote

from modelinspect import api
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass
from modelinspect.errors import InvariantError, ModelInspectError, OutputError, UsageError
from modelinspect.reports.scan import ScanReport
from modelinspect.shrinking.writing import publish, staging

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST = 60
"""Characters of a model's name that the name of its page keeps."""
_Outcome = tuple[str, str | None]
"""The name of a page, and why it was not written."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How the models are inspected for their pages, the command that the pages name, and the address of the
    table that links to them, seen from their folder.
    """

    measure: bool = True
    limits: Limits | None = None
    command: str = ""
    back: str = ""


def require_new_folder(folder: Path) -> None:
    """Raise `UsageError` where the folder for pages exists, or where its parent does not."""
    if os.path.lexists(folder):
        raise UsageError(f"{folder}: exists; name a new folder for the pages")
    if not folder.absolute().parent.is_dir():
        raise UsageError(
            f"{folder.absolute().parent}: is not a folder; make it before the pages are written to it"
        )


def page_name(index: int, location: str) -> str:
    """Return the file name of a page: a number, which makes it unique, and what is safe of the model's
    name.
    """
    name = _UNSAFE.sub("-", location.rstrip("/").rpartition("/")[2])[-_LONGEST:].strip("-.")
    return f"{index:04d}-{name or 'model'}.html"


def write_pages(
    report: ScanReport,
    folder: Path,
    settings: PageSettings,
    workers: Callable[[], Executor],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Inspect each model again and write its page; return the pages and the problems, both by location.

    The folder appears when all pages are written, or not at all. ``workers`` makes an executor: where one of
    its processes is killed, the rest get a new one. Raises `UsageError` where the folder exists,
    `OutputError`.
    """
    require_new_folder(folder)
    locations = [row.location for row in report.artifacts if row.problem is None]
    names: dict[str, Path] = {}
    problems: dict[str, str] = {}
    with staging(folder.absolute()) as stage:
        pages = stage / "pages"
        pages.mkdir()
        work = partial(_write_page, folder=pages, settings=settings)
        for done, (location, (name, problem)) in enumerate(
            zip(locations, _outcomes(workers, work, locations), strict=True), 1
        ):
            if problem is None:
                names[location] = folder / name
            else:
                problems[location] = problem
            if progress is not None:
                progress(done, len(locations))
        publish(pages, folder.absolute())
    return names, problems


def links(pages: dict[str, Path], output: Path | None) -> dict[str, str]:
    """Return relative links to the pages from a page in ``output``, or in the current folder."""
    start = Path.cwd() if output is None else output.absolute().parent
    return {location: _link(page.absolute(), start) for location, page in pages.items()}


def link_back(output: Path | None, folder: Path) -> str:
    """Return a relative link from the pages in a folder to the table of models; none to standard output."""
    return "" if output is None else _link(output.absolute(), folder.absolute())


def _link(page: Path, start: Path) -> str:
    try:
        return quote(os.fsencode(Path(os.path.relpath(page, start)).as_posix()))
    except ValueError:  # on another drive of Windows
        return page.as_uri()


def _outcomes(
    workers: Callable[[], Executor], work: Callable[[tuple[int, str]], _Outcome], locations: Sequence[str]
) -> Iterator[_Outcome]:
    """Yield the outcome of each location, in order.

    A killed process ends the executor: its task has failed, the next get a new one.
    """
    tasks = list(enumerate(locations, 1))
    while tasks:
        with workers() as executor:
            try:
                for _, outcome in zip(list(tasks), executor.map(work, list(tasks)), strict=True):
                    tasks.pop(0)
                    yield outcome
            except BrokenExecutor:
                pass
        if tasks:
            yield _alone(workers, work, tasks.pop(0))


def _alone(
    workers: Callable[[], Executor], work: Callable[[tuple[int, str]], _Outcome], task: tuple[int, str]
) -> _Outcome:
    """Return the outcome of a task that has an executor to itself: whether it was this one that killed its
    process shows then.
    """
    try:
        with workers() as executor:
            return executor.submit(work, task).result()
    except BrokenExecutor:
        return page_name(*task), "the process that wrote its page was killed"


def _write_page(task: tuple[int, str], *, folder: Path, settings: PageSettings) -> _Outcome:
    """Write one page, in this process or another. Raises `OutputError`."""
    from modelinspect.renderers.html.page import page

    index, location = task
    name = page_name(index, location)
    try:
        report = api.inspect(location, measure=settings.measure, limits=settings.limits, pictures=True)
        text = page(report, command=settings.command, back=settings.back)
    except InvariantError:
        raise
    except (ModelInspectError, OSError) as error:
        return name, str(error)
    except MemoryError:
        return name, "there is not enough memory to draw it"
    try:
        (folder / name).write_text(text, encoding="ascii", newline="")
    except OSError as error:
        raise OutputError(f"{name}: cannot be written: {error.strerror or error}") from error
    return name, None
