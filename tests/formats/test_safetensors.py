"""Compare safetensors files with what the safetensors library reads of them, and break them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save
from tests.support.counting import CountingFiles
from tests.support.fixtures import fixture_path
from tests.support.hostile import hold

import modelinspect as mi
from modelinspect.core.artifact import Artifact, FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location

FILES = ["mlp.safetensors", "types.safetensors", "sharded/model-00001-of-00002.safetensors"]


def parsed(data: bytes, name: str = "model.safetensors", **beside: bytes) -> Artifact:
    return parse(MemoryFiles({name: data, **beside}, name))


def library(data: bytes) -> dict[str, tuple[list[int], bytes]] | None:
    """Read a file as the safetensors library does; None where it refuses the file."""
    try:
        return {name: (view["shape"], bytes(view["data"])) for name, view in deserialize(data)}
    except (SafetensorError, ValueError):
        return None


def raw(header: object, elements: bytes = b"", *, text: bytes | None = None) -> bytes:
    written = json.dumps(header).encode() if text is None else text
    return struct.pack("<Q", len(written)) + written + elements


@pytest.mark.parametrize("name", FILES)
def test_shapes_and_bytes_equal_what_the_library_reads(name: str) -> None:
    path = fixture_path(f"safetensors_files/{name}")
    data = path.read_bytes()
    expected = library(data)
    assert expected
    with open_location(path) as files:
        artifact = parse(files)
    assert artifact.format is FormatName.SAFETENSORS
    found = {
        tensor.name: (
            list(tensor.shape),
            b"".join(data[extent.span.offset : extent.span.end] for extent in tensor.extents),
        )
        for tensor in artifact.tensors
    }
    assert found == expected
    assert not artifact.diagnostics


def test_every_element_type_is_measured_by_value() -> None:
    report = mi.inspect(fixture_path("safetensors_files/types.safetensors")).to_dict()
    for tensor in report["tensors"]:
        expected = {"empty": 0, "scalar": 0, "float8_e8m0fnu": 0}.get(tensor["name"], 1)  # e8m0 has no zero
        assert tensor["zero_count"] == expected, tensor["name"]


def test_zeros_are_those_that_numpy_counts_in_what_the_library_reads() -> None:
    path = fixture_path("safetensors_files/mlp.safetensors")
    expected = {
        name: int((np.frombuffer(data, "<f4") == 0).sum())
        for name, (_, data) in (library(path.read_bytes()) or {}).items()
    }
    assert {
        tensor["name"]: tensor["zero_count"] for tensor in mi.inspect(path).to_dict()["tensors"]
    } == expected


def test_flipping_any_byte_changes_for_the_library_what_the_map_says_is_there() -> None:
    """A byte of tensor data changes that tensor and no other; whatever else changes lies in the header."""
    data = save(
        {
            "a.weight": np.arange(6, dtype="<f4").reshape(2, 3),
            "a.bias": np.zeros(3, "<f2"),
            "n": np.array([7]),
        },
        {"k": "v"},
    )
    artifact = parsed(data)
    before = library(data)
    assert before
    seen: set[RegionKind] = set()
    for offset in range(len(data)):
        region = artifact.members[0].map.at(offset)
        seen.add(region.kind)
        for bit in (0x01, 0x80):
            changed = bytearray(data)
            changed[offset] ^= bit
            after = library(bytes(changed))
            if region.kind is RegionKind.TENSOR_DATA:
                assert after is not None
                assert region.tensor is not None
                assert {name for name in before if before[name] != after[name]} == {
                    artifact.tensors[region.tensor].name
                }
            elif after is not None:
                assert all(value in after.values() for value in before.values()), (offset, region.path)
    assert seen == {RegionKind.CONTAINER, RegionKind.METADATA, RegionKind.TENSOR_DATA}


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BROKEN = {
    "gap": (raw({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 4, 6)}, bytes(6)), 2),
    "begins late": (raw({"a": tensor("U8", [2], 3, 5)}, bytes(5)), 3),
    "trailing": (raw({"a": tensor("U8", [2], 0, 2)}, bytes(9)), 7),
    "overlap": (raw({"a": tensor("U8", [3], 0, 3), "b": tensor("U8", [3], 2, 5)}, bytes(5)), 0),
    "wrong size": (raw({"a": tensor("F32", [2], 0, 4)}, bytes(4)), 0),
    "cut": (raw({"a": tensor("U8", [8], 0, 8)}, bytes(4)), 0),
    "unknown type": (raw({"a": tensor("F7", [4], 0, 4)}, bytes(4)), 0),
    "negative": (raw({"a": tensor("U8", [-4], 0, 4)}, bytes(4)), 0),
    "backwards": (raw({"a": tensor("U8", [4], 4, 0)}, bytes(4)), 0),
    "no offsets": (raw({"a": {"dtype": "U8", "shape": [4]}}, bytes(4)), 0),
    "metadata": (raw({"__metadata__": {"n": 1}, "a": tensor("U8", [4], 0, 4)}, bytes(4)), 0),
}
"""Files that break one rule each, and how many of their bytes no tensor has."""


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_the_library_refuses_is_a_diagnostic_and_the_map_still_tiles(name: str) -> None:
    data, free = BROKEN[name]
    assert library(data) is None
    artifact = parsed(data)
    assert artifact.diagnostics
    assert artifact.members[0].map.kind_sizes()[RegionKind.FREE] == free
    with pytest.raises(mi.FormatError):
        parse(MemoryFiles({"m.safetensors": data}, "m.safetensors"), strict=True)


def test_bytes_that_an_unusable_entry_may_own_are_not_called_free() -> None:
    entries = {
        "a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
        "b": {"dtype": "F32", "shape": [9], "data_offsets": [2, 6]},
    }
    kinds = parsed(raw(entries, bytes(6))).members[0].map.kind_sizes()
    assert kinds[RegionKind.UNATTRIBUTED] == 4
    assert not kinds[RegionKind.FREE]


def test_of_two_entries_for_one_name_the_last_is_used_as_by_the_library_and_that_is_reported() -> None:
    entry = b'"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}'
    data = raw(None, bytes(4), text=b"{" + entry % (2, 2) + b"," + entry % (4, 4) + b"}")
    artifact = parsed(data)
    assert {tensor.name: list(tensor.shape) for tensor in artifact.tensors} == {"a": [4]}
    assert {name: shape for name, (shape, _) in (library(data) or {}).items()} == {"a": [4]}
    assert artifact.diagnostics


def test_escaped_names_are_read_as_the_library_reads_them() -> None:
    data = raw(None, bytes(2), text=b'{"a\\u00e9\\"\\n{b}":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}')
    assert [tensor.name for tensor in parsed(data).tensors] == list(library(data) or ())


def test_roles_follow_names_and_a_scale_counts_only_beside_a_quantized_weight() -> None:
    layer = {
        "q.qweight": np.zeros((2, 2), "<i4"),
        "q.scales": np.ones(2, "<f2"),
        "q.qzeros": np.zeros(2, "<i4"),
        "q.g_idx": np.zeros(2, "<i4"),
    }
    other = {
        "ln.scale": np.ones(2, "<f4"),
        "bn.running_var": np.ones(2, "<f4"),
        "rope.inv_freq": np.ones(2, "<f4"),
    }
    roles = {tensor.name: tensor.role for tensor in parsed(save({**layer, **other})).tensors}
    assert roles == {
        "q.qweight": Role.WEIGHT,
        **dict.fromkeys(("q.scales", "q.qzeros", "q.g_idx"), Role.QUANTIZATION),
        "ln.scale": Role.WEIGHT,
        "bn.running_var": Role.STATISTIC,
        "rope.inv_freq": Role.CONSTANT,
    }


def sharded(**changes: object) -> MemoryFiles:
    one, two = save({"a": np.ones(3, "<f4")}), save({"b": np.ones(5, "<f4")})
    index = {
        "metadata": {"total_size": 32},
        "weight_map": {"a": "s-1.safetensors", "b": "s-2.safetensors"},
        **changes,
    }
    files = {
        "s-1.safetensors": one,
        "s-2.safetensors": two,
        "m.safetensors.index.json": json.dumps(index).encode(),
    }
    return MemoryFiles(files, "m.safetensors.index.json")


def test_an_index_brings_its_shards_with_it() -> None:
    artifact = parse(sharded())
    assert [tensor.name for tensor in artifact.tensors] == ["a", "b"]
    assert len(artifact.members) == 3
    assert not artifact.diagnostics


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        (
            {"weight_map": {"a": "s-1.safetensors", "b": "s-2.safetensors", "c": "s-2.safetensors"}},
            Severity.ERROR,
        ),
        ({"weight_map": {"a": "s-2.safetensors", "b": "s-1.safetensors"}}, Severity.ERROR),
        ({"weight_map": {"a": "s-1.safetensors", "b": "s-3.safetensors"}}, Severity.ERROR),
        ({"weight_map": {"a": "../s-1.safetensors", "b": "s-2.safetensors"}}, Severity.ERROR),
        ({"weight_map": {"b": "s-2.safetensors"}}, Severity.NOTE),
        ({}, None),
        ({"weight_map": [1, 2]}, Severity.WARNING),
        ({"metadata": {"total_size": 99}}, Severity.NOTE),
    ],
    ids=[
        "key missing",
        "keys swapped",
        "shard missing",
        "shard outside",
        "shard not listed",
        "as it is",
        "no map",
        "total wrong",
    ],
)
def test_an_index_that_does_not_fit_its_shards_says_so(
    changes: dict[str, object], severity: Severity | None
) -> None:
    artifact = parse(sharded(**changes))
    assert {diagnostic.severity for diagnostic in artifact.diagnostics} >= ({severity} if severity else set())
    assert bool(artifact.diagnostics) is (severity is not None)


def test_a_tensor_that_its_shard_does_not_hold_fails_lint(tmp_path: Path) -> None:
    files = sharded(weight_map={"a": "s-1.safetensors", "b": "s-2.safetensors", "lost": "s-2.safetensors"})
    for name in files._files:
        (tmp_path / name).write_bytes(files._files[name])
    report = mi.lint(tmp_path / "m.safetensors.index.json").to_dict()
    assert "incomplete" in {finding["rule"] for finding in report["findings"]}


@pytest.mark.parametrize(
    "other",
    ["pruned_mlp/stripped/model.keras", "pruned_mlp/stripped/float32.tflite", "pruned_mlp/stripped/model.h5"],
)
def test_the_same_weights_in_keras_and_tflite_are_found_again(other: str) -> None:
    path = fixture_path("safetensors_files/mlp.safetensors")
    report = mi.diff(fixture_path(other), path).to_dict()
    pairs = [row for row in report["tensors"] if row["before"] and row["after"]]
    assert len(pairs) == 4
    assert all(row["stored_delta"] == 0 for row in pairs)
    explained = mi.explain(fixture_path(other), path).to_dict()
    assert sum(cause["delta"] for cause in explained["causes"]) == explained["delta"]
    assert not [cause for cause in explained["causes"] if cause["cause"] == "unexplained"]


def hostile() -> list[tuple[str, bytes]]:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return [
        ("length 2^63", struct.pack("<Q", 1 << 63) + b"{}" + bytes(64)),
        ("length of the largest header", struct.pack("<Q", 100_000_000) + b"{}" + bytes(64)),
        ("deep", raw(None, text=b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}")),
        ("deep objects", raw(None, text=b'{"a":' * 100_000 + b"1" + b"}" * 100_000)),
        (
            "huge numbers",
            raw({"a": {"dtype": "F32", "shape": [1 << 63, 1 << 63], "data_offsets": [0, 1 << 63]}}, bytes(8)),
        ),
        (
            "a number of a million digits",
            raw(None, text=b'{"a":{"dtype":"F32","shape":[' + b"9" * 1_000_000 + b'],"data_offsets":[0,8]}}'),
        ),
        ("many axes", raw({"a": {"dtype": "U8", "shape": [1] * 100_000, "data_offsets": [0, 1]}}, b"\0")),
        (
            "zero of many",
            raw({"a": {"dtype": "F32", "shape": [1 << 62, 1 << 62, 0], "data_offsets": [0, 0]}}),
        ),
        ("5,000 tensors on the same bytes", raw({f"t{number}": entry for number in range(5_000)}, bytes(8))),
        ("not UTF-8", raw(None, text=b'{"\xff\xfe":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}')),
        (
            "a lone surrogate",
            raw(None, bytes(8), text=b'{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        ),
        ("a header of spaces", raw(None, text=b"{}" + b" " * 5_000_000)),
    ]


def test_hostile_headers_give_a_map_or_a_clear_error() -> None:
    outcome = hold(
        (label, MemoryFiles({"m.safetensors": data}, "m.safetensors")) for label, data in hostile()
    )
    assert outcome.maps
    assert outcome.errors


def test_only_the_header_is_read_of_a_file_of_megabytes() -> None:
    data = save({"a": np.ones(2_000_000, "<f4")})
    files = CountingFiles({"m.safetensors": data}, "m.safetensors")
    parse(files)
    assert files.count < 2_000
