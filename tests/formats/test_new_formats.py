"""Every command answers for every format that came with the second round, and says nothing that is not so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.ledger.attribution import attribute
from modelinspect.networks.subject import Subject
from modelinspect.rules.wasteful import quant_params_dominate

FIXTURES = {
    "litertlm": "litertlm/model.litertlm",
    "safetensors": "safetensors_files/mlp.safetensors",
    "safetensors shards": "safetensors_files/sharded",
    "mlir": "stablehlo/types.mlirbc",
    "saved-model with StableHLO": "stablehlo/jax2tf_no_gradient",
    "keras-preset": "keras_presets/sharded",
    "hugging-face": "hugging_face/tf_shards",
    "orbax": "orbax_checkpoints/keras",
    "orbax steps": "orbax_checkpoints/levels",
    "micro": "micro_compression/per_channel.tflite",
}
SHRUNK = {"safetensors shards", "keras-preset", "hugging-face", "micro"}
"""Those that shrink makes smaller; it leaves the others alone, with a reason."""


@pytest.fixture(params=FIXTURES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(kind: str) -> Path:
    return fixture_path(FIXTURES[kind])


def answer(*arguments: str | Path, code: tuple[int, ...] = (0,)) -> dict[str, object]:
    done = run_cli(*arguments, "--format", "json")
    assert done.code in code, (arguments, done.code, done.err)
    found: dict[str, object] = json.loads(done.text)
    return found


def test_what_reads_one_artifact_answers_for_it(path: Path) -> None:
    size = mi.open(path).size
    said = mi.inspect(path).to_dict()
    assert sum(said["categories"].values()) == said["artifact"]["size"] == size
    assert said["categories"]["unattributed"] == 0
    assert said["diagnostics"] == []
    tensors = answer("tensors", path)
    assert len(tensors["tensors"]) == len(mi.open(path).tensors)  # type: ignore[arg-type]
    regions = answer("map", path)["regions"]
    assert sum(region["size"] for region in regions) == size  # type: ignore[attr-defined]
    at = next(region for region in regions if region["size"])  # type: ignore[attr-defined]
    member = ("--member", at["member"]) if len(mi.open(path).members) > 1 else ()
    assert answer("map", path, "--at", str(at["offset"]), *member)
    assert sum(cause["delta"] for cause in mi.explain(path).to_dict()["causes"]) == size
    assert answer("explain", path)
    assert answer("lint", path, code=(0, 1))["findings"] is not None


def test_what_compares_finds_no_difference_to_itself_and_adds_up_to_another(path: Path) -> None:
    assert mi.diff(path, path).delta == 0
    assert mi.compare_content(path, path).same
    other = fixture_path("safetensors_files/types.safetensors")
    found = mi.explain(path, other).to_dict()
    assert sum(cause["delta"] for cause in found["causes"]) == found["delta"]
    assert found["delta"] == found["after"]["size"] - found["before"]["size"]


def test_plan_and_shrink_agree(kind: str, path: Path, tmp_path: Path) -> None:
    report = mi.shrink(path, tmp_path / path.name)
    plan = mi.plan(
        path, only=["gzip-9", "alias-duplicates", "compact-json", "hdf5-repack+hdf5-gzip", "tflite-pack"]
    )
    sizes = {entry.option: entry.size for entry in plan.options}
    assert sizes.pop("gzip-9", 1) > 0
    if kind in SHRUNK:
        assert report.after is not None, report.reason
        assert list(sizes.values()) == [report.after.size]
        assert mi.compare_content(path, tmp_path / path.name).same
    else:
        assert report.after is None
        assert report.reason
        assert not sizes
        assert not list(tmp_path.iterdir())


def test_check_scan_and_html_take_it(path: Path, tmp_path: Path) -> None:
    budget = tmp_path / "budget.toml"
    budget.write_text('size = "1 GB"\n', encoding="utf-8")
    assert run_cli("check", path, "--budget", budget).code == 0
    budget.write_text('size = "100"\n', encoding="utf-8")
    assert run_cli("check", path, "--budget", budget).code == 1
    page = run_cli(path, "--format", "html")
    assert page.code == 0
    assert page.text.lower().startswith("<!doctype html>")
    assert path.name in page.text


@pytest.mark.parametrize("name", ["odd", "0123abcd", "model.bin", "weights.dat"])
@pytest.mark.parametrize("kind", ["litertlm", "safetensors", "mlir", "micro"], indirect=True)
def test_scan_finds_a_file_by_its_first_bytes_under_any_name(
    kind: str, path: Path, name: str, tmp_path: Path
) -> None:
    shutil.copy(path, tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a model", encoding="utf-8")
    report = mi.scan([tmp_path], executor="threads")
    rows = report.to_dict()["artifacts"]
    assert [row["size"] for row in rows] == [path.stat().st_size]
    assert rows[0]["format"] == mi.open(path).format


def remedies(name: str) -> dict[str, str]:
    """Return the remedies of findings and causes by rule or cause."""
    report = mi.explain(fixture_path(name))
    return {each.rule: each.remedy for each in report.findings} | {
        each.cause: each.remedy for each in report.causes
    }


def test_no_remedy_is_given_that_is_not_so() -> None:
    """Locations of StableHLO are in the graph, float32 is larger than a table of values and its indices, and
    zeros of safetensors are not a Keras model's.
    """
    assert not remedies("stablehlo/jax2tf")["debug-info"]
    artifact = mi.open(fixture_path("micro_compression/per_channel.tflite"))
    sizes = attribute(artifact).category_sizes()
    (tables,) = quant_params_dominate.RULE.find(Subject(artifact, None, sizes))
    assert tables.remedy is None
    assert not remedies("safetensors_files/mlp.safetensors")["negative-zeros"]
