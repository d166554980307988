"""Importing the package is cheap, and its public names are there."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import modelinspect

HEAVY = [
    "numpy",
    "h5py",
    "google.protobuf",
    "flatbuffers",
    "rich",
    "typer",
    "click",
    "msgspec",
    "fsspec",
    "tensorflow",
    "keras",
    "pyarrow",
]


def loaded(code: str) -> set[str]:
    """Return which heavy packages a fresh interpreter holds after running some code."""
    script = f"{code}\nimport sys; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_modelinspect_loads_nothing_heavy() -> None:
    assert loaded("import modelinspect") == set()


@pytest.mark.parametrize("name", ["Artifact", "Limits", "ModelInspectError", "Span", "open", "inspect"])
def test_naming_a_public_thing_loads_nothing_heavy(name: str) -> None:
    assert loaded(f"from modelinspect import {name}") == set()


def test_parsing_hdf5_loads_neither_h5py_nor_a_renderer(tmp_path: object) -> None:
    from tests.support.fixtures import fixture_path

    path = fixture_path("mlp/stripped.h5")
    assert not loaded(f"import modelinspect; modelinspect.open({str(path)!r})") & {
        "h5py",
        "rich",
        "typer",
        "tensorflow",
    }


def test_every_public_name_can_be_had_and_is_listed() -> None:
    assert modelinspect.__all__ == sorted(modelinspect.__all__)
    for name in modelinspect.__all__:
        assert getattr(modelinspect, name) is not None
    assert dir(modelinspect) == modelinspect.__all__


def test_the_names_that_type_checkers_see_are_those_that_exist() -> None:
    import ast
    from pathlib import Path

    assert modelinspect.__file__ is not None
    tree = ast.parse(Path(modelinspect.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(modelinspect.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pruned'"):
        _ = modelinspect.pruned  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_package() -> None:
    assert modelinspect.__version__ == import_module("modelinspect.version").VERSION


_COUNTED = """
import io, sys
from modelinspect.cli.main import entry
sys.argv = ["modelinspect", *sys.argv[1:]]
sys.stdout = io.TextIOWrapper(io.BytesIO())
try:
    entry()
finally:
    print(*sys.modules, file=sys.__stdout__)
"""


def everything_of(*arguments: object) -> set[str]:
    """Return all modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNTED, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return set(done.stdout.split())


def modules_of(*arguments: object) -> set[str]:
    """Return our own modules that a command imports."""
    return {name for name in everything_of(*arguments) if name.startswith("modelinspect")}


_SLOW = {
    "typer",
    "click",
    "pydantic",
    "h5py",
    "google",
    "tensorflow",
    "keras",
    "fsspec",
    "jinja2",
    "pyarrow",
    "pandas",
}
"""Packages that take long to import and that these commands do not need for a small HDF5 file."""

_COMMANDS = {"inspect": 224, "map": 130, "lint": 279, "check": 190, "diff": 184}
"""The most modules of our own that each command may import for a small HDF5 file; each takes about half a
millisecond.
"""


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_imports_what_it_needs(command: str, tmp_path: Path) -> None:
    from tests.support.fixtures import fixture_path

    path = fixture_path("mlp/stripped.h5")
    budget = tmp_path / "budget.toml"
    budget.write_text('size = "1 MB"\n')
    more = {"check": ["--budget", budget], "diff": [path]}.get(command, [])
    found = everything_of(command, path, *more)
    ours = {name for name in found if name.startswith("modelinspect")}
    assert len(ours) <= _COMMANDS[command], len(ours)
    assert "modelinspect.encodings.hdf5.walker" in ours
    assert not {name.partition(".")[0] for name in found} & _SLOW
    if command == "inspect":  # no file is written
        assert "tempfile" not in found
    unused = ("analyses.plan", "conversion", "shrinking", "pruning", "renderers.html", "scanning")
    assert not [name for name in ours if name.removeprefix("modelinspect.").startswith(unused)]


def test_help_imports_no_module_that_works() -> None:
    found = modules_of("--help")
    assert len(found) <= 14, found
    assert not any(
        name.startswith(("modelinspect.formats", "modelinspect.api", "modelinspect.encodings"))
        for name in found
    )


def test_inspecting_a_file_imports_the_parsers_of_its_own_format_only() -> None:
    from tests.support.fixtures import fixture_path

    found = modules_of("inspect", fixture_path("mlp/stripped.h5"))
    formats = {
        name.split(".")[2]
        for name in found
        if name.startswith("modelinspect.formats.") and "." in name.removeprefix("modelinspect.formats.")
    }
    assert "hdf5" in formats
    assert not formats & {
        "archives",
        "checkpoint",
        "graph",
        "litertlm",
        "mlir",
        "orbax",
        "preset",
        "safetensors",
        "saved_model",
        "tfjs",
    }
    assert not any(
        name.startswith(
            (
                "modelinspect.pruning",
                "modelinspect.conversion",
                "modelinspect.shrinking",
                "modelinspect.analyses.plan",
            )
        )
        for name in found
    )
