"""The commands on real files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.support.cli import run_cli, run_process
from tests.support.fixtures import fixture_path
from tests.support.golden import Golden

ORIGINAL, WRAPPED, STRIPPED = "mlp/original.h5", "mlp/wrapped.h5", "mlp/stripped.h5"


@pytest.mark.parametrize("name", [ORIGINAL, WRAPPED, STRIPPED])
def test_the_first_screen_looks_as_it_was_reviewed(name: str, golden: Golden) -> None:
    path = fixture_path(name)
    result = run_cli(path.name, cwd=path.parent)
    assert (result.code, result.err) == (0, "")
    golden.check(f"{path.stem}.txt", result.out)


def test_inspect_is_the_default_command() -> None:
    path = fixture_path(ORIGINAL)
    plain = run_cli("inspect", path, "--format", "json")
    assert run_cli(path, "--format", "json") == plain
    assert run_cli("--format", "json", path) == plain
    assert run_cli("-f", "json", path) == plain
    assert plain.code == 0


def test_a_file_that_bears_a_command_s_name_is_reached_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "map").write_bytes(fixture_path(STRIPPED).read_bytes())
    assert run_cli("./map", cwd=tmp_path).code == 0


def test_a_file_that_nearly_bears_a_command_s_name_is_inspected(tmp_path: Path) -> None:
    (tmp_path / "tensor").write_bytes(fixture_path(STRIPPED).read_bytes())
    assert run_cli("tensor", "--no-measure", cwd=tmp_path).code == 0


@pytest.mark.parametrize("name", [ORIGINAL, WRAPPED, STRIPPED])
def test_the_json_sums_to_the_size_on_disk(name: str) -> None:
    path = fixture_path(name)
    report = json.loads(run_cli(path, "--format", "json").text)
    assert sum(report["categories"].values()) == report["artifact"]["size"] == path.stat().st_size
    assert report["categories"]["unattributed"] == 0


def test_no_measure_leaves_the_counts_null() -> None:
    report = json.loads(run_cli(fixture_path(WRAPPED), "--no-measure", "--format", "json").text)
    assert {tensor["zero_count"] for tensor in report["tensors"]} == {None}
    assert report["categories"]["zero-weights"] == 0


@pytest.mark.parametrize(
    "keys", ["category", "layer,category", "member,kind,role", "dtype, tensor", "path", "structure"]
)
def test_bytes_rolled_up_by_any_keys_sum_to_the_size(keys: str) -> None:
    path = fixture_path(WRAPPED)
    for top in ([], ["--top", "3"]):
        rollup = json.loads(run_cli(path, "--by", keys, *top, "--format", "json").text)["rollup"]
        assert sum(row["size"] for row in rollup["rows"]) == path.stat().st_size
        rows = list(csv.DictReader(io.StringIO(run_cli(path, "--by", keys, *top, "--format", "csv").text)))
        assert sum(int(row["size"]) for row in rows) == path.stat().st_size


def test_unused_slots_of_b_trees_are_visible() -> None:
    report = json.loads(run_cli(fixture_path(ORIGINAL), "--format", "json").text)
    largest = report["structures"][0]
    assert largest["structure"] == "B-tree node / unused keys and children"
    assert largest["size"] > 5_000


def test_tensors_lists_all_of_them() -> None:
    found = json.loads(run_cli("tensors", fixture_path(WRAPPED), "--format", "json").text)
    kernel = next(tensor for tensor in found["tensors"] if tensor["name"] == "dense/kernel")
    assert (kernel["role"], kernel["dtype"], kernel["shape"], kernel["stored_size"]) == (
        "weight",
        "float32",
        [10, 128],
        5_120,
    )
    assert kernel["zero_count"] == 1_024
    assert {tensor["role"] for tensor in found["tensors"]} >= {"weight", "optimizer", "pruning"}


@pytest.mark.parametrize("top", ["1", "5", "100"])
def test_the_tensors_that_top_leaves_out_are_summed_up(top: str) -> None:
    path = fixture_path(WRAPPED)
    whole = json.loads(run_cli("tensors", path, "--format", "json").text)
    some = json.loads(run_cli("tensors", path, "--top", top, "--format", "json").text)
    left = some["remainder"] or {"stored_size": 0, "count": 0}
    assert sum(tensor["stored_size"] for tensor in some["tensors"]) + left["stored_size"] == sum(
        tensor["stored_size"] for tensor in whole["tensors"]
    )
    assert len(some["tensors"]) + left["count"] == len(whole["tensors"])


@pytest.mark.parametrize("offset", ["0", "0x0", "96", "0x60", "1,000", "25,655"])
def test_the_owner_of_a_byte_is_one_region_that_holds_it(offset: str) -> None:
    path = fixture_path(STRIPPED)
    (region,) = json.loads(run_cli("map", path, "--at", offset, "--format", "json").text)["regions"]
    at = int(offset.replace(",", ""), 0)
    assert region["offset"] <= at < region["offset"] + region["size"]


def test_the_regions_tile_the_file() -> None:
    path = fixture_path(ORIGINAL)
    end = 0
    for region in json.loads(run_cli("map", path, "--format", "json").text)["regions"]:
        assert region["offset"] == end
        end += region["size"]
    assert end == path.stat().st_size


def test_the_hexdump_of_a_range_holds_the_bytes_of_the_file() -> None:
    path = fixture_path(ORIGINAL)
    text = run_cli("map", path, "--hex", "--from", "0", "--size", "256").text
    shown = b"".join(bytes.fromhex(line[6:29]) for line in text.splitlines()[3:])
    assert shown == path.read_bytes()[:256]


def test_the_hexdump_looks_as_it_was_reviewed(golden: Golden) -> None:
    path = fixture_path(ORIGINAL)
    golden.check(
        "hexdump.txt", run_cli("map", path.name, "--hex", "--from", "0", "--size", "512", cwd=path.parent).out
    )


@pytest.mark.parametrize("format", ["terminal", "json", "markdown", "csv"])
@pytest.mark.parametrize(
    "command",
    [["inspect"], ["tensors"], ["map"], ["map", "--hex"], ["map", "--at", "7"], ["inspect", "--by", "layer"]],
)
def test_every_command_writes_every_format_the_same_each_time(command: list[str], format: str) -> None:
    path = fixture_path(STRIPPED)
    first, second = (run_cli(command[0], path, *command[1:], "--format", format) for _ in range(2))
    assert first == second
    assert (first.code, first.err) == (0, "")
    assert first.out.endswith(b"\n")
    if format == "json":
        json.loads(first.text)


def test_no_absolute_path_gets_into_a_report_that_was_not_given() -> None:
    path = fixture_path(STRIPPED)
    for format in ("terminal", "json", "markdown", "csv"):
        assert str(path.parent) not in run_cli(path.name, "--format", format, cwd=path.parent).text


def test_a_folder_of_its_own_process_works_as_a_module() -> None:
    path = fixture_path(STRIPPED)
    result = run_process("tensors", path.name, "--format", "csv", cwd=path.parent)
    assert (result.code, result.err) == (0, "")
    assert result.out == run_cli("tensors", path.name, "--format", "csv", cwd=path.parent).out
