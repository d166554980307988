"""The hooks, run by pre-commit itself over a repository with models of every format."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.fixtures import fixture_path

PROJECT = Path(__file__).parents[2]
HOOKS = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())
PROGRAM = os.environ.get("PRE_COMMIT", shutil.which("pre-commit") or "")
CLEAN = {
    "keras.h5": "mlp/stripped.h5",
    "model.keras": "keras_zip",
    "model.tflite": "tflite",
    "saved_model": "saved_model/affine",
    "graph.pb": "graph_def",
    "weights.safetensors": "safetensors_files",
}


def first(folder: Path, suffix: str) -> Path:
    return next(path for path in sorted(folder.rglob("*")) if path.suffix == suffix and path.is_file())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    for name, source in CLEAN.items():
        path = fixture_path(source)
        if "." not in name:
            shutil.copytree(path, root / name)
        else:
            shutil.copy(path if path.is_file() else first(path, Path(name).suffix), root / name)
    index = first(fixture_path("checkpoint"), ".index")
    for part in index.parent.glob(f"{index.stem}.*"):
        shutil.copy(part, root / part.name)
    shutil.copytree(first(fixture_path("tfjs"), ".json").parent, root / "web")
    (root / "notes.pb").write_text("not a model")
    (root / "read me.md").write_text("not a model")
    git("init", "-q", cwd=root)
    git("add", "-A", cwd=root)
    git("commit", "-qm", "models", cwd=root)
    return root


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


def as_pre_commit_would(hook: str, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a hook's entry over the files that its pattern takes."""
    import re

    (found,) = (one for one in HOOKS if one["id"] == hook)
    pattern = found.get("files", r"\.md$")  # what pre-commit takes for the type markdown
    files = [name for name in git("ls-files", cwd=root).splitlines() if re.search(pattern, name)]
    command = [sys.executable, *found["entry"].split()[1:], *options, *found["args"], *files]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    return subprocess.run(command, cwd=root, env=environment, check=False, capture_output=True, text=True)


def test_the_hooks_pass_on_a_repository_with_all_formats(repository: Path) -> None:
    linted = as_pre_commit_would("modelinspect-lint", repository)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    (repository / "budget.toml").write_text(
        '[[models]]\npath = "*.h5"\nsize = "30 kB"\n[[models]]\npath = "saved_model"\nsize = "1 MB"\n'
    )
    checked = as_pre_commit_would("modelinspect-check", repository)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 of 2 models" in checked.stdout
    assert "'notes.pb' is not a model" in checked.stderr


def test_a_saved_model_is_checked_once_as_a_folder(repository: Path) -> None:
    linted = as_pre_commit_would("modelinspect-lint", repository)
    headings = [line for line in linted.stdout.splitlines() if line.startswith("saved_model")]
    assert len(headings) == 1


def test_the_lint_hook_fails_on_unsafe_content_and_not_on_waste(repository: Path) -> None:
    shutil.copy(fixture_path("mlp/wrapped.h5"), repository / "wasteful.h5")
    git("add", "-A", cwd=repository)
    assert as_pre_commit_would("modelinspect-lint", repository).returncode == 0
    shutil.copy(fixture_path("unsafe/lambda_keras3.keras"), repository / "bad.keras")
    git("add", "-A", cwd=repository)
    assert as_pre_commit_would("modelinspect-lint", repository).returncode == 1


def test_the_embed_hook_fails_where_a_document_is_stale_and_fills_it_when_asked(repository: Path) -> None:
    document = repository / "-sizes.md"
    document.write_text("<!-- modelinspect: tensors keras.h5 -->\n<!-- /modelinspect -->\n")
    git("add", "-A", cwd=repository)
    stale = as_pre_commit_would("modelinspect-embed", repository)
    assert (stale.returncode, "-sizes.md:1" in stale.stdout) == (1, True), stale.stderr
    (hook,) = (one for one in HOOKS if one["id"] == "modelinspect-embed")
    filled = [sys.executable, *hook["entry"].split()[1:], "--", document.name]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    subprocess.run(filled, cwd=repository, env=environment, check=True, capture_output=True)
    assert as_pre_commit_would("modelinspect-embed", repository).returncode == 0


@pytest.mark.skipif(not PROGRAM, reason="needs pre-commit; PRE_COMMIT may name it")
def test_pre_commit_itself_runs_both_hooks(repository: Path, tmp_path: Path) -> None:
    (repository / "budget.toml").write_text('[[models]]\npath = "*.h5"\nsize = "30 kB"\n')
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    for hook in ("modelinspect-lint", "modelinspect-check"):
        command = [PROGRAM, "try-repo", str(PROJECT), hook, "--all-files", "--verbose"]
        done = subprocess.run(
            command, cwd=repository, env=environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Passed" in done.stdout
