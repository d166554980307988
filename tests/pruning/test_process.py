"""The worker's process: its events, its deaths, and that it never outlives its caller.

TensorFlow is played by small scripts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from modelinspect.errors import MissingExtraError, OutputError
from modelinspect.pruning import process
from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.events import SavedEvent, StartEvent, WarningEvent
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import Stage
from modelinspect.pruning.process import check_extra, run_worker

JOB = Job("mlp", tuple(Stage), ("h5", "keras"))


def script(body: str) -> tuple[str, ...]:
    head = "import json, os, signal, sys, time\njob = json.loads(sys.stdin.readline())\n"
    return (sys.executable, "-c", head + "def send(**event): print(json.dumps(event), flush=True)\n" + body)


def test_events_arrive_in_order_and_tensorflow_sees_its_own_environment(tmp_path: Path) -> None:
    body = """
print('noise', file=sys.stderr)
send(type='warning', message=os.environ['TF_USE_LEGACY_KERAS'] + os.environ['TMPDIR'])
send(type='done')
"""
    assert list(run_worker(JOB, tmp_path, script(body))) == [WarningEvent(f"1{tmp_path}")]
    assert "TF_USE_LEGACY_KERAS" not in os.environ


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        ("usage", JobError),
        ("disk", OutputError),
        ("missing", MissingExtraError),
        ("model", PruningError),
        ("internal", PruningError),
    ],
)
def test_what_the_worker_says_went_wrong_is_raised(
    tmp_path: Path, trouble: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="too bad"):
        list(
            run_worker(JOB, tmp_path, script(f"send(type='failure', trouble={trouble!r}, message='too bad')"))
        )


def test_a_method_that_kills_tensorflow_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    body = """
for method in ('h5', 'keras'):
    if ['original', method] in job['done']:
        continue
    send(type='start', stage='original', method=method)
    if method == 'h5':
        os.kill(os.getpid(), signal.SIGSEGV)
    send(type='saved', stage='original', method=method, path='original/model.keras')
send(type='done')
"""
    events = [event for event in run_worker(JOB, tmp_path, script(body)) if not isinstance(event, StartEvent)]
    assert events == [
        SavedEvent("original", "h5", reason="TensorFlow's process died of SIGSEGV"),
        SavedEvent("original", "keras", "original/model.keras"),
    ]


def test_a_death_outside_of_any_method_ends_the_run_with_the_last_line_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(PruningError, match="status 7: it broke here"):
        list(run_worker(JOB, tmp_path, script("print('it broke here', file=sys.stderr); sys.exit(7)")))


def test_a_worker_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    body = "send(type='start', stage='original', method=str(len(job['done'])))\nos._exit(1)"
    with pytest.raises(PruningError, match="died 8 times"):
        list(run_worker(JOB, tmp_path, script(body)))


def test_leaving_the_events_ends_the_worker(tmp_path: Path) -> None:
    events = run_worker(
        JOB, tmp_path, script("send(type='warning', message=str(os.getpid()))\ntime.sleep(600)")
    )
    event = next(events)
    assert isinstance(event, WarningEvent)
    events.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(event.message), 0)


def test_a_real_worker_ends_with_its_caller(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    line = b'{"model":"nothing","stages":[],"methods":[]}\n'
    os.write(writer, line)
    child = os.posix_spawn(
        sys.executable,
        [
            sys.executable,
            "-c",
            (
                "from modelinspect.pruning.worker import __main__ as w; w._run = lambda *a:"
                " __import__('time').sleep(60); w.main()"
            ),
        ],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reader, 0),
            (os.POSIX_SPAWN_CLOSE, writer),
            (os.POSIX_SPAWN_CLOSE, reader),
        ],
    )
    os.close(reader)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 4, "the worker outlived its caller"


def test_without_tensorflow_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'modelinspect\[prune\]'"):
        check_extra()
