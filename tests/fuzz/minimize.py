"""Keep of many inputs the few that together reach every line: ``python -m tests.fuzz.minimize FAMILY
INPUTS...``.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.cases import CORPUS, Case, corpus, pack, seeds, unpack
from tests.fuzz.drive import run_one
from tests.fuzz.families import FAMILIES

Line = tuple[str, int]
_LARGEST = 2_200
"""Inputs above are not recorded: the folder is replayed in seconds and stays under 2 MB."""


class Lines:
    """The lines of modelinspect that a call reaches."""

    def __init__(self) -> None:
        self.reached: set[Line] = set()

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Follow the frames of modelinspect alone."""
        return self._line if "/modelinspect/" in frame.f_code.co_filename else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.reached.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def lines_of(family: str, case: Case) -> set[Line]:
    """Return the lines that an input reaches; what escapes reaches lines too."""
    lines = Lines()
    sys.settrace(lines.trace)
    try:
        run_one(family, case)
    except Exception:  # whatever escapes is a bug, and the input that shows it is one to keep
        pass
    finally:
        sys.settrace(None)
    return lines.reached


def minimize(family: str, cases: Iterable[Case], known: set[Line]) -> list[Case]:
    """Return the cases that reach something new, the smallest first; ``known`` are the lines that need no
    input, and grows.
    """
    kept: list[Case] = []
    for case in sorted(cases, key=lambda one: one.size):
        reached = lines_of(family, case)
        if not reached <= known:
            known |= reached
            kept.append(case)
    return kept


def main() -> None:
    """Add what reaches something new to the recorded inputs."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.minimize", description=__doc__)
    parser.add_argument("family", choices=list(FAMILIES))
    parser.add_argument("inputs", type=Path, nargs="*", help="folders of packed inputs")
    parser.add_argument("--mutations", type=int, default=0, help="also try so many mutations of the seeds")
    options = parser.parse_args()
    rng = random.Random(options.family)
    known: set[Line] = set()
    begun = [case for _, case in seeds() if case.size <= _LARGEST]
    for case in begun:  # what fixtures reach is tested by them
        known |= lines_of(options.family, case)
    recorded = [case for _, case in corpus()]
    cases = [
        unpack(path.read_bytes())
        for folder in options.inputs
        for path in sorted(folder.glob("*"))
        if path.is_file()
    ]
    cases += [rng.choice(begun).mutated(rng) for _ in range(options.mutations)]
    for case in recorded:
        known |= lines_of(options.family, case)
    CORPUS.mkdir(parents=True, exist_ok=True)
    for case in minimize(options.family, (one for one in cases if one.size <= _LARGEST), known):
        data = pack(case)
        (CORPUS / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()
