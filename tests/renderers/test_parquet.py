"""Parquet says the same as JSON, in typed columns, to programs that are not ours."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from modelinspect.analyses.summary import list_tensors, summarize
from modelinspect.errors import OutputError
from modelinspect.renderers.registry import OutputFormat, render_bytes
from tests.support.artifacts import Build, pruned_network
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

duckdb = pytest.importorskip("duckdb")
MODEL = "mlp/wrapped.h5"


def asked(query: str, path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query.replace("FILE", f"'{path}'")).fetchall()


def written(folder: Path, *arguments: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return a command's Parquet file and its JSON."""
    path = folder / "table.parquet"
    ran = run_cli(*arguments, "--format", "parquet", "-o", path)
    assert (ran.code, ran.err) == (0, "")
    return path, json.loads(run_cli(*arguments, "--format", "json").text)


def test_duckdb_finds_the_regions_that_the_json_tells(tmp_path: Path) -> None:
    path, said = written(tmp_path, "map", fixture_path(MODEL))
    rows = asked(
        'select member, "offset", size, kind, path, tensor from FILE order by member, "offset"', path
    )
    assert rows == [
        (
            region["member"],
            region["offset"],
            region["size"],
            region["kind"],
            " / ".join(region["path"]) or None,
            region["tensor"],
        )
        for region in said["regions"]
    ]
    assert asked("select sum(size) from FILE", path) == [(said["artifact"]["size"],)]


def test_duckdb_finds_the_tensors_that_the_json_tells(tmp_path: Path) -> None:
    path, said = written(tmp_path, "tensors", fixture_path(MODEL))
    names = (
        "name",
        "layer",
        "role",
        "dtype",
        "storage",
        "stored_size",
        "logical_size",
        "element_count",
        "zero_count",
        "negative_zero_count",
    )
    assert asked(f"select {', '.join(names)} from FILE", path) == [
        tuple(entry[name] for name in names) for entry in said["tensors"]
    ]


def test_duckdb_finds_the_categories_that_the_json_tells(tmp_path: Path) -> None:
    path, said = written(tmp_path, "inspect", fixture_path(MODEL))
    assert dict(asked("select category, size from FILE", path)) == said["categories"]
    path.unlink()
    path, said = written(tmp_path, "inspect", fixture_path(MODEL), "--by", "layer,category")
    assert asked("select layer, category, size from FILE", path) == [
        (*row["values"], row["size"]) for row in said["rollup"]["rows"]
    ]


def test_columns_are_typed_also_where_no_row_says_so() -> None:
    out = io.BytesIO()
    render_bytes(list_tensors(Build().artifact()), OutputFormat.PARQUET, out)
    types = {field.name: str(field.type) for field in pyarrow.parquet.read_schema(io.BytesIO(out.getvalue()))}
    assert types["name"] == types["shape"] == "string"
    assert types["stored_size"] == types["zero_count"] == "int64"
    assert types["zero_share"] == "double"


def test_unknown_values_are_null_and_names_with_broken_unicode_pass() -> None:
    build = Build()
    build.tensor("\udc80", (2,), zeros=None)
    out = io.BytesIO()
    render_bytes(list_tensors(build.artifact()), OutputFormat.PARQUET, out)
    (row,) = pyarrow.parquet.read_table(io.BytesIO(out.getvalue())).to_pylist()
    assert row["name"] == "\\udc80"
    assert row["zero_count"] is None


def test_a_number_beyond_64_bits_is_refused() -> None:
    build = Build()
    build.tensor("huge", (2**62, 2**62), dtype="int8", pieces=(8,))
    with pytest.raises(OutputError, match="64 bits"):
        render_bytes(list_tensors(build.artifact()), OutputFormat.PARQUET, io.BytesIO())


def test_the_same_report_gives_the_same_bytes() -> None:
    one, other = io.BytesIO(), io.BytesIO()
    for out in (one, other):
        render_bytes(summarize(pruned_network().artifact()), OutputFormat.PARQUET, out)
    assert one.getvalue() == other.getvalue()


def test_parquet_needs_a_file_to_go_to() -> None:
    ran = run_cli("map", fixture_path(MODEL), "--format", "parquet")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err == "modelinspect: parquet is binary; name a file with --output\n"
