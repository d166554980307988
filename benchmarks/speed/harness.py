"""What benchmarks share: rows of a table, processes timed as a whole, calls timed in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from compileall import compile_dir
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import modelinspect as package

MIB = 2**20
BUSY = os.getloadavg()[0] > (os.cpu_count() or 1)
"""Others use the machine: wall time says nothing, and targets are compared with processor time."""


@dataclass(frozen=True)
class Row:
    """One measured thing: what, the figure, and what it should be (``met`` is None where nothing was
    promised).
    """

    what: str
    figure: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Run:
    """A whole process: wall time and processor time in seconds, and the peak of its resident memory in
    bytes.
    """

    seconds: float
    processor: float
    memory: int
    output: bytes


_LAUNCHER = """
import os, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.call(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""Starts a program from a process that is small: a child's peak of memory counts from that of the process it
was started by.
"""


def process(*arguments: str | Path, times: int = 3) -> Run:
    """Run a program some times and keep the fastest; it must succeed. The peak of memory is the highest."""
    _compile()
    runs = [_once([str(argument) for argument in arguments]) for _ in range(times)]
    fast = min(runs, key=lambda run: run.seconds)
    return Run(fast.seconds, fast.processor, max(run.memory for run in runs), fast.output)


@cache
def _compile() -> None:
    """Compile the package to bytecode, as pip does when it installs it: a source tree may have none."""
    compile_dir(str(Path(package.__file__).parent), quiet=1)


def _once(arguments: Sequence[str]) -> Run:
    with tempfile.NamedTemporaryFile() as output:
        launcher = [sys.executable, "-S", "-c", _LAUNCHER, output.name, *arguments]
        done = subprocess.run(launcher, capture_output=True, check=True, text=True)
        code, seconds, processor, memory = done.stdout.split()
        if code != "0":
            raise RuntimeError(f"{' '.join(arguments)} ended with {code}: {done.stderr[-500:]}")
        scale = 1 if sys.platform == "darwin" else 1024
        return Run(float(seconds), float(processor), int(memory) * scale, Path(output.name).read_bytes())


def modelinspect(*arguments: str | Path, times: int = 3) -> Run:
    """Run the command line as a user does."""
    program = Path(sys.executable).with_name("modelinspect")
    return process(
        program if program.exists() else sys.executable,
        *([] if program.exists() else ["-m", "modelinspect"]),
        *arguments,
        times=times,
    )


def python(code: str, times: int = 3) -> Run:
    """Run a few lines in an interpreter of their own."""
    return process(sys.executable, "-c", code, times=times)


def fastest(call: Callable[[], object], times: int = 5) -> float:
    """Return the seconds of processor time of the fastest of some calls."""
    best = float("inf")
    for _ in range(times):
        started = time.process_time()
        call()
        best = min(best, time.process_time() - started)
    return best


def under(what: str, taken: Run | float, target: float) -> Row:
    """Return the row of a process, or of some seconds, that should take less than a target, in seconds."""
    if isinstance(taken, Run):
        return Row(
            what, shown(taken), f"< {target:g} s", (taken.processor if BUSY else taken.seconds) < target
        )
    return Row(what, f"{taken:.2f} s", f"< {target:g} s", taken < target)


def shown(run: Run) -> str:
    """Return a process's wall time, and its processor time, which is nearer the truth on a machine that does
    other things too.
    """
    return f"{run.seconds:.2f} s ({run.processor:.2f} s of processor)"


def faster(what: str, ours: Run, theirs: Run, least: float) -> Row:
    """Return the row of how many times faster than another program a process is, and should be at least."""
    ratio = (theirs.processor / ours.processor) if BUSY else (theirs.seconds / ours.seconds)
    return Row(what, f"{ratio:.1f} times as fast", f">= {least:g} times", ratio >= least)


def at_most(what: str, ours: Run, theirs: Run, most: float) -> Row:
    """Return the row of how many times as long as another program a process takes, and should at most."""
    ratio = (ours.processor / theirs.processor) if BUSY else (ours.seconds / theirs.seconds)
    return Row(what, f"{ratio:.1f} times its time", f"< {most:g} times", ratio < most)


def under_memory(what: str, size: int, target: int) -> Row:
    """Return the row of a peak of memory that should be under a target, both in bytes."""
    return Row(what, f"{size / MIB:.0f} MiB", f"< {target / MIB:.0f} MiB", size < target)
