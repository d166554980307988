"""Worker processes: each task has one result or is lost with a reason, whatever happens to the process that
has it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelinspect.errors import ModelInspectError
from modelinspect.reports.scan import Failure
from modelinspect.scanning.workers import Done, Lost, Pool
from tests.scanning.jobs import act, fail_to_start


def _run(
    tasks: list[object], count: int = 1, size: int = 4, **settings: float
) -> tuple[dict[object, object], dict[object, Lost]]:
    batches = iter([tuple(tasks[at : at + size]) for at in range(0, len(tasks), size)])
    results: dict[object, object] = {}
    lost: dict[object, Lost] = {}
    pool: Pool = Pool(act, count, **settings)  # type: ignore[arg-type]
    for found in pool.run(batches):
        if isinstance(found, Lost):
            assert found.task not in results.keys() | lost.keys()
            lost[found.task] = found
        else:
            for task, result in zip(found.batch, found.result, strict=True):
                assert task not in results.keys() | lost.keys()
                results[task] = result
    assert len(results) + len(lost) == len(tasks)
    return results, lost


def test_a_process_that_ends_costs_one_task_and_the_others_have_results(tmp_path: Path) -> None:
    once = f"once:{tmp_path / 'mark'}"
    results, lost = _run([1, 2, "die", 3, once, 4, "print", "fill", 5], count=2)
    assert results == {1: 1, 2: 4, 3: 9, 4: 16, 5: 25, once: "survived", "print": None, "fill": "refused"}
    assert lost["die"].failure is Failure.KILLED
    assert "SIGKILL" in lost["die"].problem


def test_a_task_that_takes_too_long_is_lost_with_its_process() -> None:
    results, lost = _run([1, "hang", 2], timeout=3.0)
    assert results == {1: 1, 2: 4}
    assert lost["hang"].failure is Failure.TIMEOUT


def test_processes_that_cannot_start_are_an_error() -> None:
    pool: Pool[int, list[object]] = Pool(fail_to_start, 1)
    with pytest.raises(ModelInspectError, match="exit code 3"):
        list(pool.run(iter([(1, 2)])))


def test_an_error_of_the_listing_is_raised_where_results_are_taken() -> None:
    def listing() -> Iterator[tuple[int, ...]]:
        yield (1,)
        raise ModelInspectError("no such folder")

    with pytest.raises(ModelInspectError, match="no such folder"):
        list(Pool(act, 1).run(listing()))


def test_no_more_is_handed_out_than_was_promised_and_processes_end_when_nobody_listens() -> None:
    asked = 0

    def endless() -> Iterator[tuple[object, ...]]:
        nonlocal asked
        while True:
            asked += 1
            yield ("pid",)

    results = Pool(act, 1).run(endless())
    first = next(results)
    assert isinstance(first, Done)
    (process,) = first.result
    for taken in range(2, 22):
        next(results)
        assert asked <= taken + 3
    results.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_workers_end_with_a_parent_that_was_killed() -> None:
    script = """
        import sys
        from tests.scanning.jobs import act
        from modelinspect.scanning.workers import Pool
        results = Pool(act, 1).run(iter([("pid",), ("hang",)]))
        print(next(results).result[0], flush=True)
        next(results)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, env=_environment()
    ) as parent:
        try:
            assert parent.stdout is not None
            worker = int(parent.stdout.readline())
        finally:
            parent.send_signal(signal.SIGKILL)
    for _ in range(600):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{worker}/stat")
        if (
            state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"
        ):  # ended; nobody has waited for it
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
