"""Pages of Sphinx get what commands print, at build time."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

pytest.importorskip("sphinx")
pytest.importorskip("myst_parser")

MYST = """# A

```{modelinspect} explain ../original.h5 ../stripped.h5 --format markdown --top 2
```

- item

  ```{modelinspect} tensors ../stripped.h5
  ```
"""
RST = """R
=

.. modelinspect:: tensors ../stripped.h5
   --format csv
"""
BAD = {
    "writes.md": "```{modelinspect} inspect original.h5 -o out.txt\n```\n",
    "prune.md": "```{modelinspect} prune original.h5\n```\n",
    "missing.md": "\n\n```{modelinspect} inspect missing.h5\n```\n",
    "quote.md": "```{modelinspect} inspect 'a.h5\n```\n",
    "markdown.rst": ".. modelinspect:: inspect original.h5 --format markdown\n",
}


def build(root: Path, documents: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    for name in ("original.h5", "stripped.h5"):
        shutil.copy(fixture_path(f"mlp/{name}"), root / name)
    (root / "conf.py").write_text(
        "extensions = ['myst_parser', 'modelinspect.integrations.sphinx']\nhtml_theme = 'basic'\n"
    )
    names = "".join(f"   {Path(name).with_suffix('').as_posix()}\n" for name in documents)
    (root / "index.rst").write_text(f"Top\n===\n\n.. toctree::\n\n{names}")
    for name, text in documents.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text if text.startswith(("# ", "R\n")) else f"{_title(name)}{text}")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-b", "pseudoxml", *options, root, root / "out"]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )


def _title(name: str) -> str:
    return "# T\n\n" if name.endswith(".md") else "T\n=\n\n"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good")
    done = build(root, {"sub/a.md": MYST, "sub/r.rst": RST}, "-W", "-n")
    assert done.returncode == 0, done.stderr
    return root


def test_a_page_has_what_the_command_prints(good: Path) -> None:
    page = (good / "out" / "sub" / "a.pseudoxml").read_text()
    shown = run_cli("tensors", "../stripped.h5", cwd=good / "sub").text
    assert all(line.strip() in page for line in shown.splitlines())
    assert 'language="text"' in page


def test_markdown_becomes_tables_and_lists(good: Path) -> None:
    page = (good / "out" / "sub" / "a.pseudoxml").read_text()
    assert "<table" in page
    assert "optimizer-state" in page
    assert "-32,723" in page


def test_restructuredtext_pages_work_too(good: Path) -> None:
    page = (good / "out" / "sub" / "r.pseudoxml").read_text()
    shown = run_cli("tensors", "../stripped.h5", "--format", "csv", cwd=good / "sub").text
    assert all(line in page for line in shown.splitlines())


def test_a_page_depends_on_its_models(good: Path) -> None:
    environment = pickle.loads((good / "out" / ".doctrees" / "environment.pickle").read_bytes())
    names = {Path(path).name for path in environment.dependencies["sub/a"]}
    assert {"original.h5", "stripped.h5"} <= names


def test_what_is_refused_or_fails_is_an_error_at_its_line(tmp_path: Path) -> None:
    done = build(tmp_path, BAD)
    for place, problem in (
        ("writes.md:3", "a document cannot use --output of inspect"),
        ("prune.md:3", "'prune' may write"),
        ("missing.md:5", "missing.h5: cannot be opened"),
        ("quote.md:3", "No closing quotation"),
        ("markdown.rst:4", "--format markdown needs a MyST document"),
    ):
        assert any(place in line and problem in line for line in done.stderr.splitlines()), (
            place,
            done.stderr,
        )
    assert not (tmp_path / "out.txt").exists()
