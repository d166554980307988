"""Run inputs one after another in this process and keep those that escape, or cost too much."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from types import FrameType

from modelinspect.errors import InvariantError, ModelInspectError
from tests.fuzz.cases import Case, corpus, pack, seeds
from tests.fuzz.families import FAMILIES

SECONDS = 2.0
"""Processor time that one input may take."""
MEMORY = 300 * 2**20
"""Bytes by which one input may raise the peak of memory."""
_HANGING = 20.0
_REPORT_EVERY = 20.0
_FAIR = 0.15
_AGAIN = 0.1
"""How often what was changed is changed once more."""


_QUICK = 0.0005
_PREFERENCE = 2.0
"""A seed that takes twice as long is taken a quarter as often."""


class HangError(BaseException):
    """An input that takes many times the allowed time."""


@dataclass
class Outcome:
    """What became of the inputs of one family."""

    family: str
    executions: int = 0
    answered: int = 0
    refused: int = 0
    escapes: int = 0
    slow: int = 0
    heavy: int = 0
    most_seconds: float = 0.0
    most_mebibytes: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    """How many inputs began with a seed of each format's folder."""


def run_one(family: str, case: Case) -> bool:
    """Run one input; return whether it was answered, False where it was refused.

    Anything else than a refusal is raised.
    """
    try:
        FAMILIES[family](case.open())
    except InvariantError:
        raise
    except ModelInspectError as error:
        if "\n" in str(error):
            raise AssertionError("the error has more than one line") from error
        return False
    return True


class Driver:
    """Runs mutated seeds of one family; inputs that break a promise go to the folder ``findings``."""

    def __init__(self, family: str, seed: int, findings: Path) -> None:
        self.outcome = Outcome(family)
        self._rng = random.Random(f"{family} {seed}")
        self._findings = findings
        self._seeds = [*seeds(), *((f"corpus/{name}", case) for name, case in corpus())]
        self._cumulative: list[float] = []
        self._of_folder: dict[str, list[int]] = {}
        for index, (name, _) in enumerate(self._seeds):
            self._of_folder.setdefault(name.split("/")[0], []).append(index)
        self._folders = sorted(self._of_folder)
        self._kinds: Counter[str] = Counter()

    def run(self, seconds: float, executions: int | None = None, log: Path | None = None) -> Outcome:
        """Run for some time, or so many inputs."""
        signal.signal(signal.SIGVTALRM, _hang)
        weights: list[float] = []
        for name, case in self._seeds:  # as they are; what is quick is tried more often
            spent = time.process_time()
            self._execute(name, case)
            weights.append((_QUICK + time.process_time() - spent) ** -_PREFERENCE)
        self._cumulative = list(accumulate(weights))
        began = told = time.monotonic()
        while time.monotonic() - began < seconds and (
            executions is None or self.outcome.executions < executions
        ):
            name, case = self._choose()
            self._execute(name, self._changed(case))
            if log is not None and time.monotonic() - told > _REPORT_EVERY:
                told = time.monotonic()
                self._report(log)
        if log is not None:
            self._report(log)
        return self.outcome

    def _choose(self) -> tuple[str, Case]:
        """Return a seed: most often a quick one, now and then one of a folder that is as likely as any
        other.
        """
        if self._rng.random() < _FAIR:
            folder = self._rng.choice(self._folders)
            return self._seeds[self._rng.choice(self._of_folder[folder])]
        return self._rng.choices(self._seeds, cum_weights=self._cumulative)[0]

    def _changed(self, case: Case) -> Case:
        changed = case.mutated(self._rng)
        while self._rng.random() < _AGAIN:
            changed = changed.mutated(self._rng)
        return changed

    def _report(self, log: Path) -> None:
        self.outcome.kinds = dict(self._kinds)
        log.write_text(json.dumps(asdict(self.outcome), indent=1), encoding="utf-8")

    def _execute(self, name: str, case: Case) -> None:
        outcome = self.outcome
        outcome.executions += 1
        self._kinds[name.split("/")[0]] += 1
        before = _peak()
        began = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, _HANGING)
        try:
            answered = run_one(outcome.family, case)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome.escapes += 1
            self._keep(case, type(error).__name__, repr(error))
            return
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        seconds = time.process_time() - began
        if seconds > SECONDS:  # once more: another process may have held the caches
            seconds = min(seconds, _timed(outcome.family, case))
        grown = _peak() - before
        outcome.answered += answered
        outcome.refused += not answered
        outcome.most_seconds = max(outcome.most_seconds, seconds)
        outcome.most_mebibytes = max(outcome.most_mebibytes, grown / 2**20)
        if seconds > SECONDS:
            outcome.slow += 1
            self._keep(case, "slow", f"{seconds:.1f} s")
        if grown > MEMORY:
            outcome.heavy += 1
            self._keep(case, "heavy", f"{grown / 2**20:.0f} MiB")
        if grown > 16 * 2**20:
            _forget_peak()

    def _keep(self, case: Case, kind: str, why: str) -> None:
        self._findings.mkdir(parents=True, exist_ok=True)
        data = pack(case)
        name = f"{self.outcome.family}-{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        (self._findings / name).write_bytes(data)
        with (self._findings / "reasons.txt").open("a", encoding="utf-8") as reasons:
            reasons.write(f"{name}: {why}\n")


def _timed(family: str, case: Case) -> float:
    began = time.process_time()
    run_one(family, case)
    return time.process_time() - began


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_peak() -> None:
    """Let the peak of memory begin anew, where the system can (Linux, proc(5), clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _hang(number: int, frame: FrameType | None) -> None:
    raise HangError
