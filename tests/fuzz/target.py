"""Run one family under atheris: libFuzzer's coverage chooses the inputs, our mutators make them."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path

import atheris

from tests.fuzz.cases import pack, seeds, unpack


def write_seeds(folder: Path) -> None:
    """Write the fixtures as packed cases for libFuzzer, which takes its seeds from folders."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in seeds():
        (folder / name.replace("/", "__")).write_bytes(pack(case))


def custom_mutator(data: bytes, largest: int, seed: int) -> bytes:
    """Return a changed case, within libFuzzer's largest input."""
    return pack(unpack(data).mutated(random.Random(seed)))[:largest]


def fuzz(family: str, arguments: list[str]) -> None:
    """Fuzz a family until libFuzzer ends the process; the arguments are libFuzzer's."""
    for name in [name for name in sys.modules if name.split(".")[0] == "modelinspect"]:
        del sys.modules[name]  # what was imported before is not instrumented
    for name in ("tests.fuzz.cases", "tests.fuzz.families", "tests.fuzz.drive", "tests.support.hostile"):
        sys.modules.pop(name, None)  # they hold what was imported before: its errors are other classes
    with atheris.instrument_imports(include=["modelinspect"]):
        drive = importlib.import_module("tests.fuzz.drive")
        importlib.import_module(
            "modelinspect.formats.registry"
        ).formats()  # formats are loaded when they are first used
    cases = importlib.import_module("tests.fuzz.cases")

    def one_input(data: bytes) -> None:
        drive.run_one(family, cases.unpack(data))

    atheris.Setup([sys.argv[0], *arguments], one_input, custom_mutator=custom_mutator)
    atheris.Fuzz()
