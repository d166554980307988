"""Orbax checkpoints, compared with TensorStore by value."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from tests.support.fixtures import FOLDER

import modelinspect as mi
from modelinspect.core.artifact import Artifact, DocumentKind
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Role
from modelinspect.encodings.zarr import read_array
from modelinspect.errors import Code, FormatError, LimitError
from modelinspect.formats.registry import parse
from modelinspect.measure.facts import Aspect, Measurements
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location
from modelinspect.sources.zstd import bound_size, decompress

CHECKPOINTS = FOLDER / "orbax_checkpoints"
DATABASES = {"keras": ("0/pytree", "1/pytree"), "generations": ("",), "levels": ("",)}
TRANSPOSED = "turned"
"""Arrays in Fortran order, whose elements are not read."""


def tensorstore_arrays(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return every array of a database as TensorStore reads it, by its key.

    Raises `ValueError` where one cannot be read.
    """
    ts = pytest.importorskip("tensorstore")
    base = {"driver": "ocdbt", "base": f"file://{folder.resolve()}/"}
    store = ts.KvStore.open(base).result()
    found = {}
    for key in store.list().result():
        path, _, name = key.decode().rpartition("/")
        driver = {"zarr.json": "zarr3", ".zarray": "zarr"}.get(name)
        if driver is not None:
            array = ts.open({"driver": driver, "kvstore": {**base, "path": f"{path}/"}}).result()
            found[path] = array.read().result()
    return found


def measured(folder: Path) -> tuple[Artifact, Measurements]:
    with open_location(folder) as files:
        artifact = parse(files)
        return artifact, measure(artifact, files, aspects=(Aspect.DIGEST,))


def digests(folder: Path) -> dict[str, str | None]:
    """Return the SHA-256 of each tensor's elements by its name without the step."""
    artifact, measures = measured(folder)
    return {tensor.name: one.digest for tensor, one in zip(artifact.tensors, measures.tensors, strict=True)}


def key_of(name: str, keys: list[str]) -> str:
    """Return the key whose end, with its dots as slashes, is a tensor's name."""
    return next(key for key in keys if key.replace(".", "/").endswith(name.rpartition(":")[2]))


@pytest.mark.parametrize(
    ("name", "database"), [(name, one) for name, several in DATABASES.items() for one in several]
)
def test_every_array_has_the_elements_that_tensorstore_reads(name: str, database: str) -> None:
    expected = tensorstore_arrays(CHECKPOINTS / name / database)
    artifact, measures = measured(CHECKPOINTS / name / database)
    assert len(artifact.tensors) == len(expected)
    compared = 0
    for tensor, one in zip(artifact.tensors, measures.tensors, strict=True):
        values = expected[key_of(tensor.name, list(expected))]
        assert tensor.shape == values.shape
        assert tensor.dtype.name == values.dtype.name
        if TRANSPOSED in tensor.name:
            assert tensor.payload is None
            continue
        plain = np.ascontiguousarray(values)
        if tensor.payload is not None and getattr(tensor.payload, "byte_order", "little") == "big":
            plain = plain.byteswap()
        assert one.zero_count == int((values == 0).sum())
        if one.digest is not None:
            little = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
            assert one.digest == little, tensor.name
            compared += 1
    assert compared > len(expected) / 2


def test_the_arrays_of_a_folder_of_files_have_the_elements_that_tensorstore_reads() -> None:
    ts = pytest.importorskip("tensorstore")
    artifact, measures = measured(CHECKPOINTS / "plain")
    for tensor, one in zip(artifact.tensors, measures.tensors, strict=True):
        key = key_of(tensor.name, [path.name for path in (CHECKPOINTS / "plain").iterdir()])
        place = {"driver": "file", "path": f"{CHECKPOINTS / 'plain' / key}/"}
        values = ts.open({"driver": "zarr", "kvstore": place}).result().read().result()
        assert (tensor.shape, tensor.dtype.name) == (values.shape, values.dtype.name)
        assert one.zero_count == int((values == 0).sum())
        assert one.digest == hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def test_keras_trees_give_names_layers_and_roles() -> None:
    tensors = {tensor.name: tensor for tensor in mi.open(CHECKPOINTS / "keras" / "1").tensors}
    assert (tensors["wide/kernel"].role, tensors["wide/kernel"].layer) == (Role.WEIGHT, "wide")
    assert tensors["norm/moving_mean"].role is Role.STATISTIC
    assert tensors["adam/small_wide_kernel_momentum"].role is Role.OPTIMIZER
    assert tensors["metrics_variables/loss/count"].role is Role.OTHER


