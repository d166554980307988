"""Run inputs one after another in this process and keep those that escape, or cost too much."""

from __future__ import annotations

import gc
import hashlib
import json
import random
import re
import resource
import signal
import time
from bisect import bisect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import FrameType

from modelinspect.core.artifact import Artifact
from modelinspect.errors import InvariantError, ModelInspectError
from tests.fuzz.cases import Case, pack
from tests.fuzz.families import FAMILIES, LARGEST

SECONDS = 2.0
"""Processor time that one input may take."""
MEMORY = 300 * 2**20
"""Bytes by which one input may raise the peak of memory."""
_HANGING = 20.0
_FAIR = 0.1
"""How often each folder of fixtures is as likely as any other."""
_NOVEL = 0.2
"""How often an input that had a new answer is changed again."""
_AGAIN = 0.1
"""How often what was changed is changed once more."""
_QUICK = 0.0005
_PREFERENCE = 2.0
"""A seed that takes twice as long is chosen a quarter as often."""
_POOL = 4_000
"""Inputs with new answers that are kept in memory."""
_FRESH = 256
"""The peak of memory begins anew after so many inputs."""
_NUMBERS = re.compile(r"[0-9][0-9,.]*|'[^']*'|\"[^\"]*\"")

Answer = frozenset[str]
"""What an input was answered with, without its numbers: a refusal, or the format and the diagnostics."""


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

    @property
    def broken(self) -> int:
        """How many inputs broke a promise."""
        return self.escapes + self.slow + self.heavy

    def add(self, other: Outcome) -> None:
        """Add the counts of another run of the same family."""
        for each in fields(self):
            match getattr(self, each.name), getattr(other, each.name):
                case int(mine), int(theirs):
                    setattr(self, each.name, mine + theirs)
                case float(mine), float(theirs):
                    setattr(self, each.name, max(mine, theirs))
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count


def read_counts(path: Path) -> dict[str, Outcome]:
    """Return the counts of earlier runs by family; none where the file is not there."""
    if not path.exists():
        return {}
    return {name: Outcome(**entry) for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}


def write_counts(path: Path, counts: dict[str, Outcome]) -> None:
    """Replace the file of counts whole: a run may be ended at any time."""
    text = json.dumps({name: asdict(counts[name]) for name in FAMILIES if name in counts}, indent=1)
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(f"{text}\n", encoding="utf-8")
    beside.replace(path)


def run_one(family: str, case: Case) -> bool:
    """Run one input; return whether it was answered, False where it was refused.

    Anything else than a refusal is raised.
    """
    return _answer(family, case)[0]


def _answer(family: str, case: Case) -> tuple[bool, Answer]:
    try:
        artifact = FAMILIES[family](case.open())
    except InvariantError:
        raise
    except ModelInspectError as error:
        if "\n" in str(error):
            raise AssertionError("the error has more than one line") from error
        return False, frozenset((f"{type(error).__name__}: {_NUMBERS.sub('', str(error))}",))
    return True, _of_artifact(artifact)


def _of_artifact(artifact: Artifact | None) -> Answer:
    if artifact is None:
        return frozenset(("a limit",))
    problems = {_NUMBERS.sub("", entry.problem) for entry in artifact.diagnostics[:32]}
    return frozenset((str(artifact.format), *problems))


