"""Run the worker and pass on its events; the worker never outlives the caller."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import msgspec

from modelinspect.errors import MissingExtraError, OutputError
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.events import DoneEvent, Event, FailureEvent, SavedEvent, StartEvent, Trouble
from modelinspect.pruning.job import Job

NEEDED = {
    "tensorflow": "tensorflow",
    "tf_keras": "tf-keras",
    "tensorflow_model_optimization": "tensorflow-model-optimization",
}
NEEDED_BY_KERAS = {"keras": "keras", "tensorflow": "tensorflow"}
WORKER = (sys.executable, "-m", "modelinspect.pruning.worker")
MOST_DEATHS = 8
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "GRPC_VERBOSITY": "ERROR",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


def check_extra(engine: Engine = Engine.TFMOT) -> None:
    """Raise `MissingExtraError` where a library that the engine needs is not installed."""
    needed = NEEDED if engine is Engine.TFMOT else NEEDED_BY_KERAS
    missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtraError(f"pruning needs {', '.join(missing)}: pip install 'modelinspect[prune]'")


def run_worker(job: Job, scratch: Path, command: Sequence[str] = WORKER) -> Generator[Event, None, None]:
    """Run the job and yield its events; where TensorFlow dies while it saves, that method fails and the rest
    goes on.

    Log and temporary files go to ``scratch``. Raises `JobError`, `PruningError`, `OutputError`.
    """
    done: list[tuple[str, str]] = []
    for _ in range(MOST_DEATHS):
        started: StartEvent | None = None
        with _Worker(msgspec.structs.replace(job, done=tuple(done)), scratch, command) as worker:
            for event in worker.events():
                match event:
                    case FailureEvent():
                        raise _error(event)
                    case DoneEvent():
                        return
                    case StartEvent():
                        started = event
                    case SavedEvent(stage, method):
                        done.append((stage, method))
                        started = None
                yield event
            reason = worker.death()
        if started is None:
            raise PruningError(reason)
        done.append((started.stage, started.method))
        yield SavedEvent(started.stage, started.method, reason=reason)
    raise PruningError(f"TensorFlow died {MOST_DEATHS} times")


class _Worker:
    """A worker process; leaving the context ends it."""

    def __init__(self, job: Job, scratch: Path, command: Sequence[str]) -> None:
        self.log = scratch / "worker.log"
        legacy = {"TF_USE_LEGACY_KERAS": "0" if job.engine == Engine.KERAS else "1"}
        backend = {"KERAS_BACKEND": job.backend} if job.backend else {}
        environment = {**os.environ, **ENVIRONMENT, **legacy, **backend, "TMPDIR": str(scratch)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches only us, and we end the worker
            )
        self.line = msgspec.json.encode(job) + b"\n"

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()

    def events(self) -> Iterator[Event]:
        """Send the job and yield what comes back until the worker ends."""
        if self.process.stdin is None or self.process.stdout is None:
            return
        try:
            self.process.stdin.write(self.line)
            self.process.stdin.flush()
        except BrokenPipeError:
            return
        decoder = msgspec.json.Decoder(Event)
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                yield decoder.decode(line)

    def death(self) -> str:
        """Say how the worker ended without saying so itself."""
        status = self.process.wait()
        last = [
            line.strip()
            for line in self.log.read_bytes()[-4000:].decode("utf-8", "replace").splitlines()
            if line.strip()
        ]
        if status < 0:
            name = signal.Signals(-status).name
            hint = ", perhaps for lack of memory" if -status == signal.SIGKILL else ""
            return f"TensorFlow's process died of {name}{hint}"
        return (
            f"TensorFlow's process ended with status {status}:"
            f" {last[-1][:200] if last else 'it said nothing'}"
        )


def _error(event: FailureEvent) -> Exception:
    match event.trouble:
        case Trouble.USAGE:
            return JobError(event.message)
        case Trouble.DISK:
            return OutputError(event.message)
        case Trouble.MISSING:
            return MissingExtraError(f"{event.message}: pip install 'modelinspect[prune]'")
        case Trouble.MODEL | Trouble.INTERNAL:
            return PruningError(event.message)
