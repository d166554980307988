"""Do a whole study, here or under several TensorFlow releases, and write its tables and plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

from modelinspect.errors import MissingExtraError
from modelinspect.pruning.artifacts import Inspect
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.folder import output_error
from modelinspect.pruning.job import Job
from modelinspect.pruning.process import check_extra
from modelinspect.pruning.release_tables import release_markdown
from modelinspect.pruning.releases import RunCommand, environment_of
from modelinspect.pruning.stage import Watch, prune
from modelinspect.pruning.study_plan import Run
from modelinspect.pruning.study_plots import plots
from modelinspect.pruning.study_run import Progress, Prune, RunError, do_study, results_of
from modelinspect.pruning.study_tables import COLUMNS, Row, markdown, tidy, write_csv, write_parquet
from modelinspect.reports.manifest import PruneReport

Tell = Callable[[Progress], None]
RELEASE_COLUMNS = ("release", *COLUMNS)


class Outcome(Struct, frozen=True):
    """The result of a study: how many cells there are, their tables as Markdown, what could not be done and
    why, and notes.
    """

    cell_count: int
    tables: str
    failed: tuple[RunError, ...]
    notes: tuple[str, ...]


def study(
    runs: Sequence[Run],
    target: Path,
    inspect: Inspect,
    *,
    workers: int | None = None,
    tell: Tell | None = None,
    do: Prune | None = None,
) -> Outcome:
    """Do the runs that are not in the target yet, and write all tables and plots.

    Raises `OutputError`, `MissingExtraError`.
    """
    if do is None:
        for engine in sorted({run.job.engine for run in runs}):
            check_extra(Engine(engine))
    failed = do_study(runs, target, inspect, workers=workers, tell=tell, do=do)
    rows = tidy(results_of(runs, target))
    try:
        drawn = plots(rows)
        if drawn:
            (target / "plots").mkdir(exist_ok=True)
        for name, text in drawn.items():
            (target / "plots" / name).write_text(text, encoding="utf-8")
        tables = markdown(rows)
        (target / "tables.md").write_text(
            markdown(rows, [f"plots/{name}" for name in drawn]), encoding="utf-8"
        )
        notes = _write(rows, target, COLUMNS)
    except OSError as problem:
        raise output_error(target, problem) from problem
    return Outcome(len(rows), tables, failed, notes)


def release_study(
    runs: Sequence[Run],
    releases: Sequence[str],
    target: Path,
    inspect: Inspect,
    *,
    workers: int | None = None,
    tell: Tell | None = None,
    do: Callable[[Sequence[str]], Prune] | None = None,
    install: RunCommand | None = None,
) -> Outcome:
    """Do the runs under each release in its own environment, and write what the releases change.

    Raises `OutputError`.

    A release that cannot be installed is a row with the reason. ``do`` makes what prunes from the command
    that starts the worker.
    """
    rows: list[Row] = []
    failed: list[RunError] = []
    versions: dict[str, Mapping[str, str]] = {}
    missing: dict[str, str] = {}
    for release in releases:
        folder = target / "releases" / release
        environment = environment_of(release, folder, install)
        if environment.reason:
            missing[release] = environment.reason
            continue
        errors = do_study(
            runs, folder, inspect, workers=workers, tell=tell, do=(do or _under)(environment.worker)
        )
        failed += [RunError(f"{release}: {error.key}", error.reason) for error in errors]
        results = results_of(runs, folder)
        if not results:
            missing[release] = errors[0].reason if errors else "the recipe has no runs"
            continue
        versions[release] = results[0][1].versions
        rows += [{"release": release, **row} for row in tidy(results)]
    try:
        target.mkdir(parents=True, exist_ok=True)
        tables = release_markdown(rows, versions, missing)
        (target / "releases.md").write_text(tables, encoding="utf-8")
        notes = _write(rows, target, RELEASE_COLUMNS)
    except OSError as problem:
        raise output_error(target, problem) from problem
    return Outcome(
        len(rows),
        tables,
        tuple(failed),
        (*(f"TensorFlow {name}: {reason}" for name, reason in missing.items()), *notes),
    )


def _write(rows: Sequence[Row], target: Path, columns: Sequence[str]) -> tuple[str, ...]:
    write_csv(rows, target / "table.csv", columns)
    try:
        write_parquet(rows, target / "table.parquet")
    except MissingExtraError as problem:
        return (str(problem),)
    return ()


def _under(worker: Sequence[str]) -> Prune:
    return partial(_prune, worker)


def _prune(worker: Sequence[str], job: Job, target: Path, inspect: Inspect, watch: Watch) -> PruneReport:
    return prune(job, target, inspect=inspect, watch=watch, worker=worker)
