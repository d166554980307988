"""The worker's entry: one job as a line of JSON on stdin, events as lines of JSON on stdout; all else goes to
stderr.

stdin stays open as long as the caller lives: its end ends the worker, so a killed caller leaves no TensorFlow
running.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import msgspec

from modelinspect.pruning.engines import Engine as Name
from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.events import DoneEvent, Event, FailureEvent, Trouble
from modelinspect.pruning.job import Job


def main() -> int:
    """Do the job on stdin."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_caller, daemon=True).start()

    def send(event: Event) -> None:
        out.write(msgspec.json.encode(event) + b"\n")

    status = _run(job, send)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # TensorFlow's threads need seconds to end, and nothing is left to do


def _run(job: Job, send: Callable[[Event], None]) -> int:
    try:
        from modelinspect.pruning.worker.run import Engine, run
        from modelinspect.pruning.worker.saver import DiskFullError

        engine: Engine
        if job.engine == Name.KERAS:
            from modelinspect.pruning.worker.keras_engine import KerasEngine

            engine = KerasEngine()
        else:
            from modelinspect.pruning.worker.tfmot_engine import TfmotEngine

            engine = TfmotEngine()
    except ImportError as problem:
        send(FailureEvent(Trouble.MISSING, str(problem).splitlines()[0]))
        return 3
    try:
        run(job, send, engine)
    except JobError as problem:
        send(FailureEvent(Trouble.USAGE, str(problem)))
    except DiskFullError as problem:
        send(FailureEvent(Trouble.DISK, str(problem)))
    except PruningError as problem:
        send(FailureEvent(Trouble.MODEL, str(problem)))
    except OSError as problem:
        from modelinspect.pruning.worker.reasons import is_full_disk, reason_of

        send(FailureEvent(Trouble.DISK if is_full_disk(problem) else Trouble.INTERNAL, reason_of(problem)))
    else:
        send(DoneEvent())
        return 0
    return 3


def _end_with_caller() -> None:
    os.read(0, 1)
    os._exit(4)


if __name__ == "__main__":
    raise SystemExit(main())
