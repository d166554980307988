"""Fuzz one family, or all in turn: ``python -m tests.fuzz FAMILY --seconds N``; see README.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.cases import CORPUS, Case, corpus, seeds, unpack
from tests.fuzz.drive import Driver, Outcome, read_counts, write_counts
from tests.fuzz.families import FAMILIES

_MEMORY_MIB = 2_048
_TIMEOUT = 20
_TURNS = {"parse": 110.0, "measure": 35.0, "lint": 30.0, "explain": 10.0, "plan": 20.0, "render": 10.0}
"""Seconds for which each family runs before the next has its turn: longer where an input costs less."""
_QUICK_INPUT = 4_000
"""Bytes of the largest recorded input that becomes a seed of the plain engine."""


def main() -> int:
    """Run; exit with 1 where an input escaped or cost too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("family", choices=[*FAMILIES, "all"])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each family")
    parser.add_argument("--executions", type=int, help="stop after so many inputs in all (plain engine)")
    parser.add_argument(
        "--engine", choices=("atheris", "plain"), default="atheris" if find_spec("atheris") else "plain"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--findings", type=Path, default=Path(tempfile.gettempdir()) / "modelinspect-findings"
    )
    parser.add_argument("--counts", type=Path, help="a file of counts by family, to which this run adds")
    parser.add_argument(
        "--inputs", type=Path, help="a folder in which inputs that reach something new are kept"
    )
    options = parser.parse_args()
    families = tuple(FAMILIES) if options.family == "all" else (options.family,)
    if options.engine == "plain":
        return 1 if _plain(families, options) else 0
    return 1 if sum(_atheris(family, options) for family in families) else 0


def _plain(families: tuple[str, ...], options: argparse.Namespace) -> int:
    """Let the families take turns in this process: seeds are read and measured once."""
    begun = [*seeds(), *((f"corpus/{name}", case) for name, case in corpus())]
    drivers = [
        Driver(family, options.seed, options.findings, [*begun, *_recorded(options.inputs, family)])
        for family in families
    ]
    counts = read_counts(options.counts) if options.counts is not None else {}
    here = {family: Outcome(family) for family in families}
    end = time.monotonic() + options.seconds * len(families)
    left = options.executions
    while time.monotonic() < end and (left is None or left > 0):
        for driver in drivers:
            seconds = min(_TURNS[driver.family], options.seconds, max(end - time.monotonic(), 0))
            outcome = driver.run(seconds, left)
            here[driver.family].add(outcome)
            counts.setdefault(driver.family, Outcome(driver.family)).add(outcome)
            if options.counts is not None:
                write_counts(options.counts, counts)
            if options.inputs is not None:
                driver.write_novel(options.inputs / driver.family)
            left = left - outcome.executions if left is not None else None
    for outcome in here.values():
        print(outcome)
    return sum(outcome.broken for outcome in here.values())


def _recorded(folder: Path | None, family: str) -> list[tuple[str, Case]]:
    """Return the small inputs that an earlier run of the family kept."""
    if folder is None:
        return []
    paths = sorted(path for path in (folder / family).glob("*") if path.is_file())
    cases = [(f"recorded/{path.name}", unpack(path.read_bytes())) for path in paths]
    return [(name, case) for name, case in cases if case.size <= _QUICK_INPUT]


def _atheris(family: str, options: argparse.Namespace) -> int:
    """Run libFuzzer in a separate process: it ends the process that it runs in."""
    options.findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = options.inputs / family if options.inputs is not None else Path(folder) / "kept"
        kept.mkdir(parents=True, exist_ok=True)
        arguments = [
            f"-max_total_time={max(int(options.seconds), 1)}",
            f"-timeout={_TIMEOUT}",
            f"-rss_limit_mb={_MEMORY_MIB}",
        ]
        arguments += [
            "-max_len=1048576",
            "-len_control=0",
            f"-artifact_prefix={options.findings}/{family}-",
            "-print_final_stats=1",
        ]
        arguments += [str(kept), str(Path(folder) / "seeds"), str(CORPUS)]
        code = (
            "from pathlib import Path; from tests.fuzz import target;"
            f" target.write_seeds(Path({str(Path(folder) / 'seeds')!r})); "
        )
        code += f"target.fuzz({family!r}, {arguments!r})"
        return (
            1 if subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode else 0
        )


if __name__ == "__main__":
    sys.exit(main())
