"""HDF5 files written again: compared with h5repack, read with h5py."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.limits import Limits
from modelinspect.reports.shrink import Outcome
from modelinspect.shrinking.hdf5 import survey
from modelinspect.shrinking.hdf5_copy import Rewrite
from modelinspect.shrinking.hdf5_filters import CHUNK_MOST, chunk_shape
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.sources.local_files import LocalSource
from tests.support.fixtures import fixture_names, fixture_path

MODELS = [name for name in fixture_names(suffix=".h5") if not name.startswith(("hdf5_structures", "unsafe"))]


@pytest.mark.skipif(shutil.which("h5repack") is None, reason="needs h5repack")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_at_least_as_small_as_h5repack_makes_it(name: str, tmp_path: Path) -> None:
    other = tmp_path / "repacked.h5"
    subprocess.run(
        ["h5repack", "-L", "-f", "GZIP=9", fixture_path(name), other], check=True, capture_output=True
    )
    report = mi.shrink(fixture_path(name), tmp_path / "small.h5")
    assert report.after is not None
    assert report.after.size <= other.stat().st_size


def write(path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return path


def test_float_weights_are_shuffled_and_sparse_ones_are_not(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    dense = random.normal(size=(256, 256)).astype("f4")
    sparse = dense * (random.random(dense.shape) < 0.02)
    report = mi.shrink(write(tmp_path / "a.h5", dense=dense, sparse=sparse.astype("f4")), tmp_path / "b.h5")
    assert report.after is not None
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["dense"].shuffle
        assert not file["sparse"].shuffle
        np.testing.assert_array_equal(file["dense"][()], dense)
        np.testing.assert_array_equal(file["sparse"][()], sparse)


def test_a_dataset_larger_than_a_chunk_is_cut_along_its_first_axis_and_its_edge_is_right(
    tmp_path: Path,
) -> None:
    values = np.arange(3 * CHUNK_MOST // 4 + 7, dtype="i4").reshape(-1, 1)
    report = mi.shrink(write(tmp_path / "a.h5", values=values), tmp_path / "b.h5")
    assert report.proof is not None
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["values"].chunks == (-(-len(values) // 4), 1)  # as few as can be, and equally long
        np.testing.assert_array_equal(file["values"][()], values)


@pytest.mark.parametrize("shape", [(1,), (10, 3), (1, 1 << 22), (3, 5, 1 << 20), (1 << 21, 3)])
def test_chunks_are_runs_of_elements_of_at_most_the_chunk_size(shape: tuple[int, ...]) -> None:
    chunk = chunk_shape(shape, 4)
    assert np.prod(chunk) * 4 <= CHUNK_MOST
    cut = max((axis for axis in range(len(shape)) if chunk[axis] < shape[axis]), default=0)
    assert all(length == 1 for length in chunk[:cut])
    assert chunk[cut + 1 :] == shape[cut + 1 :]


def test_equal_datasets_become_one_with_two_names(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=1000).astype("f4")
    report = mi.shrink(
        write(tmp_path / "a.h5", a__x=values, b__y=values, c=values.astype("f8")), tmp_path / "b.h5"
    )
    assert report.after is not None
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["a/x"] == file["b/y"] != file["c"]
    assert "hdf5-link-duplicates" in {step.step for step in report.steps}


def test_equal_weights_of_keras_2_are_found_by_the_names_that_end_with_a_number(tmp_path: Path) -> None:
    """New normalization layers have equal statistics; the second one's name in the result is
    ``bn_2/moving_mean:0``.
    """
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = ["bn_1", "bn_2"]
        for layer in ("bn_1", "bn_2"):
            weights.create_dataset(f"{layer}/{layer}/moving_mean:0", data=np.zeros(4000, "f4"))
            weights[layer].attrs["weight_names"] = [f"{layer}/moving_mean:0"]
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": {"name": "s", "layers": []}}'
    assert [tensor.path for tensor in mi.tensors(path).tensors] == ["bn_1/moving_mean", "bn_2/moving_mean"]
    report = mi.shrink(path, tmp_path / "b.h5")
    assert report.outcome == Outcome.SMALLER, report.reason
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["model_weights/bn_1/bn_1/moving_mean:0"] == file["model_weights/bn_2/bn_2/moving_mean:0"]
    assert mi.compare_content(path, tmp_path / "b.h5").differing == ()


def test_equal_slots_are_no_weights_though_their_names_end_alike(tmp_path: Path) -> None:
    """EfficientNetB0 after a step of training: scales of two layers are equal, and their slots are, too."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        weights, slots = file.create_group("model_weights"), file.create_group("optimizer_weights")
        weights.attrs["layer_names"] = ["bn_1", "bn_2"]
        for layer in ("bn_1", "bn_2"):
            weights.create_dataset(f"{layer}/{layer}/gamma:0", data=np.ones(4000, "f4"))
            weights[layer].attrs["weight_names"] = [f"{layer}/gamma:0"]
            slots.create_dataset(f"Adam/m/{layer}/gamma:0", data=np.zeros(4000, "f4"))
        slots.attrs["weight_names"] = [f"Adam/m/{layer}/gamma:0" for layer in ("bn_1", "bn_2")]
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": {"name": "s", "layers": []}}'
    report = mi.shrink(path, tmp_path / "b.h5")
    assert report.outcome == Outcome.SMALLER, report.reason
    assert report.proof is not None
    assert report.proof.equal == 4
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["model_weights/bn_1/bn_1/gamma:0"] == file["model_weights/bn_2/bn_2/gamma:0"]
        assert file["optimizer_weights/Adam/m/bn_1/gamma:0"][0] == 0
    assert mi.compare_content(path, tmp_path / "b.h5").differing == ()


