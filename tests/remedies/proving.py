"""Registers proofs of remedies, and follows what the tool printed: shell commands in a shell, Python line by
line in a console.
"""

from __future__ import annotations

import code
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modelinspect as mi
from modelinspect.remedies import Language, Remedy
from tests.support.fixtures import FOLDER
from tests.support.remedies import code_of, remedy_of

BIN = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


@dataclass(frozen=True)
class Proof:
    """A function that follows remedies in an empty folder, and raises where they do not do what they say."""

    name: str
    remedies: tuple[Remedy, ...]
    run: Callable[[], None]


PROOFS: dict[str, Proof] = {}


def proves(*remedies: Remedy) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a proof; it runs in a folder of its own, in the process that runs all of them."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        name = function.__name__
        assert name not in PROOFS, name
        PROOFS[name] = Proof(name, remedies, function)
        return function

    return register


def have(name: str, target: str | None = None) -> str:
    """Copy a fixture into the folder; return its name there. A checkpoint's prefix brings its files."""
    path = FOLDER / name
    here = Path(target or path.name)
    if path.is_dir():
        shutil.copytree(path, here)
    elif path.exists():
        shutil.copy(path, here)
        if name.endswith(".index"):
            return have(name.removesuffix(".index"))
    else:
        for part in path.parent.glob(f"{path.name}.*"):
            shutil.copy(part, here.name + part.name[len(path.name) :])
    return str(here)


def findings(path: str, before: str | None = None) -> dict[str, str]:
    """Return the rules that fire, with the remedies that are printed."""
    report = mi.explain(path) if before is None else mi.explain(before, path)
    return {finding.rule: finding.remedy for finding in report.findings}


def causes(path: str, before: str | None = None) -> dict[str, tuple[int, str]]:
    """Return the causes, with their bytes and the remedies that are printed."""
    report = mi.explain(path) if before is None else mi.explain(before, path)
    return {entry.cause: (entry.delta, entry.remedy) for entry in report.causes}


def printed(path: str, name: str, remedy: Remedy, before: str | None = None) -> str:
    """Return the remedy that is printed of a rule, or else of a cause; it must be the one that is to be
    proved.
    """
    found = findings(path, before)
    text = found[name] if name in found else causes(path, before)[name][1]
    assert remedy_of(text) is remedy, f"{name} of {path}: {text!r}"
    return text


def follow(path: str, name: str, remedy: Remedy, before: str | None = None, **names: Any) -> dict[str, Any]:
    """Run the code that is printed of a rule or a cause; ``names`` are what its words say that there is.

    Return its names.
    """
    text = code_of(printed(path, name, remedy, before))
    assert text, f"{remedy.slug} has no code"
    return run(text, remedy.text.language, **names)


def run(text: str, language: Language, **names: Any) -> dict[str, Any]:
    """Run printed lines as somebody does who copies them."""
    if language is Language.SHELL:
        for line in text.split("\n"):
            subprocess.run(line, shell=True, check=True, env={**os.environ, "PATH": BIN}, capture_output=True)
        return {}
    console = _Console(dict(names))
    for line in [*text.split("\n"), ""]:
        waits = console.push(line)
    assert not waits, text
    return dict(console.locals)


class _Console(code.InteractiveConsole):
    """Python's own console; what goes wrong is raised and not printed."""

    def runcode(self, code: Any) -> None:
        exec(code, self.locals)

    def showsyntaxerror(self, filename: str | None = None, **more: Any) -> None:
        error = sys.exc_info()[1]
        raise error if error is not None else SyntaxError(filename)

    def showtraceback(self) -> None:
        raise AssertionError("runcode raises")


def equal_weights(one: Any, other: Any) -> bool:
    """Tell whether two models have equal weights in order."""
    import numpy as np

    mine, theirs = one.get_weights(), other.get_weights()
    return len(mine) == len(theirs) and all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def size(path: str) -> int:
    """Return the bytes of a file or of a folder."""
    return mi.inspect(path, measure=False).artifact.size


__all__ = [
    "PROOFS",
    "Proof",
    "causes",
    "equal_weights",
    "findings",
    "follow",
    "have",
    "printed",
    "proves",
    "run",
    "size",
]