def test_every_step_of_a_folder_is_reported() -> None:
    artifact = mi.open(CHECKPOINTS / "keras")
    assert artifact.facts["steps"] == ("0", "1")
    assert {tensor.name.partition(":")[0] for tensor in artifact.tensors} == {"0", "1"}


def test_the_configuration_of_a_keras_model_is_a_document() -> None:
    artifact = mi.open(CHECKPOINTS / "keras" / "1")
    documents = [one for one in artifact.documents if one.kind is DocumentKind.KERAS_CONFIG]
    assert [json.loads(one.data or b"")["class_name"] for one in documents] == ["Sequential"]


def test_older_generations_are_free_space_and_counted() -> None:
    artifact = mi.open(CHECKPOINTS / "generations")
    free = sum(member.map.kind_sizes()[RegionKind.FREE] for member in artifact.members)
    items = artifact.facts["items"]
    assert free
    assert items["."]["older_generation_bytes"] + items["."]["dead_bytes"] == free  # type: ignore[index, call-overload, operator]


def test_a_tree_of_several_levels_is_walked() -> None:
    artifact = mi.open(CHECKPOINTS / "levels")
    assert artifact.facts["items"]["."]["nodes"] > 5  # type: ignore[index, call-overload, operator]
    assert len(artifact.tensors) == 12


# The flip oracle: one byte is changed, and TensorStore reads the database.


def changed(before: dict[str, Any], folder: Path) -> set[str]:
    """Return the keys of the arrays that TensorStore reads otherwise than before, or not at all."""
    ts = pytest.importorskip("tensorstore")
    base = {"driver": "ocdbt", "base": f"file://{folder.resolve()}/"}
    different = set()
    for key, values in before.items():
        found = None
        for driver in ("zarr3", "zarr"):
            try:
                found = (
                    ts.open({"driver": driver, "kvstore": {**base, "path": f"{key}/"}}, open=True)
                    .result()
                    .read()
                    .result()
                )
                break
            except ValueError:
                continue
        if found is None or found.tobytes() != values.tobytes():
            different.add(key)
    return different


def flips(
    folder: Path, kinds: set[RegionKind], most: int, *, in_nodes: bool = False
) -> Iterator[tuple[str, int, str]]:
    """Yield a seeded sample of bytes in data files: the file, the byte, the name of the tensor that it
    belongs to (none: "").
    """
    artifact = mi.open(folder)
    places = [
        (member.name, offset, "" if region.tensor is None else artifact.tensors[region.tensor].name)
        for member in artifact.members
        for region in member.map
        if region.kind in kinds
        for offset in range(region.span.offset, region.span.end)
        if member.name.startswith("d/") and (region.path[0] == "B+tree node") is in_nodes
    ]
    yield from random.Random(11).sample(places, min(most, len(places)))


def flipped(folder: Path, file: str, offset: int) -> None:
    data = bytearray((folder / file).read_bytes())
    data[offset] ^= 0x10
    (folder / file).write_bytes(data)


