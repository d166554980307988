"""Nothing outside an artifact is read: links that lead out, loops, pipes and devices are passed over and reported."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.support.fixtures import fixture_path

import modelinspect
from modelinspect.errors import Code, LocationError
from modelinspect.scan import scan
from modelinspect.sources.files import LocalFiles

SECRET = b"a secret of this machine" * 10


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(fixture_path("saved_model/affine"), folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tmp_path / "secret").write_bytes(SECRET)
    return folder


def shard(model: Path) -> Path:
    return next((model / "variables").glob("*.data-*"))


def test_a_shard_that_is_a_link_to_another_file_is_not_read(model: Path, tmp_path: Path) -> None:
    place = shard(model)
    place.unlink()
    place.symlink_to(tmp_path / "secret")
    artifact = modelinspect.open(model)
    assert f"variables/{place.name}" not in {member.name for member in artifact.members}
    assert [found.code for found in artifact.diagnostics if place.name in found.problem and found.code is Code.LINK] == [Code.LINK]
    assert "archive-link" in {finding.rule for finding in modelinspect.lint(model).findings}


def test_a_shard_that_is_a_link_within_the_folder_is_read(model: Path) -> None:
    place = shard(model)
    place.rename(model / "elsewhere")
    place.symlink_to(Path("..") / "elsewhere")
    before = modelinspect.inspect(fixture_path("saved_model/affine"))
    after = modelinspect.inspect(model)
    assert [entry.zero_count for entry in after.tensors] == [entry.zero_count for entry in before.tensors]


def test_loops_pipes_and_links_to_folders_are_passed_over(model: Path) -> None:
    (model / "loop").symlink_to("loop")
    (model / "folder").symlink_to("variables")
    (model / "nowhere").symlink_to("missing")
    os.mkfifo(model / "pipe")
    files = LocalFiles(model)
    assert {"loop", "folder", "nowhere", "pipe"}.isdisjoint(files.names())
    assert {"loop", "folder", "nowhere", "pipe"} <= set(files.passed_over())


def test_a_link_that_is_changed_after_it_was_listed_is_not_followed(model: Path, tmp_path: Path) -> None:
    place = shard(model)
    place.rename(model / "elsewhere")
    place.symlink_to(Path("..") / "elsewhere")
    files = LocalFiles(model)
    name = f"variables/{place.name}"
    assert name in files.names()
    place.unlink()
    place.symlink_to(tmp_path / "secret")
    with pytest.raises(LocationError):
        files.open(name)


def test_what_was_named_is_read_through_a_link(model: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(model)
    assert modelinspect.open(tmp_path / "alias").size == modelinspect.open(model).size


def test_the_shard_beside_a_named_index_may_not_lead_out(model: Path, tmp_path: Path) -> None:
    place = shard(model)
    place.unlink()
    place.symlink_to(tmp_path / "secret")
    artifact = modelinspect.open(model / "variables" / "variables.index")
    assert place.name not in {member.name for member in artifact.members}


def test_a_scan_goes_on_past_loops(model: Path) -> None:
    (model / "loop").symlink_to("loop")
    report = scan([str(model.parent)])
    assert any(row.problem is None for row in report.artifacts)
