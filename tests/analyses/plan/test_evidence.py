"""A plan claims no more than was tested: exact sizes for known writers, bounds below every row, code with all
its names.
"""

from __future__ import annotations

import ast
import builtins
import shutil
from pathlib import Path

import h5py
import pytest

import modelinspect as mi
from tests.support.fixtures import fixture_path

_FORMS = ["tflite-float32", "tflite-float16", "tflite-dynamic-int8"]


@pytest.mark.parametrize(("version", "is_exact"), [("2.21.0", True), ("2.2.4", False)])
def test_only_sizes_of_versions_that_were_compared_are_exact(
    version: str, is_exact: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    shutil.copy(fixture_path("pruned_mlp/stripped/no-optimizer.h5"), path)
    with h5py.File(path, "a") as file:
        file.attrs["keras_version"] = version
    options = mi.plan(path, only=_FORMS).options
    assert {option.option for option in options} == set(_FORMS)
    assert {option.basis for option in options} == {"exact" if is_exact else "estimate"}
    assert all(is_exact or (option.error or 0) * option.size >= 256 for option in options)


@pytest.mark.parametrize(
    "name", ["pruned_mlp/stripped/no-optimizer.h5", "mlp/stripped.h5", "tflite/dense.tflite"]
)
def test_no_bound_is_above_another_row(name: str) -> None:
    options = mi.plan(fixture_path(name), only=["entropy-bound", "gzip-9", "zstd-19", *_FORMS]).options
    bounds = [option.size for option in options if option.basis == "bound"]
    assert all(bound <= option.size for bound in bounds for option in options)


@pytest.mark.parametrize(
    "name", ["tflite/dense.tflite", "pruned_mlp/stripped/model.weights.h5", "pruned_mlp/stripped/model.h5"]
)
def test_every_name_in_a_command_is_defined_or_explained(name: str) -> None:
    commands = [option.command for option in mi.plan(fixture_path(name), only=_FORMS).options]
    assert commands
    for command in commands:
        names = [node for node in ast.walk(ast.parse(command)) if isinstance(node, ast.Name)]
        bound = {
            alias.asname or alias.name.partition(".")[0]
            for node in ast.walk(ast.parse(command))
            for alias in getattr(node, "names", [])
        }
        bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
        unknown = {node.id for node in names} - bound
        assert unknown <= {"model"}
        assert not unknown or any(line.startswith("# model: ") for line in command.splitlines())
