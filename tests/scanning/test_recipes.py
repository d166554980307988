"""The recipes of docs/guide/scan.md, run as they are written, where their engine is installed; and its
queries.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from modelinspect.scanning import scan
from tests.scanning.artifacts import make
from tests.support.fixtures import FOLDER

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "scan.md"
_LOCAL = {"RAY_USAGE_STATS_ENABLED": "0", "SPARK_LOCAL_IP": "127.0.0.1"}


def _recipe(heading: str) -> str:
    match = re.search(
        rf"^### {heading}\n\n```python\n(.*?)^```",
        _PAGE.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert match is not None
    return match[1]


def _run(heading: str, folder: Path, ending: str = "") -> str:
    """Run a recipe as its own process: engines leave threads and handlers behind."""
    environment = {
        **os.environ,
        **_LOCAL,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYSPARK_PYTHON": sys.executable,
    }
    command = [sys.executable, "-c", _recipe(heading) + ending]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("heading", "package"), [("Ray", "ray"), ("Beam", "apache_beam"), ("Spark", "pyspark")]
)
def test_the_recipe_of_an_engine_gives_a_row_for_each_model(
    heading: str, package: str, tmp_path: Path
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed; the recipe for {heading} is not run")
    parquet = pytest.importorskip("pyarrow.parquet")
    locations = [location.removeprefix(f"{tmp_path}/") for location in make(tmp_path / "models", 40)]
    if heading == "Ray":
        output = _run(heading, tmp_path, "\nprint(*table.column('location').to_pylist(), sep='\\n')\n")
        found = [line for line in output.splitlines() if line.startswith("models/")]
    else:
        _run(heading, tmp_path)
        found = parquet.read_table(tmp_path / "scanned").column("location").to_pylist()
    assert Counter(found) == Counter(locations)


def test_each_recipe_is_ten_lines_at_most() -> None:
    for heading in ("Ray", "Beam", "Spark"):
        lines = [
            line
            for line in _recipe(heading).splitlines()
            if line and not line.startswith(("import ", "from "))
        ]
        assert len(lines) <= 10


def test_the_queries_of_the_page_answer_on_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.h5").write_bytes(b"broken")
    scan([FOLDER / "mlp", tmp_path / "broken.h5"], into="scanned")
    queries = re.findall(r"^```sql\n(.*?)^```", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    optimizer, pruned, failed = (duckdb.sql(query).fetchall() for query in queries)
    assert optimizer[0][0].endswith("original.h5")
    assert {round(row[2], 1) for row in pruned} == {0.8}
    assert [row[:2] for row in failed] == [("unknown-format", 1)]
