"""A study under several TensorFlow releases: their environments, and what is said of a release that does not
install. pip is played.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from modelinspect.pruning.artifacts import Inspect
from modelinspect.pruning.errors import JobError
from modelinspect.pruning.events import WarningEvent
from modelinspect.pruning.job import Job
from modelinspect.pruning.process import run_worker
from modelinspect.pruning.releases import RELEASES, choose_releases, environment_of, requirements
from modelinspect.pruning.stage import Watch
from modelinspect.pruning.study import release_study
from modelinspect.pruning.study_plan import RELEASES_RECIPE, read_recipe, runs_of
from modelinspect.reports.manifest import PruneReport
from tests.pruning.test_study import SMALL, never, played


def pip(command: Sequence[str]) -> tuple[int, str]:
    """Make a folder as venv does, and install nothing; TensorFlow 2.99 does not exist."""
    if "venv" in command:
        (Path(command[-1]) / "bin").mkdir(parents=True)
        return 0, ""
    if "tensorflow==2.99.*" in command:
        return (
            1,
            (
                "WARNING: a slow day\nERROR: Could not find a version\nERROR: No matching distribution found"
                " for tensorflow==2.99.*\n\n"
            ),
        )
    return 0, ""


def playing(worker: Sequence[str]) -> object:
    release = Path(worker[0]).parts[-4]

    def prune(job: Job, target: Path, inspect: Inspect, watch: Watch) -> PruneReport:
        report = played(job, target, inspect, watch)
        rows = report.artifacts
        if release == "2.18":  # what this release changes
            categories = rows[0].categories
            assert categories is not None
            graph = type(categories)(
                **{name: 7 if name == "graph" else 0 for name in categories.__struct_fields__}
            )
            rows = (replace(rows[0], size=(rows[0].size or 0) + 7, categories=graph), *rows[1:])
        return replace(report, versions={"tensorflow": f"{release}.1"}, artifacts=rows)

    return prune


def replace(value: object, **changes: object) -> object:
    import msgspec

    return msgspec.structs.replace(value, **changes)


def test_each_release_is_done_once_and_one_that_does_not_install_is_a_row_with_the_reason(
    tmp_path: Path,
) -> None:
    runs = runs_of(SMALL)
    for _ in range(2):
        outcome = release_study(
            runs, ("2.16", "2.18", "2.99"), tmp_path, never, workers=1, do=playing, install=pip
        )
    assert outcome.failed == ()
    assert outcome.notes[0] == "TensorFlow 2.99: No matching distribution found for tensorflow==2.99.*"
    with (tmp_path / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["release"], row["tensorflow"]) for row in rows} == {("2.16", "2.16.1"), ("2.18", "2.18.1")}
    assert len(rows) == outcome.cell_count == 2 * 4 * 3
    text = (tmp_path / "releases.md").read_text()
    assert "| 2.99 |" in text
    assert "No matching distribution" in text
    assert "8 have the same size under every release, 4 do not" in text
    assert "| mlp stripped h5 | 500 | 507 | graph +7 |" in text
    assert not (tmp_path / "releases" / "2.99" / "environment").exists()


def test_an_environment_is_made_once_and_again_when_its_packages_change(tmp_path: Path) -> None:
    calls: list[str] = []

    def counting(command: Sequence[str]) -> tuple[int, str]:
        calls.append(command[2])
        return pip(command)

    first = environment_of("2.16", tmp_path, counting)
    assert environment_of("2.16", tmp_path, counting) == first
    assert calls == ["venv", "pip"]
    (tmp_path / "environment" / "ready.txt").write_text("something else\n")
    environment_of("2.16", tmp_path, counting)
    assert calls == ["venv", "pip"] * 2


def test_the_worker_starts_isolated_with_this_package_alone_beside_the_environment(tmp_path: Path) -> None:
    """A real virtual environment with nothing in it but pip: the worker is found, and TensorFlow is not."""
    environment = environment_of(
        "2.16", tmp_path, lambda command: pip(command) if "pip" in command else venv(command)
    )
    assert environment.reason == ""
    specs = (
        "u.find_spec('modelinspect.pruning.worker') is not None, u.find_spec('tensorflow') is None,"
        " u.find_spec('pytest') is None"
    )
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import importlib.util as u; print({specs})"
    look = (*environment.worker[:3], code, environment.worker[-1])
    assert subprocess.run(look, capture_output=True, text=True, check=True).stdout == "True True True\n"


def venv(command: Sequence[str]) -> tuple[int, str]:
    return subprocess.run([*command, "--without-pip"], capture_output=True, check=False).returncode, ""


def test_the_worker_of_another_environment_is_the_one_that_is_run(tmp_path: Path) -> None:
    body = (
        "import json, sys\nsys.stdin.readline()\nfor event in ({'type': 'warning', 'message': 'here'},"
        " {'type': 'done'}): print(json.dumps(event), flush=True)"
    )
    assert list(run_worker(runs_of(SMALL)[0].job, tmp_path, (sys.executable, "-c", body))) == [
        WarningEvent("here")
    ]


def test_releases_are_read_from_the_command_line() -> None:
    assert choose_releases("2.16, 2.18.1,2.16") == ("2.16", "2.18.1")
    assert choose_releases("all") == RELEASES
    assert requirements("2.18.1")[:2] == ("tensorflow==2.18.1", "tf-keras==2.18.*")
    assert requirements("2.16")[0] == "tensorflow==2.16.*"
    for wrong in ("2", "--index-url=x", "2.16;rm", "2.16,latest", ","):
        with pytest.raises(JobError, match="--releases takes"):
            choose_releases(wrong)


def test_the_recipe_for_releases_saves_every_stage_in_every_way() -> None:
    runs = runs_of(read_recipe(RELEASES_RECIPE))
    assert {str(stage) for run in runs for stage in run.job.stages} == {"original", "wrapped", "stripped"}
