"""``explain`` and ``diff`` on what people give them: damaged, missing, unrelated and equal artifacts, and
names of rules.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modelinspect.analyses.explain.meaning import names
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path


def explained(*arguments: str | Path) -> dict[str, object]:
    done = run_cli("explain", *arguments, "--format", "json")
    assert done.code == 0, done.err
    found: dict[str, object] = json.loads(done.text)
    return found


def test_artifacts_with_nothing_in_common_are_compared_all_the_same() -> None:
    report = explained(
        fixture_path("keras_zip/assets.keras"), fixture_path("pruned_mlp/stripped/float32.tflite")
    )
    assert sum(entry["delta"] for entry in report["causes"]) == report["delta"]  # type: ignore[attr-defined]
    assert report["notes"] == [
        "The artifacts have no tensor in common; their sizes are compared all the same."
    ]


@pytest.mark.parametrize("command", ["explain", "diff"])
def test_an_unreadable_side_is_one_line_and_exit_3(command: str, tmp_path: Path) -> None:
    (tmp_path / "noise.h5").write_bytes(b"nothing of the kind" * 100)
    for first, second in (
        (tmp_path / "noise.h5", fixture_path("mlp/stripped.h5")),
        (fixture_path("mlp/stripped.h5"), tmp_path / "gone.h5"),
    ):
        done = run_cli(command, first, second)
        assert done.code == 3
        assert done.out == b""
        assert len(done.err.splitlines()) == 1


def test_a_folder_can_be_compared_with_a_file() -> None:
    report = explained(
        fixture_path("pruned_mlp/stripped/saved-model"), fixture_path("pruned_mlp/stripped/float32.tflite")
    )
    assert sum(entry["delta"] for entry in report["causes"]) == report["delta"] != 0  # type: ignore[attr-defined]
    assert "unexplained" not in {entry["cause"] for entry in report["causes"]}  # type: ignore[attr-defined]


def test_the_same_path_twice_differs_in_nothing() -> None:
    path = fixture_path("pruned_mlp/stripped/model.h5")
    report = explained(path, path)
    assert (report["delta"], report["causes"]) == (0, [])
    assert {"baseline-already-sparse", "identical-weights", "build-noise"}.isdisjoint(
        finding["rule"]
        for finding in report["findings"]  # type: ignore[attr-defined]
    )
    assert "No difference" in run_cli("diff", path, path).text


@pytest.mark.parametrize("command", ["explain", "diff"])
def test_a_truncated_side_is_shown_and_fails(command: str, tmp_path: Path) -> None:
    whole = fixture_path("archives/model.h5.gz")
    done = run_cli(command, whole, fixture_path("archives/cut.h5.gz"))
    assert done.code == 3
    assert "Damaged" in done.text
    assert "truncated" in done.err
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(fixture_path("pruned_mlp/stripped/float32.tflite").read_bytes()[:9_000])
    assert run_cli(command, cut, whole).code in (0, 3)


def test_bytes_that_nobody_named_are_unexplained_and_still_sum(tmp_path: Path) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes(fixture_path("mlp/original.h5").read_bytes()[:40_000])
    done = run_cli("explain", fixture_path("mlp/original.h5"), cut, "--format", "json")
    report = json.loads(done.text)
    assert report["delta"] == 40_000 - fixture_path("mlp/original.h5").stat().st_size
    assert sum(entry["delta"] for entry in report["causes"]) == report["delta"]


@pytest.mark.parametrize("name", names())
def test_the_name_of_a_rule_or_cause_is_explained(name: str) -> None:
    shown = run_cli("explain", name)
    assert shown.code == 0
    assert shown.text.startswith(f"{name}: ")
    assert max(map(len, shown.text.splitlines())) <= 80
    assert explained(name)["name"] == name


def test_a_file_with_the_name_of_a_rule_is_a_file(tmp_path: Path) -> None:
    shutil.copy(fixture_path("mlp/stripped.h5"), tmp_path / "dense-zeros")
    assert run_cli("explain", "dense-zeros", cwd=tmp_path).text.startswith("dense-zeros  25,656 bytes")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pruned_mlp/wrapped/model.keras", "pruned_mlp/stripped/model.keras"),
        ("pruned_mlp/stripped/float32.tflite", "pruned_mlp/stripped/float32-sparse.tflite"),
        ("archives/model.h5.gz", "pruned_mlp/wrapped/saved-model"),
        ("pruned_mlp/wrapped/saved-model", "archives/model.h5.gz"),
    ],
)
def test_the_screen_fits_80_columns(before: str, after: str) -> None:
    lines = run_cli("explain", fixture_path(before), fixture_path(after)).text.splitlines()
    assert (
        max(len(line) for line in lines if not line.startswith(" " * 6)) <= 80
    )  # commands stay whole, to be copied
    assert "Was pruning applied?" in lines or "archives" in after
