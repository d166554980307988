"""Plain command lines are read without Typer, and as Typer reads them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.cli.commands import COMMANDS, module_name
from modelinspect.cli.main import click_errors
from modelinspect.cli.parameters import Option, declared, for_typer
from modelinspect.cli.quick import _UnusualError, plain_command, values_of
from tests.support.fixtures import fixture_path

WORDS = [
    "a.h5",
    "b.tflite",
    "-",
    "",
    "5",
    "0",
    "-3",
    "007",
    "0.5",
    "1e3",
    "0x200",
    "auto",
    "json",
    "never",
    "terminal",
    "x=y",
    "a b",
    "é",
    "error",
]
ODD = [
    "--",
    "--help",
    "-h",
    "-qf",
    "-ojson",
    "--unknown",
    "--quiet=1",
    "--forma",
    "-1",
    "--top=",
    "--version",
]
seen: dict[str, Any] = {}


@cache
def functions(name: str) -> Callable[..., Any]:
    return import_module(module_name(name)).command


@cache
def with_typer(name: str) -> Any:
    """Return a command of Typer that keeps its values instead of running."""

    @wraps(functions(name))
    def record(**values: Any) -> None:
        seen[name] = values

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name=name)(for_typer(record))
    return typer.main.get_command(app)


def typer_values(name: str, arguments: list[str]) -> Any:
    """Return the values by Typer, None where it refuses the line or answers itself."""
    seen.pop(name, None)
    try:
        with with_typer(name).make_context(name, list(arguments)) as context:
            with_typer(name).invoke(context)
    except (click_errors()[1], typer.Exit, typer.Abort):
        return None
    return seen.get(name)


def quick_values(name: str, arguments: list[str]) -> Any:
    try:
        return values_of(functions(name), arguments)
    except (_UnusualError, ValueError):
        return None


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    name = draw(st.sampled_from(list(COMMANDS)))
    infos = [info for _, _, info in declared(functions(name)) if isinstance(info, Option)]
    options = [part for info in infos for written in info.names for part in written.split("/")]
    line: list[str] = []
    for _ in range(draw(st.integers(0, 6))):
        match draw(st.integers(0, 9)):
            case 0 | 1 | 2:
                line.append(draw(st.sampled_from(WORDS)))
            case 3:
                line.append(draw(st.sampled_from(ODD)))
            case 4 | 5:
                line.append(f"{draw(st.sampled_from(options))}={draw(st.sampled_from(WORDS))}")
            case 6 | 7 | 8:
                line += [draw(st.sampled_from(options)), draw(st.sampled_from(WORDS))]
            case _:
                line.append(draw(st.sampled_from(options)))
    return name, line


@settings(max_examples=250, deadline=None)
@given(lines())
def test_a_line_that_is_read_without_typer_has_the_values_that_typer_reads(
    line: tuple[str, list[str]],
) -> None:
    name, arguments = line
    if (quick := quick_values(name, arguments)) is not None:
        assert quick == typer_values(name, arguments)
        assert [type(value) for value in quick.values()] == [
            type(typer_values(name, arguments)[key]) for key in quick
        ]


@pytest.mark.parametrize(
    "line",
    [
        "inspect a.h5",
        "inspect a.h5 b.h5 --top 5 --no-measure",
        "inspect --format json -o report.json a.h5 --force --color never",
        "inspect a.h5 --limit tensors=5 --limit regions=7 --by layer,category",
        "tensors a.h5 --top=3",
        "map a.h5 --at 0x200 --hex",
        "diff a.h5 b.h5 --json",
        "explain a.h5 b.h5 --no-compressors",
        "explain a.h5 --compressors",
        "lint a.h5 --select unsafe --fail-on error",
        "plan a.h5 --only gzip-9",
        "shrink a.h5 -o b.h5 --level 3 --drop training",
        "check a.h5 --budget budget.toml",
        "scan models --jobs 2",
        "prune mlp -o out --sparsity 0.5 --epochs 2",
        "study -o out --workers 2",
    ],
)
def test_usual_lines_are_read_without_typer(line: str) -> None:
    name, *arguments = line.split()
    quick = quick_values(name, arguments)
    assert quick is not None
    assert quick == typer_values(name, arguments)


def test_help_errors_and_names_that_are_not_files_are_left_to_typer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in (
        [],
        ["--help"],
        ["inspect"],
        ["inspect", "--help"],
        ["missing.h5"],
        ["inspct", "x"],
        ["lint", "x", "--fail-on"],
        ["-"],
    ):
        assert plain_command(line) is None
    (tmp_path / "x.h5").touch()
    found = plain_command(["x.h5"])
    assert found is not None
    assert (found[0], found[1]["paths"]) == (functions("inspect"), ["x.h5"])


def test_a_plain_command_imports_no_typer() -> None:
    code = (
        "import sys, io; from modelinspect.cli.main import main; main(sys.argv[1:])\n"
        "print({'typer', 'click', 'pydantic'} & {*sys.modules}, file=sys.stderr)"
    )
    path = fixture_path("mlp/stripped.h5")
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "set()"
