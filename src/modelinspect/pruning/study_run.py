"""Do a study's runs in parallel processes, keep each result as soon as it is complete, and repeat none."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from modelinspect.errors import ModelInspectError
from modelinspect.pruning.artifacts import Inspect
from modelinspect.pruning.events import Event
from modelinspect.pruning.folder import output_error
from modelinspect.pruning.job import Job
from modelinspect.pruning.stage import Watch, prune
from modelinspect.pruning.study_plan import Run
from modelinspect.reports.manifest import PruneReport

MEMORY_OF_A_RUN = 2 * 2**30
"""What TensorFlow takes at most for one of the small architectures, in bytes."""

Prune = Callable[[Job, Path, Inspect, Watch], PruneReport]


class Progress(msgspec.Struct, frozen=True):
    """How far a study is: runs done before, done now, failed, of all."""

    kept: int
    done: int
    failed: int
    total: int


class RunError(msgspec.Struct, frozen=True):
    """A run that could not be done, kept as its result: the next time it is tried again."""

    key: str
    reason: str


def do_study(
    runs: Sequence[Run],
    target: Path,
    inspect: Inspect,
    *,
    workers: int | None = None,
    tell: Callable[[Progress], None] | None = None,
    do: Prune | None = None,
) -> tuple[RunError, ...]:
    """Do the runs whose results are not in ``target/cells`` yet, and return those that failed.

    Raises `OutputError`.
    """
    cells = target / "cells"
    try:
        cells.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise output_error(target, problem) from problem
    for left in target.glob(".run-*"):
        shutil.rmtree(
            left, ignore_errors=True
        )  # of a study that was killed; one study at a time works in a folder
    waiting = [run for run in runs if not cell_of(target, run).exists()]
    kept, failed = len(runs) - len(waiting), []
    stop = threading.Event()
    say = tell or (lambda _progress: None)
    say(Progress(kept, 0, 0, len(runs)))
    with ThreadPoolExecutor(max_workers=workers or fitting_workers()) as pool:
        pending = {pool.submit(_do, run, target, inspect, stop, do or _prune) for run in waiting}
        done = 0
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    error = future.result()
                    done += 1
                    if error is not None:
                        failed.append(error)
                say(Progress(kept, done, len(failed), len(runs)))
        except BaseException:
            stop.set()
            for future in pending:
                future.cancel()
            raise
    return tuple(failed)


def results_of(runs: Sequence[Run], target: Path) -> list[tuple[Run, PruneReport]]:
    """Return the results that exist, in the order of the runs."""
    decoder = msgspec.json.Decoder(PruneReport)
    return [
        (run, decoder.decode(place.read_bytes())) for run in runs if (place := cell_of(target, run)).exists()
    ]


def cell_of(target: Path, run: Run) -> Path:
    """Return where a run's result is kept."""
    return target / "cells" / f"{run.key}.json"


def fitting_workers() -> int:
    """Return how many runs fit into the processors and the memory that is free."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        free = MEMORY_OF_A_RUN
    return max(1, min(os.cpu_count() or 1, free // MEMORY_OF_A_RUN))


def _do(run: Run, target: Path, inspect: Inspect, stop: threading.Event, do: Prune) -> RunError | None:
    def watch(_event: Event) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    if stop.is_set():
        return RunError(run.key, "interrupted")
    work = Path(tempfile.mkdtemp(prefix=".run-", dir=target))
    try:
        report = do(run.job, work / "made", inspect, watch)
        part = work / "report.json"
        part.write_text("\n".join(report.json_lines()) + "\n")
        part.replace(cell_of(target, run))
    except ModelInspectError as problem:
        return RunError(run.key, str(problem))
    except KeyboardInterrupt:
        return RunError(run.key, "interrupted")
    except OSError as problem:
        raise output_error(target, problem) from problem
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return None


def _prune(job: Job, target: Path, inspect: Inspect, watch: Watch) -> PruneReport:
    return prune(job, target, inspect=inspect, watch=watch)
