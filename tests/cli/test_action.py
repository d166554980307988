"""The GitHub Action: its steps run as they are written, each thing once, for many paths."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from modelinspect.cli.action import MARKER, comment, run
from tests.support.fixtures import fixture_path

PROJECT = Path(__file__).parents[2]
ACTION = yaml.safe_load((PROJECT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}
BUDGET = (
    '[[models]]\npath = "models/*.h5"\nsize = "60 kB"\n[[models]]\npath = "models/affine"\nsize = "60 kB"\n'
)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    for place, source in (("base", "stripped.h5"), ("head", "original.h5")):
        models = tmp_path / place / "models"
        models.mkdir(parents=True)
        shutil.copy(fixture_path(f"mlp/{source}"), models / "a.h5")
    shutil.copy(fixture_path("mlp/stripped.h5"), tmp_path / "head/models/b b.h5")
    shutil.copytree(fixture_path("saved_model/affine"), tmp_path / "head/models/affine")
    (tmp_path / "head/budget.toml").write_text(BUDGET)
    return tmp_path


def step(name: str, job: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT / "src"),
        "GITHUB_STEP_SUMMARY": str(job / "summary.md"),
        "GITHUB_OUTPUT": str(job / "output"),
        **dict.fromkeys(STEPS[name]["env"], ""),
        **environment,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    return subprocess.run(command, env=known, check=False, capture_output=True, text=True, cwd=job / "head")


def test_the_check_step_writes_summary_junit_sarif_and_comment_in_one_run(job: Path) -> None:
    files = {
        "JUNIT": str(job / "junit.xml"),
        "SARIF": str(job / "lint.sarif"),
        "COMMENT": str(job / "comment.md"),
    }
    done = step(
        "Check the models", job, BUDGET="budget.toml", LINT="warning", BASE=str(job / "base"), **files
    )
    assert done.returncode == 0, done.stderr
    assert (job / "output").read_text() == "passed=true\n"
    assert STEPS["Check the models"]["run"].count("python -m") == 1
    assert (job / "summary.md").read_text().count("60,000") == 3
    suites = ElementTree.parse(job / "junit.xml").getroot()
    assert suites.attrib["tests"] == "3"
    (run,) = json.loads((job / "lint.sarif").read_text())["runs"]  # code scanning takes one of a tool
    assert len({artifact["location"]["uri"].split("/")[1] for artifact in run["artifacts"]}) == 3
    text = (job / "comment.md").read_text()
    assert text.startswith(MARKER)
    assert re.findall("<details><summary><b>(.*?)</b>: (.*?) bytes", text) == [("models/a.h5", "+31,696")]
    assert text.count(" is new: ") == 2


def test_named_paths_are_taken_one_a_line_and_an_exceeded_limit_fails_the_step(job: Path) -> None:
    (job / "head/budget.toml").write_text("size = 30_000")
    done = step("Check the models", job, BUDGET="budget.toml", MODELS="models/a.h5\nmodels/b b.h5\n")
    assert done.returncode == 1
    assert (job / "output").read_text() == "passed=false\n"
    assert "models/b b.h5" in done.stdout
    assert "1 of 2 models" in done.stdout


def test_unsafe_content_fails_the_step(job: Path) -> None:
    shutil.copy(fixture_path("unsafe/lambda_keras3.keras"), job / "head/models/bad.keras")
    done = step("Check the models", job, LINT="warning", MODELS="models/bad.keras")
    assert done.returncode == 1
    assert "lambda-code" in done.stdout


def test_the_comment_step_changes_the_comment_of_the_run_before(job: Path, tmp_path: Path) -> None:
    """With a stand-in for GitHub's client that records what it is called with."""
    (tmp_path / "bin").mkdir()
    client = tmp_path / "bin/gh"
    client.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$*" in *paginate*) cat {tmp_path}/old 2>/dev/null'
        " || true;; esac\n"
    )
    client.chmod(0o755)
    (job / "comment.md").write_text(MARKER)
    path = f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"
    known = {"PATH": path, "REPOSITORY": "o/r", "NUMBER": "7", "COMMENT": str(job / "comment.md")}
    assert step("Comment on the pull request", job, **known).returncode == 0
    (tmp_path / "old").write_text("41\n")
    assert step("Comment on the pull request", job, **known).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 4
    assert calls[1].startswith("api --silent repos/o/r/issues/7/comments --field body=@")
    assert calls[3].startswith("api --silent --method PATCH repos/o/r/issues/comments/41 --field body=@")


def test_the_base_step_checks_out_the_base_beside_the_job(tmp_path: Path) -> None:
    def git(*arguments: str, cwd: Path) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
        ).stdout.strip()

    origin, job = tmp_path / "origin", tmp_path / "job"
    origin.mkdir()
    git("init", "-q", "-b", "main", cwd=origin)
    (origin / "m").write_text("before")
    git("add", "-A", cwd=origin)
    git("commit", "-qm", "one", cwd=origin)
    base = git("rev-parse", "HEAD", cwd=origin)
    job.mkdir()
    git("clone", "-q", str(origin), "head", cwd=job)
    (job / "head/m").write_text("after")
    done = step("Fetch the base branch", job, BASE=base, FOLDER=str(job / "base"))
    assert done.returncode == 0, done.stderr
    assert (job / "base/m").read_text() == "before"
    assert (job / "output").read_text() == f"folder={job / 'base'}\n"


def test_a_hostile_name_cannot_end_the_fold_of_a_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "<\u202fdetails><img src=x>`|[a](b).h5"
    for place, source in (("base", "stripped.h5"), ("head", "original.h5")):
        (tmp_path / place).mkdir()
        shutil.copy(fixture_path(f"mlp/{source}"), tmp_path / place / name)
    monkeypatch.chdir(tmp_path / "head")
    text = comment(tmp_path / "base", [name])
    summary = re.search("<summary>(.*)</summary>", text)
    assert summary is not None
    assert re.findall("<[^>]*>", summary[1]) == ["<b>", "</b>"]
    assert str(tmp_path) not in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_a_long_comment_says_how_many_models_did_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelinspect.cli.action._LARGEST_COMMENT", 50)
    monkeypatch.chdir(tmp_path)
    shutil.copy(fixture_path("mlp/stripped.h5"), tmp_path / "a.h5")
    shutil.copy(fixture_path("mlp/stripped.h5"), tmp_path / "b.h5")
    text = comment(tmp_path / "none", ["a.h5", "b.h5"])
    assert "1 more model did not fit" in text


def test_every_action_that_is_used_is_pinned_by_a_hash() -> None:
    for one in ACTION["runs"]["steps"]:
        if "uses" in one:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one["uses"])


def test_a_wrong_budget_is_a_usage_error(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job / "head")
    assert run(["--budget=missing.toml"]) == 2
