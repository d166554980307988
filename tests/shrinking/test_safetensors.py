"""Shrink safetensors: the safetensors library reads the same tensors and metadata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import modelinspect as mi
from tests.support.fixtures import fixture_path

safetensors = pytest.importorskip("safetensors")
numpy = pytest.importorskip("safetensors.numpy")


def padded(path: Path, spaces: int = 4096) -> Path:
    """Write two tensors with a header that has white space, as writers leave it that reserve room."""
    numpy.save_file(
        {"a": np.arange(6, dtype="f4").reshape(2, 3), "\N{GREEK SMALL LETTER BETA}": np.ones(5, "i8")},
        path,
        {"format": "np"},
    )
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), indent=1).encode()
    header += b" " * (spaces - len(header))
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    return path


def test_a_header_with_room_loses_it_and_the_library_reads_the_same(tmp_path: Path) -> None:
    before, after = padded(tmp_path / "before.safetensors"), tmp_path / "after.safetensors"
    report = mi.shrink(before, after)
    assert report.after is not None, report.reason
    assert report.before.size - report.after.size > 3800
    with safetensors.safe_open(before, "np") as old, safetensors.safe_open(after, "np") as new:
        assert old.metadata() == new.metadata()
        assert list(old.keys()) == list(new.keys())
        for key in old.keys():  # noqa: SIM118  # no mapping
            np.testing.assert_array_equal(old.get_tensor(key), new.get_tensor(key))
    assert mi.shrink(after, in_place=True).outcome == "unchanged"


def test_shards_keep_their_names_and_tensors(tmp_path: Path) -> None:
    source = fixture_path("safetensors_files/sharded")
    report = mi.shrink(source, tmp_path / "after")
    assert report.after is not None, report.reason
    for path in source.rglob("*.safetensors"):
        old, new = (numpy.load_file(each) for each in (path, tmp_path / "after" / path.relative_to(source)))
        assert old.keys() == new.keys()
        for key, value in old.items():
            np.testing.assert_array_equal(value, new[key])
    index = "model.safetensors.index.json"
    assert json.loads((tmp_path / "after" / index).read_text()) == json.loads((source / index).read_text())


def test_a_key_that_is_there_twice_is_left_alone(tmp_path: Path) -> None:
    path = padded(tmp_path / "twice.safetensors")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"format": "np"', b'"x":"","x":"" '))
    report = mi.shrink(path, tmp_path / "after.safetensors")
    assert report.outcome == "refused"
    assert not (tmp_path / "after.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("litertlm/model.litertlm", "maps the sections in place"),
        ("orbax_checkpoints/keras", "only the library tensorstore writes"),
        ("stablehlo/types.mlirbc", "only the MLIR libraries write"),
    ],
)
def test_formats_that_are_left_alone_have_a_reason(name: str, word: str) -> None:
    report = mi.shrink(fixture_path(name))
    assert report.outcome == "refused"
    assert word in report.reason