def opaque_model(path: Path, noted: str = "") -> Path:
    """Write what Keras makes of a bfloat16 layer: as a whole model, or in a store that notes the type."""
    values = np.arange(40, dtype="<u2").repeat(20).view("V2")
    with h5py.File(path, "w") as file:
        if noted:
            made = file.create_dataset("layers/dense/vars/0", data=values)
            made.attrs["dtype"] = noted
            return path
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([b"dense"])
        group.create_group("dense").attrs["weight_names"] = np.array([b"dense/bias"])
        group.create_dataset("dense/dense/bias", data=values)
        file.attrs["keras_version"] = "3.15.1"
    return path


def test_no_keras_is_said_to_load_opaque_variables(tmp_path: Path) -> None:
    path = opaque_model(tmp_path / "a.h5")
    report = mi.shrink(path, tmp_path / "b.h5")
    assert report.before.format == "keras-hdf5"
    assert report.proof is not None
    assert report.proof.loads_in == ("h5py",)
    assert any("opaque" in note for note in report.notes)
    refused = mi.shrink(path, tmp_path / "c.h5", loaders=["keras3"])
    assert refused.outcome == Outcome.REFUSED
    assert refused.reason == "keras3 does not load keras-hdf5 files with opaque elements"


def test_only_keras_3_is_said_to_load_the_bfloat16_that_it_notes(tmp_path: Path) -> None:
    report = mi.shrink(opaque_model(tmp_path / "a.weights.h5", "bfloat16"), tmp_path / "b.weights.h5")
    assert report.proof is not None
    assert report.proof.loads_in == ("keras3", "h5py")
    assert not report.notes


