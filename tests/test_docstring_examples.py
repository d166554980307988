"""The examples in the docstrings of public functions run as they are printed, on the two models of the
demo.
"""

from __future__ import annotations

import doctest
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

import modelinspect

FUNCTIONS = (
    "open",
    "inspect",
    "tensors",
    "diff",
    "explain",
    "lint",
    "shrink",
    "check",
    "check_models",
    "scan",
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_examples_of_a_function_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in ("original.h5", "pruned.h5"):
        shutil.copy(str(files("modelinspect") / "data" / model), tmp_path / model)
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestFinder(recurse=False).find(getattr(modelinspect, name), name, globs={})
    examples = [example for test in found for example in test.examples]
    assert len(examples) > 1
    runner = doctest.DocTestRunner(verbose=False)
    for test in found:
        assert runner.run(test).failed == 0
