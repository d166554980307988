"""Fuzz one family: ``python -m tests.fuzz FAMILY --seconds N``; see README.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.cases import CORPUS
from tests.fuzz.drive import Driver
from tests.fuzz.families import FAMILIES

_MEMORY_MIB = 2_048
_TIMEOUT = 20


def main() -> int:
    """Run; exit with 1 where an input escaped or cost too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("family", choices=[*FAMILIES, "all"])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each family")
    parser.add_argument("--executions", type=int, help="stop after so many inputs (plain engine)")
    parser.add_argument(
        "--engine", choices=("atheris", "plain"), default="atheris" if find_spec("atheris") else "plain"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--findings", type=Path, default=Path(tempfile.gettempdir()) / "modelinspect-findings"
    )
    parser.add_argument("--log", type=Path, help="a folder for counts by family")
    parser.add_argument(
        "--inputs", type=Path, help="a folder in which atheris keeps inputs that reach something new"
    )
    options = parser.parse_args()
    failed = 0
    for family in FAMILIES if options.family == "all" else (options.family,):
        failed += _atheris(family, options) if options.engine == "atheris" else _plain(family, options)
    return 1 if failed else 0


def _plain(family: str, options: argparse.Namespace) -> int:
    log = None
    if options.log is not None:
        options.log.mkdir(parents=True, exist_ok=True)
        log = options.log / f"{family}-{options.seed}.json"
    outcome = Driver(family, options.seed, options.findings).run(options.seconds, options.executions, log)
    print(outcome)
    return outcome.escapes + outcome.slow + outcome.heavy


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