class Driver:
    """Runs mutated seeds of one family; inputs that break a promise go to the folder ``findings``.

    Quick seeds are chosen more often, and inputs whose answer is new (another refusal, another diagnostic)
    become seeds too: both cost nothing, and answers show what code was reached.
    """

    def __init__(self, family: str, seed: int, findings: Path, seeds: Sequence[tuple[str, Case]]) -> None:
        self.family = family
        self.outcome = Outcome(family)
        self._rng = random.Random(f"{family} {seed}")
        self._findings = findings
        self._largest = LARGEST[family]
        self._seeds = [(name, case) for name, case in seeds if case.size <= self._largest]
        self._seen: set[str] = set()
        self._novel: list[tuple[str, Case]] = []
        self._novel_shares: list[float] = []
        self._shares: list[float] = []
        self._folders: list[tuple[list[float], list[int]]] = []

    def run(self, seconds: float, executions: int | None = None) -> Outcome:
        """Run for some time, or so many inputs; return the counts of this call."""
        signal.signal(signal.SIGVTALRM, _hang)
        self.outcome = Outcome(self.family)
        if not self._shares:
            self._run_seeds()
            gc.freeze()  # seeds and modules stay: collections need not look at them
        began = time.monotonic()
        while time.monotonic() - began < seconds and (
            executions is None or self.outcome.executions < executions
        ):
            if self.outcome.executions % _FRESH == 0:
                _forget_peak()
            name, case = self._choose()
            self._execute(name, self._changed(case))
        return self.outcome

    def _run_seeds(self) -> None:
        """Run the seeds as they are, and measure how often each is to be chosen."""
        shares: list[float] = []
        of_folder: dict[str, list[int]] = {}
        for index, (name, case) in enumerate(self._seeds):
            spent = time.process_time()
            self._execute(name, case)
            shares.append(_share(time.process_time() - spent))
            of_folder.setdefault(name.split("/")[0], []).append(index)
        self._shares = _summed(shares)
        self._folders = [
            (_summed([shares[index] for index in indices]), indices) for indices in of_folder.values()
        ]

    def _choose(self) -> tuple[str, Case]:
        """Return a seed: of all, of one folder, or an input that had a new answer."""
        drawn = self._rng.random()
        if drawn < _NOVEL and self._novel:
            return self._novel[self._drawn(self._novel_shares)]
        if drawn > 1 - _FAIR:
            shares, indices = self._rng.choice(self._folders)
            return self._seeds[indices[self._drawn(shares)]]
        return self._seeds[self._drawn(self._shares)]

    def _drawn(self, shares: list[float]) -> int:
        return min(bisect(shares, self._rng.random() * shares[-1]), len(shares) - 1)

    def _changed(self, case: Case) -> Case:
        changed = case.mutated(self._rng)
        while self._rng.random() < _AGAIN:
            changed = changed.mutated(self._rng)
        return changed

    def _execute(self, name: str, case: Case) -> None:
        outcome = self.outcome
        outcome.executions += 1
        kind = name.split("/")[0]
        outcome.kinds[kind] = outcome.kinds.get(kind, 0) + 1
        before = _peak()
        began = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, _HANGING)
        try:
            answered, answer = _answer(self.family, case)
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
            seconds = min(seconds, _timed(self.family, case))
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
        if not answer <= self._seen:
            self._seen |= answer
            if case.size <= self._largest and seconds < SECONDS / 20 and len(self._novel) < _POOL:
                self._novel.append((name, case))
                before_it = self._novel_shares[-1] if self._novel_shares else 0.0
                self._novel_shares.append(before_it + _share(seconds))

    def write_novel(self, folder: Path) -> None:
        """Write the inputs that had a new answer, for `minimize`."""
        folder.mkdir(parents=True, exist_ok=True)
        for _, case in self._novel:
            data = pack(case)
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def _keep(self, case: Case, kind: str, why: str) -> None:
        self._findings.mkdir(parents=True, exist_ok=True)
        data = pack(case)
        name = f"{self.family}-{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        (self._findings / name).write_bytes(data)
        with (self._findings / "reasons.txt").open("a", encoding="utf-8") as reasons:
            reasons.write(f"{name}: {why}\n")


def _share(seconds: float) -> float:
    """Return how often an input is to be chosen that takes so long."""
    return float((_QUICK + seconds) ** -_PREFERENCE)


def _summed(shares: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for share in shares:
        total += share
        sums.append(total)
    return sums


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
