"""What `import modelinspect` offers, on real files."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect import api
from modelinspect.reports.categories import Category
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

ORIGINAL, WRAPPED = "mlp/original.h5", "mlp/wrapped.h5"


def test_a_text_a_path_and_an_open_artifact_give_the_same_report() -> None:
    path = fixture_path(ORIGINAL)
    report = mi.inspect(path)
    assert mi.inspect(str(path)) == report
    assert mi.inspect(mi.open(path)) == report
    assert mi.tensors(mi.open(path)) == mi.tensors(path)


def test_an_artifact_that_is_open_already_needs_no_file_without_measuring(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(fixture_path(ORIGINAL).read_bytes())
    artifact = mi.open(path)
    path.unlink()
    assert mi.inspect(artifact, measure=False).artifact.size == 57_352
    assert len(mi.tensors(artifact, measure=False).tensors) == 13
    with pytest.raises(mi.ModelInspectError, match="No such file"):
        mi.inspect(artifact)


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def test_opening_keeps_no_file_open() -> None:
    before = _open_files()
    artifact = mi.open(fixture_path(ORIGINAL))
    report = mi.inspect(artifact)
    after = _open_files()
    assert after == before
    assert pickle.loads(pickle.dumps(artifact)) == artifact
    assert pickle.loads(pickle.dumps(report)) == report


def test_the_categories_of_a_wrapped_model_are_those_of_its_tensors() -> None:
    report = mi.inspect(fixture_path(WRAPPED)).to_dict()
    assert report["categories"][Category.ZERO_WEIGHTS] == 4 * sum(
        tensor["zero_count"] for tensor in report["tensors"] if tensor["role"] == "weight"
    )
    assert report["categories"][Category.OPTIMIZER_STATE] == sum(
        tensor["stored_size"] for tensor in report["tensors"] if tensor["role"] == "optimizer"
    )
    assert report["categories"][Category.PRUNING_STATE] == sum(
        tensor["stored_size"] for tensor in report["tensors"] if tensor["role"] == "pruning"
    )


def test_without_measuring_no_weight_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "measure_files", None)
    report = mi.inspect(fixture_path(WRAPPED), measure=False)
    assert report.measured is False
    assert report.categories.zero_weights == 0


def test_bytes_are_rolled_up_by_names_of_keys() -> None:
    report = mi.inspect(fixture_path(WRAPPED), by=["layer", "category"], top=2)
    assert report.rollup is not None
    assert sum(row.size for row in report.rollup.rows) == report.artifact.size
    assert len(report.rollup.rows) == 3


def test_progress_is_told_up_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    mi.inspect(fixture_path(WRAPPED), progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)


@pytest.mark.parametrize("location", ["", "a\0b", "/nonexistent/x.h5", Path("/nonexistent")])
def test_what_cannot_be_opened_is_a_modelinspect_error(location: str | Path) -> None:
    with pytest.raises(mi.ModelInspectError):
        mi.open(location)


def test_strict_raises_where_parsing_would_go_on(tmp_path: Path) -> None:
    path = tmp_path / "cut.h5"
    path.write_bytes(fixture_path(ORIGINAL).read_bytes()[:-1])
    assert mi.open(path).diagnostics
    with pytest.raises(mi.FormatError, match="truncated"):
        mi.open(path, strict=True)


def test_limits_reach_the_parser() -> None:
    with pytest.raises(mi.LimitError):
        mi.open(fixture_path(ORIGINAL), limits=mi.Limits(regions=10))


@pytest.mark.parametrize("command", ["inspect", "tensors", "explain", "lint"])
def test_print_writes_what_the_command_line_shows(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = fixture_path(ORIGINAL)
    report = getattr(mi, command)(path)
    print(report)
    assert capsys.readouterr().out == run_cli(command, path).text
    assert repr(report).startswith(f"{type(report).__name__}(")


def test_a_plan_a_check_and_a_difference_are_text_too(tmp_path: Path) -> None:
    path, budget = fixture_path(ORIGINAL), tmp_path / "budget.toml"
    budget.write_text("size = 1\n")
    assert f"{mi.diff(path, fixture_path(WRAPPED))}\n" == run_cli("diff", path, fixture_path(WRAPPED)).text
    assert f"{mi.check(path, budget)}\n" == run_cli("check", path, "-b", budget).text
    assert f"{mi.plan(path, only=['gzip-9'])}\n" == run_cli("plan", path, "--only", "gzip-9").text


def test_the_first_report_of_a_process_is_text_whatever_made_it() -> None:
    for call in ("lint(path)", "plan(path, only=['gzip-9'])", "check(path, {'size': 1})"):
        code = (
            "import sys, modelinspect as mi; path = sys.argv[1];"
            f" print(str(mi.{call}).splitlines()[0].split()[0] == path)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, fixture_path(ORIGINAL)], capture_output=True, text=True, check=True
        )
        assert done.stdout == "True\n"
