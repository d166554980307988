"""Do a whole study, here or under several TensorFlow releases, and write its tables and plots.

What a release changes is a table: the same cells side by side, and which categories differ.
"""

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
from modelinspect.pruning.releases import RunCommand, environment_of
from modelinspect.pruning.stage import Watch, prune
from modelinspect.pruning.study_plan import Run
from modelinspect.pruning.study_plots import plots
from modelinspect.pruning.study_run import Progress, Prune, RunError, do_study, results_of
from modelinspect.pruning.study_tables import (
    CATEGORIES,
    COLUMNS,
    Row,
    markdown,
    markdown_table,
    tidy,
    values,
    write_csv,
    write_parquet,
)
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
        tables = _release_markdown(rows, versions, missing)
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


_CELL = ("architecture", "schedule", "target", "pattern", "stage", "method")
_PACKAGES = ("tensorflow", "tf_keras", "tensorflow_model_optimization", "h5py", "hdf5", "numpy", "python")
"""What each release ran with, as its results say."""


def _release_markdown(
    rows: Sequence[Row], versions: Mapping[str, Mapping[str, str]], missing: Mapping[str, str]
) -> str:
    """Return the tables.

    ``versions`` and ``missing`` (the reasons) are by release, ``rows`` have a column ``release``.
    """
    releases = list(versions)
    parts = ["# The same cells under several TensorFlow releases\n", _versions(versions, missing)]
    if len(releases) > 1:
        cells = _cells(rows)
        changed = {
            cell: found
            for cell, found in cells.items()
            if len({_outcome(found.get(release)) for release in releases}) > 1
        }
        same = len(cells) - len(changed)
        parts.append(
            f"{len(cells):,} cells; {same:,} have the same size under every release, {len(changed):,} do"
            " not.\n"
        )
        if changed:
            lines = [
                [
                    " ".join(str(part) for part in (cell[0], cell[4], cell[5])),
                    *(_outcome(found.get(release)) for release in releases),
                    _difference(found.get(releases[0]), found.get(releases[-1])),
                ]
                for cell, found in changed.items()
            ]
            heads = ["cell", *releases, f"what differs, {releases[0]} to {releases[-1]}"]
            parts.append(markdown_table("What the release changes, bytes", heads, lines))
    return "\n".join(parts)


def _versions(versions: Mapping[str, Mapping[str, str]], missing: Mapping[str, str]) -> str:
    lines = [
        [release, *(found.get(name, "") for name in _PACKAGES), ""] for release, found in versions.items()
    ]
    lines += [[release, *("" for _ in _PACKAGES), reason] for release, reason in missing.items()]
    return markdown_table("Releases", ["release", *_PACKAGES, "why not"], lines)


def _cells(rows: Sequence[Row]) -> dict[tuple[object, ...], dict[str, Row]]:
    found: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in rows:
        if not str(row["method"]).endswith(".gz"):
            found.setdefault(tuple(row[name] for name in _CELL), {})[str(row["release"])] = row
    return found


def _outcome(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{row['size']:,}" if isinstance(row["size"], int) else "not made"


def _difference(before: Row | None, after: Row | None) -> str:
    if before is None or after is None:
        return ""
    deltas = []
    for name in CATEGORIES:
        one, other = before[name], after[name]
        if isinstance(one, int) and isinstance(other, int) and one != other:
            deltas.append((abs(other - one), f"{name.replace('_', '-')} {other - one:+,}"))
    reasons = values([row for row in (before, after) if row["reason"]], "reason")
    return ", ".join(text for _, text in sorted(deltas, reverse=True)) or "; ".join(map(str, reasons))
