"""Packed files hold what they were packed from."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import h5py
import numpy as np

from modelinspect.pruning.artifacts import measure_artifact
from modelinspect.pruning.worker.saver import deflate_zip, gzip_file, gzip_hdf5


def model(path: Path) -> Path:
    weights = np.random.default_rng(1).standard_normal((64, 64)).astype("float32")
    weights[np.random.default_rng(2).random((64, 64)) < 0.8] = 0
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"a": "ä"}'
        group = file.create_group("model_weights/dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["kernel:0"] = weights
        group["bias:0"] = np.zeros(64, "float32")
        group["iteration"] = np.int64(7)
        group["words"] = np.array(["a", "b"], dtype=h5py.string_dtype())
        group.create_group("empty")
    return path


def contents(path: Path) -> dict[str, object]:
    found: dict[str, object] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        value = item[()].tolist() if isinstance(item, h5py.Dataset) else None
        found[name] = (value, {key: np.asarray(attribute).tolist() for key, attribute in item.attrs.items()})

    with h5py.File(path) as file:
        found["/"] = dict(file.attrs)
        file.visititems(visit)
    return found


def test_gzipped_hdf5_holds_the_same_and_is_smaller(tmp_path: Path) -> None:
    source = model(tmp_path / "a.h5")
    gzip_hdf5(source, tmp_path / "b.h5")
    assert contents(source) == contents(tmp_path / "b.h5")
    assert (tmp_path / "b.h5").stat().st_size < 0.6 * source.stat().st_size
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["model_weights/dense/kernel:0"].compression == "gzip"
        assert file["model_weights/dense/bias:0"].chunks is None


def test_a_deflated_zip_holds_the_same_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}" * 500)
        archive.writestr("model.weights.h5", bytes(5000))
    deflate_zip(tmp_path / "a.keras", tmp_path / "b.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as one, zipfile.ZipFile(tmp_path / "b.keras") as other:
        assert [(info.filename, one.read(info)) for info in one.infolist()] == [
            (info.filename, other.read(info)) for info in other.infolist()
        ]
        assert all(info.compress_type == zipfile.ZIP_DEFLATED for info in other.infolist())


def test_gzip_is_the_same_every_time(tmp_path: Path) -> None:
    source = model(tmp_path / "a.h5")
    gzip_file(source, tmp_path / "b.gz")
    gzip_file(source, tmp_path / "c.gz")
    assert (tmp_path / "b.gz").read_bytes() == (tmp_path / "c.gz").read_bytes()
    assert gzip.decompress((tmp_path / "b.gz").read_bytes()) == source.read_bytes()


def test_the_measured_gzip_size_is_that_of_the_gzip_file(tmp_path: Path) -> None:
    source = model(tmp_path / "a.h5")
    gzip_file(source, tmp_path / "b.gz")
    assert measure_artifact(source).gzip_size == (tmp_path / "b.gz").stat().st_size
    assert measure_artifact(source).size == source.stat().st_size


def test_a_directory_is_measured_as_the_tar_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "sm" / "variables").mkdir(parents=True)
    (tmp_path / "sm" / "saved_model.pb").write_bytes(b"x" * 700)
    (tmp_path / "sm" / "variables" / "data").write_bytes(bytes(1024))
    measured = measure_artifact(tmp_path / "sm")
    assert measured.size == 1724
    assert 40 < measured.gzip_size < 400
