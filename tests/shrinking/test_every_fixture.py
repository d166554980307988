"""Every fixture is shrunk or left alone, proved, and not shrunk twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.core.tensors import Role
from modelinspect.reports.shrink import Outcome
from tests.support.fixtures import fixture_names, fixture_path


def hashes(path: Path) -> dict[str, str]:
    files = sorted(path.parent.glob(f"{path.name}*")) if not path.is_dir() else sorted(path.rglob("*"))
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


@pytest.mark.parametrize("name", fixture_names())
def test_a_fixture_is_smaller_and_proved_or_left_alone_and_a_second_run_changes_nothing(
    name: str, tmp_path: Path
) -> None:
    path = fixture_path(name)
    before = hashes(path)
    output = tmp_path / path.name
    try:
        report = mi.shrink(path, output)
    except mi.ModelInspectError:
        assert not list(tmp_path.iterdir())
        return
    assert hashes(path) == before
    if report.after is None:
        assert report.reason
        assert not list(tmp_path.iterdir())
        return
    assert report.proof is not None
    assert report.proof.equal == report.proof.tensors
    assert report.proof.documents_equal == report.proof.documents
    assert sum(step.saved for step in report.steps) == report.before.size - report.after.size > 0
    compared = mi.compare_content(path, output)
    assert compared.same, compared.differing
    assert mi.open(output).size == report.after.size
    again = mi.shrink(output, in_place=True)
    assert again.outcome == Outcome.UNCHANGED, again.reason
    assert not list(tmp_path.rglob("*.orig")) + list(tmp_path.rglob("*.part"))


def test_the_same_input_gives_the_same_bytes_and_the_same_certificate(tmp_path: Path) -> None:
    reports = [mi.shrink(fixture_path("mlp/original.h5"), tmp_path / f"{number}.h5") for number in range(2)]
    assert (tmp_path / "0.h5").read_bytes() == (tmp_path / "1.h5").read_bytes()
    assert reports[0].certificate == reports[1].certificate is not None


@pytest.mark.parametrize("name", ["checkpoint/adam", "checkpoint_keras3/training", "checkpoint_tf1/shards"])
def test_a_checkpoint_loses_its_optimizer_and_nothing_else(name: str, tmp_path: Path) -> None:
    report = mi.shrink(fixture_path(name), tmp_path / "small", drop=["training"])
    assert report.after is not None, report.reason
    before, after = mi.open(fixture_path(name)), mi.open(tmp_path / "small")
    kept = {tensor.path for tensor in before.tensors if tensor.role is not Role.OPTIMIZER}
    assert len(kept) < len(before.tensors)
    assert {tensor.path for tensor in after.tensors} == kept
    assert mi.shrink(tmp_path / "small", in_place=True, drop=["training"]).outcome == Outcome.UNCHANGED
