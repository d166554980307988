"""The demo runs anywhere, on files that come with the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelinspect.cli.demo import ARTIFACTS
from tests.support.cli import run_cli, run_process
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

DATA = PROJECT / "src" / "modelinspect" / "data"
FIXTURES = {"original.h5": "mlp/original_no_optimizer.h5", "pruned.h5": "mlp/stripped.h5"}


def test_the_demo_shows_two_files_of_one_size_and_says_why(tmp_path: Path) -> None:
    result = run_cli("demo", cwd=tmp_path)
    assert result.code == 0
    assert result.err == ""
    for words in (
        "$ modelinspect explain original.h5 pruned.h5 --top 1\noriginal.h5 → pruned.h5  25,656 bytes",
        "Same size, because a zero is stored like any other number",
        "dense-zeros",
        "modelinspect --help",
    ):
        assert words in result.text
    assert str(PROJECT) not in result.text


def test_the_demo_fits_two_screens() -> None:
    assert len(run_cli("demo", columns=80).text.splitlines()) <= 48


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_the_demo_fits_the_terminal(columns: int) -> None:
    lines = run_cli("demo", columns=columns).text.splitlines()
    too_long = [
        line for line in lines if len(line) > columns and not line.startswith(("$", "original.h5", " " * 6))
    ]
    assert too_long == []


def test_the_demo_leaves_the_working_directory_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_cli("demo")
    assert Path.cwd() == tmp_path


def test_the_demos_files_are_fixtures_and_small() -> None:
    for name, fixture in FIXTURES.items():
        assert (DATA / name).read_bytes() == fixture_path(fixture).read_bytes()
    assert sorted(path.name for path in DATA.iterdir()) == sorted(ARTIFACTS)
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 60_000


def test_the_files_are_written_to_a_folder_and_replace_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "models"
    first = run_cli("demo", "-o", folder)
    assert first.code == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(ARTIFACTS)
    again = run_cli("demo", "-o", folder)
    assert again.code == 2
    assert again.err.startswith("modelinspect: ")
    assert "original.h5: exists" in again.err


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run_cli("demo", "-o", tmp_path / "file" / "models")
    assert (result.code, result.out) == (3, b"")
    assert "cannot be written" in result.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = f"{sys.executable} -m modelinspect demo; echo $? >&2"
    done = subprocess.run(["bash", "-c", f"({script}) | head -1"], capture_output=True, text=True, check=True)
    assert done.stderr == "0\n"
    assert done.stdout.startswith("Two Keras models")


def test_the_demo_loads_no_tensorflow() -> None:
    code = (
        "import sys; from modelinspect.cli.main import main; main(['demo']); sys.exit(bool({'tensorflow',"
        " 'keras'} & {*sys.modules}))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


def test_its_help_is_asked_for_and_an_argument_is_refused() -> None:
    assert "Examples" in run_cli("demo", "--help").text
    assert run_process("demo", "model.h5").code == 2
