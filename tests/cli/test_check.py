"""The command ``check``: budgets, locks, exit codes, forms, and the files that run it in CI."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import modelinspect
from modelinspect.errors import UsageError
from modelinspect.reports.schemas import schema
from tests.support.cli import CliResult, run_cli
from tests.support.fixtures import fixture_path

MODEL = "mlp/stripped.h5"


def budget(folder: Path, text: str) -> Path:
    path = folder / "budget.toml"
    path.write_text(text, encoding="utf-8")
    return path


def check(folder: Path, text: str, *options: str, model: str = MODEL) -> CliResult:
    return run_cli("check", fixture_path(model), "--budget", budget(folder, text), *options, cwd=folder)


def one(table: dict[str, Any], model: str = MODEL) -> tuple[bool, float | None]:
    """Return the verdict and the number of a budget of one limit."""
    report = modelinspect.check(fixture_path(model), table)
    assert report.passed == report.checks[0].ok
    assert len(report.checks) == 1
    return report.checks[0].ok, report.checks[0].actual


def test_each_limit_counts_what_inspect_counts() -> None:
    said = modelinspect.inspect(fixture_path(MODEL)).to_dict()
    assert one({"size": said["artifact"]["size"]}) == (True, said["artifact"]["size"])
    assert one({"size": said["artifact"]["size"] - 1})[0] is False
    for name, size in said["categories"].items():
        assert one({"categories": {name: size}}) == (True, size)
    kernel = [tensor for tensor in said["tensors"] if tensor["layer"] == "dense"]
    assert one({"layers": {"dense": 10**6}}) == (True, sum(tensor["stored_size"] for tensor in kernel))
    matrix = next(tensor for tensor in kernel if len(tensor["shape"]) == 2)
    assert one({"sparsity": {"dense": 0.5}})[1] == matrix["zero_count"] / matrix["element_count"]
    weights = [tensor for tensor in said["tensors"] if tensor["role"] in ("weight", "statistic", "constant")]
    used = sum((tensor["element_count"] - tensor["zero_count"]) * 4 for tensor in weights)
    assert one({"efficiency": 0.1})[1] == used / said["artifact"]["size"]


def test_the_compressed_size_is_the_one_that_the_compressor_gives() -> None:
    data = fixture_path(MODEL).read_bytes()
    made = io.BytesIO()
    with gzip.GzipFile(
        Path(MODEL).name, "wb", 9, made, 0
    ) as file:  # as gzip does, with the name of the file in the header
        file.write(data)
    assert one({"compressed": {"gzip": 10**6}}) == (True, len(made.getvalue()))
    for name in ("zstd", "brotli"):
        size = one({"compressed": {name: 10**6}})[1]
        assert size is not None
        assert 0 < size < len(data)


def test_a_folder_is_compressed_as_one_archive() -> None:
    ok, size = one({"compressed": {"gzip": "1 MB"}}, "saved_model/affine")
    assert ok
    assert size is not None
    assert 0 < size < modelinspect.open(fixture_path("saved_model/affine")).size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (1_000, 1_000),
        ("1 kB", 1_000),
        ("1.5 MB", 1_500_000),
        ("300 KiB", 307_200),
        ("1,000", 1_000),
        ("2 GiB", 2 << 30),
        ("7B", 7),
    ],
)
def test_sizes_are_written_in_bytes_or_units(text: int | str, size: int) -> None:
    assert modelinspect.check(fixture_path(MODEL), {"size": text}).checks[0].limit == size


def test_a_pattern_without_a_layer_fails_instead_of_checking_nothing() -> None:
    for key, limit in (("layers", 10**9), ("sparsity", 0.0)):
        report = modelinspect.check(fixture_path(MODEL), {key: {"dens": limit}})
        assert not report.passed
        assert report.checks[0].actual is None
        assert "nothing was checked; there are dense" in report.checks[0].message


def test_the_worst_layer_decides() -> None:
    report = modelinspect.check(fixture_path(MODEL), {"layers": {"dense*": 100}})
    assert "2 layers in all" in report.checks[0].message
    assert not report.passed


def test_exit_codes_tell_kept_exceeded_and_refused(tmp_path: Path) -> None:
    assert check(tmp_path, "size = 100_000").code == 0
    assert check(tmp_path, "size = 100").code == 1
    assert run_cli("check", tmp_path / "gone.h5", "--budget", tmp_path / "budget.toml").code == 3
    (tmp_path / "budget.toml").rename(tmp_path / "other.toml")
    assert run_cli("check", fixture_path(MODEL), cwd=tmp_path).code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sise = 1", "did you mean size?"),
        ("[categorie]\nfree = 1", "did you mean categories?"),
        ("[categories]\nfre = 1", "did you mean free?"),
        ("[compressed]\ngzipp = 1", "did you mean gzip?"),
        ("[growth]\nsice = 1", "did you mean size?"),
        ("size = -1", "cannot be negative"),
        ('size = "-5 MB"', "cannot be negative"),
        ("[layers]\na = -2", "cannot be negative"),
        ("[sparsity]\na = -0.1", "share from 0 to 1"),
        ("[sparsity]\na = 80", "share from 0 to 1"),
        ("efficiency = 1.5", "share from 0 to 1"),
        ("size = 1.5", "write bytes"),
        ("size = true", "write bytes"),
        ('size = "5 %"', "a number of bytes"),
        ("size = [1]", "write bytes"),
        ("layers = 5", "must be a table"),
        ("lock = 5", "lock is 5; expected `str`"),
        ("", "asks nothing"),
        ("size = ", "is not TOML"),
    ],
)
def test_a_wrong_budget_is_said_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    result = check(tmp_path, text)
    assert result.code == 2, result
    assert result.out == b""
    assert result.err.count("\n") == 1
    assert said in result.err


def test_a_missing_budget_or_lock_is_said(tmp_path: Path) -> None:
    result = run_cli("check", fixture_path(MODEL), "--budget", tmp_path / "gone.toml")
    assert (result.code, "No such file" in result.err) == (2, True)
    result = check(tmp_path, "[growth]\nsize = 0")
    assert (result.code, "--update-lock" in result.err) == (2, True)


def test_growth_is_measured_against_the_lock(tmp_path: Path) -> None:
    text = "[growth]\nsize = 0\ngraph = 0\noptimizer-state = 0\ngzip = 0\n"
    assert check(tmp_path, text, "--update-lock").code == 0
    lock = (tmp_path / "budget.lock").read_bytes()
    assert set(json.loads(lock)) == {"schema", "size", "categories", "compressed"}
    assert check(tmp_path, text).code == 0
    grown = check(tmp_path, text, "--format", "json", model="mlp/original.h5")
    assert grown.code == 1
    found = {entry["subject"]: entry for entry in json.loads(grown.text)["checks"]}
    assert (
        found["size"]["actual"]
        == fixture_path("mlp/original.h5").stat().st_size - fixture_path(MODEL).stat().st_size
    )
    assert not found["optimizer-state"]["ok"]
    assert check(tmp_path, text.replace("size = 0", 'size = "1000 %"'), model="mlp/original.h5").code == 1
    assert check(tmp_path, text, "--update-lock").code == 0
    assert (tmp_path / "budget.lock").read_bytes() == lock


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "modelinspect.lock/1", "size": -1}',
        '{"schema": "modelinspect.lock/1", "size": 1, "categories": 3}',
        '{"size": 1}',
    ],
)
def test_a_broken_lock_is_said_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "budget.lock").write_text(text)
    result = check(tmp_path, "[growth]\nsize = 0")
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_a_lock_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    result = check(tmp_path, 'lock = "gone/budget.lock"\nsize = 1', "--update-lock")
    assert result.code == 3
    assert "cannot be written" in result.err
    result = check(tmp_path, "size = 1", "-o", str(tmp_path / "gone" / "report.txt"))
    assert result.code == 3


def test_the_json_follows_its_schema_and_markdown_is_a_table(tmp_path: Path) -> None:
    said = json.loads(check(tmp_path, "size = 100\n[sparsity]\n'dense*' = '10 %'", "--format", "json").text)
    jsonschema.validate(said, schema("check"))
    assert [entry["check"] for entry in said["checks"]] == ["size", "sparsity"]
    markdown = check(tmp_path, "size = 100", "--format", "markdown").text
    assert "| `size` |" in markdown
    assert "exceeded" in markdown


def test_pyproject_may_name_the_budget(tmp_path: Path) -> None:
    budget(tmp_path, "size = 100")
    (tmp_path / "pyproject.toml").write_text('[tool.modelinspect.check]\nbudget = "budget.toml"\n')
    (tmp_path / "inner").mkdir()
    assert run_cli("check", fixture_path(MODEL), cwd=tmp_path / "inner").code == 1


def test_a_table_is_a_budget_too_and_refused_the_same() -> None:
    with pytest.raises(UsageError, match="did you mean layers"):
        modelinspect.check(fixture_path(MODEL), {"layer": {}})


def test_forty_columns_are_enough(tmp_path: Path) -> None:
    path = budget(tmp_path, "size = 100\nefficiency = 0.9\n[categories]\noptimizer-state = 0")
    text = run_cli("check", "stripped.h5", "--budget", path, columns=40, cwd=fixture_path(MODEL).parent).text
    assert max(map(len, text.splitlines())) <= 40 + len(str(tmp_path))