@pytest.mark.parametrize("name", ["generations", "levels"])
def test_a_flipped_byte_of_a_tensor_changes_that_tensor_alone(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(CHECKPOINTS / name, folder)
    before = tensorstore_arrays(folder)
    count = 0
    for file, offset, tensor in flips(folder, {RegionKind.TENSOR_DATA}, 60):
        flipped(folder, file, offset)
        different = changed(before, folder)
        flipped(folder, file, offset)
        owner = key_of(tensor, list(before))
        assert different <= {owner}, (file, offset)
        count += different == {owner}
    assert count >= 40  # the rest belong to the part of a chunk that is beyond the edge of its array


@pytest.mark.parametrize("name", ["generations", "levels"])
def test_a_flipped_byte_of_free_space_changes_nothing(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(CHECKPOINTS / name, folder)
    before = tensorstore_arrays(folder)
    for file, offset, _ in flips(folder, {RegionKind.FREE}, 60):
        flipped(folder, file, offset)
        assert changed(before, folder) == set(), (file, offset)
        flipped(folder, file, offset)


def test_a_flipped_byte_of_a_node_is_a_wrong_checksum_to_both_readers(tmp_path: Path) -> None:
    folder = tmp_path / "levels"
    shutil.copytree(CHECKPOINTS / "levels", folder)
    before = tensorstore_arrays(folder)
    seen = 0
    for file, offset, _ in flips(folder, {RegionKind.METADATA}, 12, in_nodes=True):
        flipped(folder, file, offset)
        seen += bool(changed(before, folder))
        assert Code.CHECKSUM in {diagnostic.code for diagnostic in mi.open(folder).diagnostics}, (
            file,
            offset,
        )
        flipped(folder, file, offset)
    assert seen


# Databases made by hand, to be hostile.


def leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def frame(magic: int, body: bytes, compression: int = 0) -> bytes:
    head = leb(0) + leb(compression)
    size = 12 + len(head) + len(body) + 4
    data = magic.to_bytes(4, "big") + size.to_bytes(8, "little") + head + body
    return data + google_crc32c.value(data).to_bytes(4, "little")


def files_table(*paths: str) -> bytes:
    count = len(paths)
    return (
        leb(count)
        + b"\0" * (count - 1)
        + b"".join(leb(len(p)) for p in paths)
        + b"\0" * count
        + "".join(paths).encode()
    )


def manifest(path: str, offset: int, size: int, height: int) -> bytes:
    body = bytes(16) + leb(0) + leb(1024) + leb(1 << 20) + b"\4" + leb(0)
    versions = (
        leb(1)
        + leb(1)
        + bytes((height,))
        + leb(0)
        + leb(offset)
        + leb(size)
        + leb(1)
        + leb(1)
        + leb(1)
        + bytes(8)
    )
    return frame(0x0CDB3A2A, body + files_table(path) + versions + leb(0))


def interior(height: int, path: str, children: list[tuple[bytes, int, int]]) -> bytes:
    count = len(children)
    body = bytes((height,)) + files_table(path) + leb(count) + b"\0" * (count - 1)
    body += (
        b"".join(leb(len(key)) for key, _, _ in children)
        + b"\0" * count
        + b"".join(key for key, _, _ in children)
    )
    body += (
        b"\0" * count
        + b"".join(leb(offset) for _, offset, _ in children)
        + b"".join(leb(size) for _, _, size in children)
    )
    return frame(0x0CDB20DE, body + b"\1" * count * 3)


def leaf(values: dict[bytes, bytes]) -> bytes:
    body = (
        b"\0"
        + leb(0)
        + leb(len(values))
        + b"\0" * (len(values) - 1)
        + b"".join(leb(len(key)) for key in values)
    )
    body += b"".join(values) + b"".join(leb(len(value)) for value in values.values()) + b"\0" * len(values)
    return frame(0x0CDB20DE, body + b"".join(values.values()))


def database(root: bytes, height: int, rest: bytes = b"") -> Artifact:
    """Parse a database whose data file is its root and what follows it."""
    return parse(
        MemoryFiles(
            {"manifest.ocdbt": manifest("d/1", 0, len(root), height), "d/1": root + rest}, None, "memory"
        )
    )


DOCUMENT = json.dumps(
    {
        "zarr_format": 2,
        "shape": [2],
        "chunks": [2],
        "dtype": "<f4",
        "compressor": None,
        "fill_value": None,
        "order": "C",
        "filters": None,
    }
).encode()


def test_a_database_made_by_hand_reads_as_one_of_tensorstore() -> None:
    artifact = database(leaf({b"params.w/.zarray": DOCUMENT, b"params.w/0": bytes(8)}), 0)
    assert not artifact.diagnostics
    assert [(tensor.name, tensor.shape, tensor.stored_size) for tensor in artifact.tensors] == [
        ("w", (2,), 8)
    ]


def test_a_node_that_is_its_own_child_ends_the_walk() -> None:
    size = len(interior(1, "d/1", [(b"a", 0, 0x3F)]))
    artifact = database(interior(1, "d/1", [(b"a", 0, size)]), 1)
    assert artifact.diagnostics


def test_a_cycle_of_nodes_of_equal_height_is_refused() -> None:
    size = len(interior(3, "d/1", [(b"a", 0, 0x3F), (b"b", 0, 0x3F)]))
    artifact = database(interior(3, "d/1", [(b"a", 0, size), (b"b", 0, size)]), 3)
    assert any(diagnostic.code is Code.AMBIGUOUS for diagnostic in artifact.diagnostics)


def test_a_number_of_2_to_the_63_is_compared_before_it_is_used() -> None:
    for root in (
        frame(0x0CDB20DE, b"\0" + leb(1 << 63)),
        frame(0x0CDB20DE, b"\0" + leb(0) + leb(1 << 63)),
        frame(0x0CDB20DE, b"\0" + leb(0) + leb(1) + leb(1 << 63) + b"aaaa"),
        interior(1, "d/1", [(b"a", 1 << 62, 1 << 62)]),
    ):
        assert database(root, root[14]).diagnostics


def test_a_data_file_outside_the_folder_is_not_opened() -> None:
    files = {"manifest.ocdbt": manifest("../secret", 0, 40, 0), "d/1": b"x"}
    artifact = parse(MemoryFiles(files, None, "memory"))
    assert [diagnostic.code for diagnostic in artifact.diagnostics] == [Code.OUTSIDE]


def test_a_data_file_that_is_missing_is_named() -> None:
    artifact = parse(MemoryFiles({"manifest.ocdbt": manifest("d/2", 0, 40, 0), "d/1": b"x"}, None, "memory"))
    assert [diagnostic.code for diagnostic in artifact.diagnostics] == [Code.INCOMPLETE]
    assert artifact.members[0].map.kind_sizes()[RegionKind.UNATTRIBUTED] == 1


def zstd_bomb(size: int) -> bytes:
    """Return a frame without a size whose blocks repeat one byte: four bytes for each 128 KiB."""
    block = (128 << 10) << 3 | 1 << 1
    blocks = block.to_bytes(3, "little") + b"\0"
    last = (block | 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + blocks * (size // (128 << 10) - 1) + last


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = zstd_bomb(4 << 30)
    assert bound_size(bomb) == 4 << 30
    with pytest.raises(LimitError):
        decompress(bomb, Limits())
    with pytest.raises(LimitError):
        decompress(bomb, Limits(), 4 << 30)


def test_a_node_that_is_a_bomb_is_a_diagnostic() -> None:
    artifact = database(frame(0x0CDB20DE, zstd_bomb(1 << 30), 1), 0)
    assert [diagnostic.code for diagnostic in artifact.diagnostics] == [Code.LIMIT]


def test_chunks_that_decode_to_more_than_the_limits_are_not_measured() -> None:
    shape = [1 << 26]
    document = json.dumps(
        {
            "zarr_format": 2,
            "shape": shape,
            "chunks": shape,
            "dtype": "<f4",
            "compressor": {"id": "zstd"},
            "filters": None,
        }
    )
    root = leaf({b"w/.zarray": document.encode(), b"w/0": zstd_bomb(1 << 28)})
    files = MemoryFiles({"manifest.ocdbt": manifest("d/1", 0, len(root), 0), "d/1": root}, None, "memory")
    artifact = parse(files)
    assert [one.code for one in measure(artifact, files).diagnostics] == [Code.LIMIT]


def test_an_array_of_chunks_that_are_not_there_is_counted_and_not_hashed_beyond_a_bound() -> None:
    for count, is_hashed in ((1 << 20, True), (1 << 30, False)):
        document = {
            "zarr_format": 2,
            "shape": [count],
            "chunks": [1],
            "dtype": "<f4",
            "compressor": None,
            "fill_value": 0,
            "order": "C",
        }
        root = leaf({b"w/.zarray": json.dumps({**document, "filters": None}).encode()})
        files = MemoryFiles({"manifest.ocdbt": manifest("d/1", 0, len(root), 0), "d/1": root}, None, "memory")
        artifact = parse(files)
        (one,) = measure(artifact, files, aspects=(Aspect.DIGEST,)).tensors
        assert (one.element_count, one.zero_count) == (count, count)
        assert one.digest == (hashlib.sha256(bytes(4 * count)).hexdigest() if is_hashed else None)


@pytest.mark.parametrize(
    "document",
    [
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"shape": [1e400], "chunks": [1], "dtype": "<f4"}',
        b'{"shape": [-1], "chunks": [1], "dtype": "<f4"}',
        b'{"shape": [1], "chunks": [0], "dtype": "<f4"}',
        b'{"shape": [1], "chunks": [1], "dtype": "<f999"}',
        b'{"shape": [1], "chunks": [1, 1], "dtype": "<f4"}',
        b'{"shape": [99999999999, 99999999999], "chunks": [1, 1], "dtype": "<f4"}',
        b'{"shape": [1], "chunks": [1], "dtype": "<f4", "dimension_separator": "xx"}',
    ],
)
def test_metadata_that_makes_no_sense_is_refused(document: bytes) -> None:
    with pytest.raises(FormatError):
        read_array(document, "m", ".zarray")


def test_a_lambda_layer_in_the_configuration_of_a_checkpoint_is_unsafe(tmp_path: Path) -> None:
    folder = tmp_path / "keras"
    shutil.copytree(CHECKPOINTS / "keras" / "1", folder)
    strings = folder / "model_config" / "_strings.json"
    document = json.loads(strings.read_text())
    config = json.loads(document["config"])
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
    config["config"]["layers"][1] = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": "evil", "function": code},
    }
    strings.write_text(json.dumps({"config": json.dumps(config)}))
    assert "lambda-code" in {finding.rule for finding in mi.lint(folder).findings}


def test_weights_are_called_as_their_layers_are() -> None:
    names = {
        tensor.name for tensor in mi.open(CHECKPOINTS / "keras" / "1").tensors if tensor.role is Role.WEIGHT
    }
    assert names == {"wide/kernel", "wide/bias", "norm/gamma", "norm/beta", "out/kernel", "out/bias"}