def test_equal_elements_with_different_attributes_stay_two_datasets(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", x=np.zeros(1000), y=np.zeros(1000))
    with h5py.File(path, "r+") as file:
        file["x"].attrs["unit"] = 1
    mi.shrink(path, tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["x"] != file["y"]
        assert dict(file["x"].attrs) == {"unit": 1}


def test_types_attributes_fill_values_and_limits_of_shape_are_kept(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("grown", (100,), ">i2", maxshape=(None,), chunks=(10,), fillvalue=7)
        made[:50] = np.arange(50)
        made.attrs["text"] = "variable"
        made.attrs["many"] = np.array([b"one", b"three"])
        file.create_dataset("words", data=["a", "bcd"], dtype=h5py.string_dtype())
        file.create_dataset("flags", data=np.array([True, False] * 50))
        file["soft"] = h5py.SoftLink("/words")
        file["hard"] = file["grown"]
    report = mi.shrink(tmp_path / "a.h5", tmp_path / "b.h5")
    assert report.outcome == Outcome.SMALLER
    with h5py.File(tmp_path / "a.h5") as old, h5py.File(tmp_path / "b.h5") as new:
        assert new["grown"].dtype == old["grown"].dtype == np.dtype(">i2")
        assert new["grown"].maxshape == (None,)
        assert new["grown"].fillvalue == 7
        np.testing.assert_array_equal(new["grown"][()], old["grown"][()])
        assert new["grown"].attrs["text"] == "variable"
        assert new["grown"].attrs["many"].tolist() == [b"one", b"three"]
        assert new["words"].asstr()[()].tolist() == ["a", "bcd"]
        assert new["flags"].dtype == bool
        assert new.get("soft", getlink=True).path == "/words"
        assert new["hard"] == new["grown"]


def test_checksums_of_chunks_are_kept_and_right(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    values = {
        "zeros": np.zeros((300, 4), "f4"),
        "noise": random.integers(0, 256, 4_001).astype("u1"),
        "floats": random.normal(size=999).astype("f4"),
        "same": np.zeros((300, 4), "f4"),
    }
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, each in values.items():
            file.create_dataset(name, data=each, chunks=each.shape, fletcher32=name != "same")
    report = mi.shrink(tmp_path / "a.h5", tmp_path / "b.h5")
    assert report.outcome == Outcome.SMALLER
    with h5py.File(tmp_path / "b.h5") as file:
        assert {name for name in values if file[name].fletcher32} == {"zeros", "noise", "floats"}
        for name, each in values.items():
            np.testing.assert_array_equal(file[name][()], each)  # the library verifies the sums
    assert mi.shrink(tmp_path / "b.h5", tmp_path / "c.h5").outcome == Outcome.UNCHANGED
    shutil.copy(tmp_path / "b.h5", tmp_path / "d.h5")
    with h5py.File(tmp_path / "d.h5", "r+") as file:
        del file["zeros"]
        file["zeros"] = values["zeros"]
    with (
        LocalSource(tmp_path / "b.h5") as old,
        LocalSource(tmp_path / "d.h5") as new,
        pytest.raises(UnprovedError, match="checksums"),
    ):
        compare_hdf5(old, new, Rewrite())


def test_the_witness_notices_one_changed_element_attribute_or_object(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", x=np.zeros(10), y=np.zeros(3))
    changes = {
        "element": lambda file: file["x"].__setitem__(3, 1.0),
        "attribute": lambda file: file["x"].attrs.__setitem__("new", 1),
        "object": lambda file: file.__delitem__("y"),
        "type": lambda file: (file.__delitem__("y"), file.create_dataset("y", data=np.zeros(3, "f4"))),
    }
    for name, change in changes.items():
        shutil.copy(tmp_path / "a.h5", tmp_path / f"{name}.h5")
        with h5py.File(tmp_path / f"{name}.h5", "r+") as file:
            change(file)
        with (
            LocalSource(tmp_path / "a.h5") as old,
            LocalSource(tmp_path / f"{name}.h5") as new,
            pytest.raises(UnprovedError),
        ):
            compare_hdf5(old, new, Rewrite())


def test_variable_length_data_out_of_proportion_to_the_file_is_refused_before_the_library_reads_it(
    tmp_path: Path,
) -> None:
    """Many elements that lead to one object of the heap: the library would copy it for each."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("words", data=["x" * 60_000] * 2 + ["y"] * 3_000, dtype=h5py.string_dtype())
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        start = file["words"].id.get_offset()
    pointer = bytes(data[start : start + 16])
    for number in range(3_002):
        data[start + 16 * number : start + 16 * (number + 1)] = pointer
    path.write_bytes(data)
    with LocalSource(path) as source, pytest.raises(mi.LimitError, match="variable-length data"):
        survey(source, Limits())


@pytest.mark.parametrize("name", ["external_link.h5", "external_storage.h5", "virtual.h5", "checksum.h5"])
def test_a_file_that_is_damaged_or_refers_to_others_is_refused(name: str, tmp_path: Path) -> None:
    report = mi.shrink(fixture_path(f"unsafe/{name}"), tmp_path / name)
    assert report.outcome == Outcome.REFUSED
    assert not list(tmp_path.iterdir())


def test_a_file_that_ends_as_a_zip_archive_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = write(tmp_path / "a.keras", x=np.zeros(10_000))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    before = path.read_bytes()
    assert mi.shrink(path, in_place=True).outcome == Outcome.REFUSED
    assert path.read_bytes() == before
