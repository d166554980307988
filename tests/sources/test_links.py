"""Nothing outside an artifact is read: links that lead out, loops, pipes and devices are passed over and
reported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.fixtures import fixture_path

import modelinspect
from modelinspect.errors import Code, LocationError
from modelinspect.scanning import scan
from modelinspect.sources.local_files import LocalFiles

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
    assert [
        found.code
        for found in artifact.diagnostics
        if place.name in found.problem and found.code is Code.LINK
    ] == [Code.LINK]
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


COMMIT = "0" * 39 + "1"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Lay a Hugging Face folder out as huggingface_hub caches it: every file of the snapshot is a link to a
    blob.
    """
    repository = tmp_path / "hub" / "models--someone--tiny"
    folder = repository / "snapshots" / COMMIT
    (repository / "blobs").mkdir(parents=True)
    folder.mkdir(parents=True)
    for path in fixture_path("hugging_face/both").iterdir():
        data = path.read_bytes()
        name = (
            hashlib.sha256(data).hexdigest()
            if path.suffix == ".safetensors"
            else hashlib.sha1(data).hexdigest()
        )
        (repository / "blobs" / name).write_bytes(data)
        (folder / path.name).symlink_to(Path("..") / ".." / "blobs" / name)
    (tmp_path / "secret").write_bytes(SECRET)
    return folder


def relink(place: Path, target: Path) -> None:
    place.unlink()
    place.symlink_to(target)


def test_a_snapshot_of_the_hugging_face_cache_is_read_as_the_folder_that_it_stands_for(
    snapshot: Path,
) -> None:
    report, plain = (
        modelinspect.inspect(path).to_dict() for path in (snapshot, fixture_path("hugging_face/both"))
    )
    for key in ("categories", "tensors", "facts", "findings", "diagnostics"):
        assert report[key] == plain[key]
    assert not [finding for finding in modelinspect.lint(snapshot).findings if finding.rule == "archive-link"]


def test_a_snapshot_is_read_through_a_link_to_it_and_each_of_its_files_alone(
    snapshot: Path, tmp_path: Path
) -> None:
    (tmp_path / "latest").symlink_to(snapshot)
    assert modelinspect.open(tmp_path / "latest").size == modelinspect.open(snapshot).size
    assert (
        modelinspect.open(snapshot / "model.safetensors").size
        == fixture_path("hugging_face/both/model.safetensors").stat().st_size
    )


@pytest.mark.parametrize(
    "lead",
    [
        lambda snapshot, tmp: tmp / "secret",
        lambda snapshot, tmp: snapshot.parents[1] / "blobs" / "passwords",  # not the name of a blob
        lambda snapshot, tmp: snapshot.parents[1] / "refs" / ("a" * 40),  # not among the blobs
        lambda snapshot, tmp: (
            snapshot.parents[2] / "models--other--one" / "blobs" / ("a" * 40)
        ),  # of another repository
        lambda snapshot, tmp: snapshot.parents[1] / "blobs" / "below" / ("a" * 40),
        lambda snapshot, tmp: snapshot.parents[1] / "blobs" / ("b" * 40),  # a blob that is itself a link out
    ],
    ids=["outside", "no blob", "refs", "another repository", "below the blobs", "through a blob"],
)
def test_links_of_a_snapshot_that_lead_elsewhere_are_not_followed(
    lead: Callable[[Path, Path], Path], snapshot: Path, tmp_path: Path
) -> None:
    blobs = snapshot.parents[1] / "blobs"
    for place in (
        blobs / "passwords",
        snapshot.parents[1] / "refs" / ("a" * 40),
        blobs / "below" / ("a" * 40),
    ):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(SECRET)
    other = snapshot.parents[2] / "models--other--one" / "blobs" / ("a" * 40)
    other.parent.mkdir(parents=True)
    other.write_bytes(SECRET)
    (blobs / ("b" * 40)).symlink_to(tmp_path / "secret")
    relink(snapshot / "README.md", lead(snapshot, tmp_path))
    files = LocalFiles(snapshot)
    assert "README.md" not in files.names()
    assert "README.md" in files.passed_over()
    assert "model.safetensors" in files.names()


@pytest.mark.parametrize("name", ["datasets--someone--tiny", "models"])
def test_other_folders_with_blobs_are_no_snapshots(name: str, snapshot: Path) -> None:
    moved = snapshot.parents[2] / name
    snapshot.parents[1].rename(moved)
    assert not LocalFiles(moved / "snapshots" / COMMIT).names()


def test_a_folder_of_blobs_that_is_a_link_is_not_followed(snapshot: Path, tmp_path: Path) -> None:
    blobs = snapshot.parents[1] / "blobs"
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere")
    assert not LocalFiles(snapshot).names()


def test_a_blob_that_is_exchanged_after_it_was_listed_is_not_followed(snapshot: Path, tmp_path: Path) -> None:
    files = LocalFiles(snapshot)
    assert "config.json" in files.names()
    relink(snapshot / "config.json", tmp_path / "secret")
    with pytest.raises(LocationError):
        files.open("config.json")


def test_the_shards_beside_a_named_index_are_read_through_their_blobs(snapshot: Path) -> None:
    blobs = snapshot.parents[1] / "blobs"
    for path in fixture_path("safetensors_files/sharded").iterdir():
        data = path.read_bytes()
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        place = snapshot / path.name
        place.unlink(missing_ok=True)
        place.symlink_to(Path("..") / ".." / "blobs" / hashlib.sha256(data).hexdigest())
    artifact = modelinspect.open(snapshot / "model.safetensors.index.json")
    assert len(artifact.members) == 3
    assert not artifact.diagnostics


@pytest.mark.parametrize("above", [0, 2, 3], ids=["snapshot", "repository", "cache"])
def test_a_scan_of_the_cache_lists_the_snapshot_once(above: int, snapshot: Path) -> None:
    root = (snapshot, *snapshot.parents)[above]
    rows = scan([str(root)]).artifacts
    assert [(row.format, row.problem) for row in rows] == [("keras-preset", None)]
