"""A budget of several models: patterns, one lock with an entry for each, a first budget from today's
sizes.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import jsonschema
import pytest

from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

SCHEMAS = Path(__file__).parents[2] / "docs/schemas"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("original.h5", "stripped.h5"):
        shutil.copy(fixture_path(f"mlp/{name}"), models / name)
    shutil.copytree(fixture_path("saved_model/affine"), models / "affine")
    return tmp_path


def budget(folder: Path, text: str) -> Path:
    path = folder / "budget.toml"
    path.write_text(text)
    return path


def test_every_model_that_a_pattern_matches_is_checked(folder: Path) -> None:
    budget(
        folder,
        '[[models]]\npath = "models/*.h5"\nsize = "60 kB"\n[[models]]\npath = "models/affine"\nsize = "30'
        ' kB"\n',
    )
    ran = run_cli("check", "--json", cwd=folder)
    found = json.loads(ran.text)
    jsonschema.validate(found, json.loads((SCHEMAS / "check-all.json").read_text()))
    assert ran.code == 1
    verdicts = {one["artifact"]["location"]: one["passed"] for one in found["reports"]}
    assert verdicts == {"models/original.h5": True, "models/stripped.h5": True, "models/affine": False}
    assert found["passed"] is False


def test_passing_and_failing_runs_show_numbers_units_and_what_to_do(folder: Path) -> None:
    budget(
        folder,
        '[[models]]\npath = "models/original.h5"\nsize = "60 kB"\n[[models]]\npath ='
        ' "models/stripped.h5"\nsize = "20 kB"\n',
    )
    text = run_cli("check", cwd=folder, columns=100).text
    assert "57,352" in text
    assert "60,000" in text
    assert "2.6 KiB left" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "25,656" in text
    assert "modelinspect shrink models/stripped.h5 --check" in " ".join(text.split())
    assert "1 of 2 models" in text


def test_a_first_budget_is_written_from_todays_sizes_and_passes(folder: Path) -> None:
    assert run_cli("check", "models", "--init", cwd=folder).code == 0
    written = tomllib.loads((folder / "budget.toml").read_text())
    assert [one["path"] for one in written["models"]] == [
        "models/affine",
        "models/original.h5",
        "models/stripped.h5",
    ]
    for one in written["models"]:
        path = folder / one["path"]
        size = sum(
            file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()
        )
        assert size * 1.05 <= one["size"] + 1 <= size * 1.07
    lock = json.loads((folder / "budget.lock").read_text())
    assert lock["schema"] == "modelinspect.lock/2"
    assert {name: one["size"] for name, one in lock["models"].items()}["models/original.h5"] == 57_352
    assert run_cli("check", cwd=folder).code == 0
    again = run_cli("check", "models", "--init", cwd=folder)
    assert (again.code, "--force" in again.err) == (2, True)


def test_growth_is_compared_with_the_entry_of_the_same_model(folder: Path) -> None:
    assert run_cli("check", "models", "--init", cwd=folder).code == 0
    shutil.copy(fixture_path("mlp/wrapped.h5"), folder / "models/original.h5")
    found = json.loads(run_cli("check", "--json", cwd=folder).text)
    grown = {
        one["artifact"]["location"]: [c["actual"] for c in one["checks"] if c["check"] == "growth"]
        for one in found["reports"]
    }
    assert grown == {"models/affine": [0], "models/original.h5": [72_012 - 57_352], "models/stripped.h5": [0]}
    assert (
        run_cli("check", "models/original.h5", "--update-lock", cwd=folder).code == 1
    )  # its size is still over the limit
    lock = json.loads((folder / "budget.lock").read_text())
    assert {name: one["size"] for name, one in lock["models"].items()} == {
        "models/affine": lock["models"]["models/affine"]["size"],
        "models/original.h5": 72_012,
        "models/stripped.h5": 25_656,
    }


def test_a_new_model_without_an_entry_in_the_lock_fails(folder: Path) -> None:
    assert run_cli("check", "models/original.h5", "--init", cwd=folder).code == 0
    text = (folder / "budget.toml").read_text().replace("models/original.h5", "models/*.h5")
    (folder / "budget.toml").write_text(text)
    found = json.loads(run_cli("check", "--json", cwd=folder).text)
    unlocked = [c for one in found["reports"] for c in one["checks"] if c["actual"] is None]
    assert [(c["check"], c["ok"]) for c in unlocked] == [("growth", False)]


def test_paths_choose_among_the_listed_models_and_others_are_named(folder: Path) -> None:
    budget(folder, '[[models]]\npath = "models/*.h5"\nsize = "60 kB"\n')
    found = json.loads(run_cli("check", "models/stripped.h5", "models/affine", "--json", cwd=folder).text)
    assert [one["artifact"]["location"] for one in found["reports"]] == ["models/stripped.h5"]
    assert found["unlisted"] == ["models/affine"]


def test_a_pattern_that_matches_nothing_fails_instead_of_checking_nothing(folder: Path) -> None:
    budget(folder, '[[models]]\npath = "modles/*.h5"\nsize = "60 kB"\n')
    ran = run_cli("check", cwd=folder)
    assert ran.code == 3
    assert "modles/*.h5" in ran.text


def test_a_prefix_of_a_checkpoint_is_a_model(folder: Path) -> None:
    for path in fixture_path("checkpoint").rglob("*.index"):
        for part in path.parent.glob(path.stem + ".*"):
            shutil.copy(part, folder / "models" / part.name.replace(path.stem, "ckpt"))
        break
    budget(folder, '[[models]]\npath = "models/ckpt"\nsize = "6 MB"\n')
    found = json.loads(run_cli("check", "--json", cwd=folder).text)
    assert [one["artifact"]["format"] for one in found["reports"]] == ["checkpoint"]


@pytest.mark.parametrize(
    "text",
    [
        "models = []",
        "[[models]]\nsize = 1",
        '[[models]]\npath = "a"',
        'size = 1\n[[models]]\npath = "a"\nsize = 1',
        '[[models]]\npath = "a"\nsize = 1\nlock = "x"',
        '[[models]]\npath = ""\nsize = 1',
    ],
)
def test_a_wrong_budget_is_one_line_and_exit_code_2(folder: Path, text: str) -> None:
    budget(folder, text)
    ran = run_cli("check", cwd=folder)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "budget.toml" in ran.err
