"""The hook gives file names after ``--``, and a file whose name begins with a dash is a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelinspect.cli.hook import run
from tests.support.fixtures import fixture_path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(fixture_path("unsafe/lambda_keras3.keras"), tmp_path / "-o.keras")
    shutil.copy(fixture_path("unsafe/lambda_keras3.keras"), tmp_path / "bad.keras")
    return tmp_path


def test_a_file_that_begins_with_a_dash_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--select=unsafe", "--", "-o.keras"]) == 1
    assert "lambda-code" in capsys.readouterr().out


def test_a_file_that_could_be_an_option_is_a_mistake_without_the_dashes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["lint", "--select=unsafe", "-o.keras", "bad.keras"]) == 2
    assert "--" in capsys.readouterr().err


def test_options_apply_to_every_file() -> None:
    assert run(["lint", "--select=external-*", "bad.keras"]) == 0
    assert run(["lint", "--select=unsafe", "bad.keras"]) == 1
