"""``diff``, ``explain`` and ``plan`` on what people give them by mistake: unrelated, unreadable, damaged, the
same twice.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import CliResult, run_cli
from tests.support.fixtures import fixture_path

WHOLE = "pruned_mlp/stripped/model.h5"
COMPARING = ["explain", "diff"]


def report(command: str, *paths: Path) -> dict[str, Any]:
    """Return the JSON of a command that may fail for damage, once its sums hold."""
    told: dict[str, Any] = json.loads(run_cli(command, *paths, "--format", "json").text)
    if command == "explain" and len(paths) > 1:
        assert sum(entry["delta"] for entry in told["causes"]) == told["delta"]
    if command in COMPARING:
        assert sum(told["categories"].values()) == told["delta"]
    return told


def refused(result: CliResult, *words: str) -> None:
    assert result.code == 3
    assert result.out == b""
    (line,) = result.err.splitlines()
    assert line.startswith("modelinspect: ")
    assert all(word in line for word in words), line


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone.h5": (lambda path: None, "No such file or directory"),
    "noise.h5": (lambda path: path.write_bytes(b"nothing of the kind" * 100), "looks like a text file"),
    "nothing.keras": (lambda path: path.touch(), "looks like an empty file"),
    "folder": (lambda path: path.mkdir(), "is an empty folder"),
    "pickle.h5": (lambda path: path.write_bytes(b"\x80\x02}q\x00."), "looks like a Python pickle"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["explain", "diff", "plan"])
def test_what_cannot_be_read_is_named_in_one_line_whichever_side_it_is(
    command: str, name: str, tmp_path: Path
) -> None:
    make, says = BAD[name]
    make(tmp_path / name)
    if command == "plan":
        refused(run_cli(command, tmp_path / name), str(tmp_path / name), says)
        return
    refused(run_cli(command, tmp_path / name, fixture_path(WHOLE)), str(tmp_path / name), says)
    refused(run_cli(command, fixture_path(WHOLE), tmp_path / name), str(tmp_path / name), says)


@pytest.mark.parametrize("command", COMPARING)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("keras_zip/assets.keras", "pruned_mlp/stripped/float32.tflite"),
        ("hdf5_structures/old_chunked.h5", "saved_model/vocabulary"),
        ("saved_model/vocabulary", "hdf5_structures/latest_compact.h5"),
    ],
)
def test_artifacts_with_nothing_in_common_say_so_and_sum(command: str, before: str, after: str) -> None:
    forth, back = (
        report(command, *(fixture_path(name) for name in names))
        for names in ((before, after), (after, before))
    )
    assert forth["delta"] == -back["delta"]
    assert "The artifacts have no tensor in common; their sizes are compared all the same." in forth["notes"]
    assert "no tensor in common" in run_cli(command, fixture_path(before), fixture_path(after)).text


@pytest.mark.parametrize("command", COMPARING)
def test_an_artifact_without_tensors_is_named(command: str) -> None:
    empty = fixture_path("unsafe/lambda_keras3.h5")
    told = report(command, fixture_path(WHOLE), empty)
    assert told["notes"] == [f"{empty} has no tensors; the sizes are compared all the same."]


@pytest.mark.parametrize("command", COMPARING)
def test_a_folder_against_a_file_is_compared_both_ways(command: str) -> None:
    folder, file = (
        fixture_path("pruned_mlp/stripped/saved-model"),
        fixture_path("pruned_mlp/stripped/float32.tflite"),
    )
    assert report(command, folder, file)["delta"] == -report(command, file, folder)["delta"] != 0


def test_a_folder_and_a_prefix_are_planned() -> None:
    for name in ("pruned_mlp/stripped/saved-model", "pruned_mlp/stripped/checkpoint/ckpt-1"):
        told = report("plan", fixture_path(name))
        assert {"gzip-9", "zstd-19"} <= {option["option"] for option in told["options"]}


@pytest.mark.parametrize(
    "name", [WHOLE, "pruned_mlp/stripped/saved-model", "pruned_mlp/stripped/checkpoint/ckpt-1"]
)
def test_the_same_path_twice_differs_in_nothing_and_says_that_it_is_the_same(name: str) -> None:
    path = fixture_path(name)
    told = report("explain", path, path)
    assert (told["delta"], told["causes"]) == (0, [])
    assert told["summary"][0] == "Same size: both are the same file."
    assert {"identical-weights", "baseline-already-sparse"}.isdisjoint(
        finding["rule"] for finding in told["findings"]
    )
    assert "No difference" in run_cli("diff", path, path).text


def test_a_copy_is_told_to_have_the_same_weights(tmp_path: Path) -> None:
    shutil.copy(fixture_path(WHOLE), tmp_path / "copy.h5")
    told = report("explain", fixture_path(WHOLE), tmp_path / "copy.h5")
    assert told["summary"][0].startswith(
        "Same size, because the weights are the same: all 4 tensors have equal elements"
    )


CUT = [
    ("pruned_mlp/stripped/model.h5", 20_000),
    ("pruned_mlp/stripped/float32.tflite", 9_000),
    ("pruned_mlp/stripped/float32.tflite", 2_000),
    ("pruned_mlp/stripped/dynamic-int8.tflite", -200),
    ("pruned_mlp/stripped/model.keras", 15_000),
    ("pruned_mlp/stripped/model.h5.gz", 3_000),
    ("graph_def/frozen.pb", -100),
]


@pytest.mark.parametrize(("name", "size"), CUT)
def test_a_truncated_side_is_shown_as_far_as_it_goes_and_fails(name: str, size: int, tmp_path: Path) -> None:
    whole = fixture_path(name)
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:size])
    for command, paths in (
        ("explain", (whole, cut)),
        ("explain", (cut, whole)),
        ("diff", (whole, cut)),
        ("explain", (cut,)),
        ("plan", (cut,)),
    ):
        done = run_cli(command, *paths)
        assert done.code == 3, (command, done.err)
        assert len(done.err.splitlines()) == 1
        assert done.err.endswith("; the report covers what is there\n")
        assert cut.name in done.err
        if command != "plan":
            assert "Damaged" in done.text
            assert "Smaller forms" not in done.text or paths[-1] == whole
    assert report("explain", whole, cut)["delta"] == cut.stat().st_size - whole.stat().st_size
    refused(run_cli("explain", whole, cut, "--strict"))


def test_a_shard_that_ends_early_is_shown_and_fails(tmp_path: Path) -> None:
    whole = fixture_path("pruned_mlp/stripped/checkpoint/ckpt-1")
    for path in whole.parent.glob(f"{whole.name}.*"):
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[:5_000] if ".data-" in path.name else data)
    done = run_cli("explain", whole, tmp_path / whole.name)
    assert done.code == 3
    assert "Damaged" in done.text


def test_a_shard_that_is_missing_is_found_with_its_bytes(tmp_path: Path) -> None:
    whole = fixture_path("pruned_mlp/stripped/checkpoint/ckpt-1")
    shutil.copy(whole.with_name(f"{whole.name}.index"), tmp_path)
    told = report("explain", whole, tmp_path / whole.name)
    found = {finding["rule"]: finding["bytes"] for finding in told["findings"]}
    assert found["missing-data"] > 10_000
