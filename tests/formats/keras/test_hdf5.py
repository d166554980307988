"""HDF5 files of other writers: types, storage, links that lead elsewhere."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from tests.support.keras_hdf5 import clean, parse_made, roles

from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role, Storage
from modelinspect.errors import UnknownFormatError
from modelinspect.formats.registry import parse
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location

TYPES = {
    "int8": "i1", "uint16": "<u2", "int32": ">i4", "uint64": "u8", "float16": "f2", "float32": ">f4", "float64": "f8", "complex64": "c8",  # noqa: E501
    "complex128": ">c16", "bool": "?",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TYPES))
def test_types_of_numbers_are_named_as_numpy_names_them(name: str) -> None:
    artifact = parse_made(lambda file: file.create_dataset("group/x", data=np.ones((2, 3), TYPES[name])))
    (tensor,) = artifact.tensors
    assert artifact.format is FormatName.HDF5
    assert (tensor.dtype.name, tensor.shape, tensor.role, tensor.layer) == (
        name,
        (2, 3),
        Role.WEIGHT,
        "group",
    )
    assert tensor.logical_size == tensor.stored_size == 6 * np.dtype(TYPES[name]).itemsize


def test_other_types_are_tensors_that_cannot_be_measured() -> None:
    def fill(file: h5py.File) -> None:
        file["fixed"] = np.array([b"ab", b"c"])
        file["vlen"] = ["one", "two and more"]
        file["compound"] = np.zeros(3, [("a", "i4"), ("b", "f4")])
        file["opaque"] = np.zeros(2, "V3")
        file.create_dataset("arrays", (4,), np.dtype(("f4", (2, 5))))

    artifact = parse_made(fill)
    assert clean(artifact)
    kinds = {tensor.name: (tensor.dtype.kind.value, tensor.shape, tensor.role) for tensor in artifact.tensors}
    assert kinds == {
        "arrays": ("float", (4, 2, 5), Role.WEIGHT),
        "compound": ("opaque", (3,), Role.OTHER),
        "fixed": ("string", (2,), Role.OTHER),
        "opaque": ("opaque", (2,), Role.OTHER),
        "vlen": ("string", (2,), Role.OTHER),
    }


def test_storage_follows_the_layout_and_the_filters() -> None:
    def fill(file: h5py.File) -> None:
        values = np.zeros((8, 8), "f4")
        file.create_dataset("contiguous", data=values)
        file.create_dataset("chunked", data=values, chunks=(4, 4))
        file.create_dataset("shuffled", data=values, chunks=(4, 4), shuffle=True)
        file.create_dataset("deflated", data=values, chunks=(4, 4), compression="gzip")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((8, 8)), plist)

    artifact = parse_made(fill)
    storage = {tensor.name: tensor.storage for tensor in artifact.tensors}
    assert storage == {
        "contiguous": Storage.DENSE,
        "chunked": Storage.DENSE,
        "shuffled": Storage.DENSE,
        "deflated": Storage.COMPRESSED,
        "compact": Storage.INLINE,
    }
    encodings = {tensor.name: {extent.encoding for extent in tensor.extents} for tensor in artifact.tensors}
    assert encodings["deflated"] == {"deflate"}
    assert len({extent.span for extent in artifact.tensors[0].extents}) in (1, 4)


def test_links_to_other_files_are_named_and_never_opened(tmp_path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["inside"] = np.zeros(4)
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(32))
    path = tmp_path / "links.h5"
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink("secret.h5", "/inside")
        file["soft"] = h5py.SoftLink("/nowhere")
        file.create_dataset("external", (4,), "f8", external=[(str(raw), 0, 32)])
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource("secret.h5", "inside", (4,))
        file.create_virtual_dataset("virtual", layout)
    with open_location(path) as files:
        opened: list[str] = []
        original = files.open
        files.open = lambda name: opened.append(name) or original(name)  # type: ignore[method-assign, func-returns-value]
        artifact = parse(files)
        found = measure(artifact, files)
    assert set(opened) == {"links.h5"}
    assert [member.name for member in artifact.members] == ["links.h5"]
    assert artifact.diagnostics == ()
    elsewhere = artifact.facts["elsewhere"]
    assert isinstance(elsewhere, tuple)
    assert [(entry["path"], entry["kind"], entry["files"]) for entry in elsewhere] == [
        ("/link", "external link", ("secret.h5",)),
        ("/external", "external storage", (str(raw),)),
        ("/virtual", "virtual data set", ()),
    ]
    reasons = {tensor.name: found[index].reason for index, tensor in enumerate(artifact.tensors)}
    assert "not opened" in reasons["external"]
    assert "virtual" in reasons["virtual"]
    assert artifact.facts["hdf5"]["links"] == ("/link -> secret.h5:/inside", "/soft -> /nowhere")  # type: ignore[index, call-overload]


def test_data_beyond_the_end_of_a_truncated_file_are_not_taken_for_zeros() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as file:
        file["x"] = np.ones(10_000, "f4")
        end = file["x"].id.get_offset() + 40_000
    data = buffer.getvalue()
    assert len(data) == end
    data = data[:-100]
    files = MemoryFiles({"m.h5": data}, "m.h5")
    artifact = parse(files)
    assert artifact.diagnostics
    assert len(artifact.tensors) == 1
    assert measure(artifact, files)[0].zero_count is None


def test_hard_links_are_other_names_of_one_tensor() -> None:
    def fill(file: h5py.File) -> None:
        file["a/x"] = np.ones(3)
        file["b"] = file["a"]
        file["y"] = file["a/x"]

    artifact = parse_made(fill)
    assert len(artifact.tensors) == 1
    assert len({artifact.tensors[0].name, *(alias.strip("/") for alias in artifact.tensors[0].aliases)}) >= 2
    assert roles(artifact)


def test_a_file_that_only_begins_like_hdf5_is_refused_in_one_line() -> None:
    from modelinspect.errors import FormatError

    with pytest.raises(FormatError) as caught:
        parse(MemoryFiles({"m.h5": b"\x89HDF\r\n\x1a\n" + bytes(5)}, "m.h5"))
    assert "\n" not in str(caught.value)
    with pytest.raises(UnknownFormatError):
        parse(MemoryFiles({"m.h5": bytes(4096)}, "m.h5"))
