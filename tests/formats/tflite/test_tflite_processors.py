"""Programs for other processors, and the lookup tables of tflite-micro."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import flatbuffers.flexbuffers as flexbuffers
import numpy as np
import pytest
from tests.support.fixtures import FOLDER
from tests.support.flat import build, model

import modelinspect as mi
from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import LookupPayload, Role
from modelinspect.formats.registry import parse
from modelinspect.formats.tflite.compiled import read_stamp
from modelinspect.measure.blocks import Reading
from modelinspect.measure.readers import blocks
from modelinspect.sources.files import FileSet, MemoryFiles
from modelinspect.sources.opening import open_location

MICRO = FOLDER / "micro_compression"
INT8, UINT8 = 9, 3


def parsed(data: bytes) -> tuple[Artifact, MemoryFiles]:
    files = MemoryFiles({"m.tflite": data})
    return parse(files), files


def elements(artifact: Artifact, files: FileSet, name: str) -> np.ndarray[Any, Any]:
    tensor = next(one for one in artifact.tensors if one.name == name)
    data = b"".join(block.data.tobytes() for block in blocks(tensor, Reading(files, Limits(), bytearray())))
    return np.frombuffer(data, dtype=np.int8).reshape(tensor.shape)


def recipe() -> Any:
    pytest.importorskip("tflite_micro")
    sys.path.insert(0, str(FOLDER / "recipes"))
    try:
        import micro_compression
    finally:
        sys.path.pop(0)
    return micro_compression


@pytest.mark.parametrize(
    ("name", "kernel"), [("per_tensor", "shared_values"), ("per_channel", "channel_values")]
)
def test_indices_are_looked_up_as_tflite_micro_encoded_them(name: str, kernel: str) -> None:
    given = getattr(recipe(), kernel)()
    with open_location(MICRO / f"{name}.tflite") as files:
        artifact = parse(files)
        assert np.array_equal(elements(artifact, files, "kernel"), given)


@pytest.mark.parametrize(("name", "bits"), [("per_tensor", 2), ("per_channel", 3)])
def test_bits_per_weight_count_indices_and_tables(name: str, bits: int) -> None:
    artifact = mi.open(MICRO / f"{name}.tflite")
    kernel, ancillary = artifact.tensors
    known = artifact.facts["compression"]["tensors"]["kernel"]  # type: ignore[index, call-overload]
    assert isinstance(kernel.payload, LookupPayload)
    assert kernel.payload.bits == known["index_bits"] == bits
    assert (kernel.role, ancillary.role) == (Role.WEIGHT, Role.QUANTIZATION)
    assert kernel.stored_size == 16 * 24 * bits // 8
    assert known["table_bytes"] == ancillary.stored_size
    entry = mi.inspect(MICRO / f"{name}.tflite").to_dict()["tensors"][0]
    assert kernel.quantization is not None
    ranges = (4 + 8) * len(kernel.quantization.scales)  # a scale and a zero point
    assert (entry["bits"], entry["packed"]) == (bits, 8 // bits)
    assert entry["bits_per_weight"] == pytest.approx(
        8 * (kernel.stored_size + ancillary.stored_size + ranges) / (16 * 24), abs=1e-3
    )
    assert artifact.facts["compression"]["decode_types"] == {"LUT": 1}  # type: ignore[index, call-overload]


def test_a_table_that_metadata_names_is_quantization() -> None:
    artifact = mi.open(FOLDER / "tflite_handbuilt" / "lookup_tables.tflite")
    assert (
        mi.inspect(FOLDER / "tflite_handbuilt" / "lookup_tables.tflite").to_dict()["categories"][
            "quantization"
        ]
        >= 4
    )
    with open_location(FOLDER / "tflite_handbuilt" / "lookup_tables.tflite") as files:
        values = elements(artifact, files, "weight")
    indices = [
        byte >> shift & 3 for byte in range(16) for shift in (6, 4, 2, 0)
    ]  # the first element in the high bits
    assert values.ravel().tolist() == [(-2, 0, 1, 3)[index] for index in indices]


def decoded(ancillary: bytes, encoded: bytes = bytes(16), shape: Sequence[int] = (8, 8)) -> Artifact:
    """Return a layer whose kernel a TFLM_DECODE operator decodes."""
    tensors = [
        {"shape": [1, 8], "name": "input"},
        {"shape": [len(encoded)], "type": UINT8, "name": "encoded", "buffer": 1},
        {"shape": [len(ancillary)], "type": UINT8, "name": "ancillary", "buffer": 2},
        {"shape": list(shape), "type": INT8, "name": "kernel"},
        {"shape": [1, 8], "name": "output"},
    ]
    operators = [
        {"opcode_index": 1, "inputs": [1, 2], "outputs": [3]},
        {
            "opcode_index": 0,
            "inputs": [0, 3, -1],
            "outputs": [4],
            "builtin_options": ("FullyConnectedOptions", {}),
        },
    ]
    codes = [
        {"deprecated_builtin_code": 9, "builtin_code": 9},
        {"builtin_code": 32, "custom_code": "TFLM_DECODE"},
    ]
    return parsed(build(model(tensors, [{"data": encoded}, {"data": ancillary}], operators, codes)))[0]


@pytest.mark.parametrize(
    ("type_", "name"), [(1, "HUFFMAN"), (2, "PRUNING"), (9, "TYPE_9"), (200, "CUSTOM_200")]
)
def test_a_type_of_decoding_that_is_not_read_is_named(type_: int, name: str) -> None:
    artifact = decoded(bytes((type_, 1)) + bytes(30))
    assert artifact.facts["compression"]["decode_types"] == {name: 1}  # type: ignore[index, call-overload]
    tensor = artifact.tensors[0]
    assert (tensor.role, tensor.payload, tensor.shape) == (Role.WEIGHT, None, (8, 8))
    assert name in tensor.payload_note


@pytest.mark.parametrize(
    ("ancillary", "shape"),
    [
        (b"", (8, 8)),
        (bytes(8), (8, 8)),
        (bytes((0, 1, 0, 0, 1, 0xF0, 4)) + bytes(13), (8, 8)),  # indices of no bits
        (bytes((0, 1, 0, 0, 1, 0xF2, 128)) + bytes(13), (8, 8)),  # a table longer than the data
        (bytes((0, 1, 0, 0, 1, 0x72, 4)) + bytes(13), (8, 8)),  # an axis that the shape does not have
        (
            bytes((0, 1, 0, 0, 1, 0x02, 4)) + bytes(13),
            (1 << 20, 1 << 20),
        ),  # a shape that the indices do not fill
    ],
)
def test_broken_ancillary_data_leave_the_elements_unread(ancillary: bytes, shape: tuple[int, ...]) -> None:
    artifact = decoded(ancillary, shape=shape)
    assert artifact.tensors[0].payload is None
    assert artifact.tensors[0].payload_note


def test_a_stamp_names_manufacturer_and_model() -> None:
    stamp = b"MediaTek".ljust(125, b"\0") + b"mt6989".ljust(125, b"\0")
    assert read_stamp(stamp) == ("MediaTek", "mt6989")
    assert read_stamp(stamp[:-1]) is None
    assert read_stamp(b"\x1b[31m".ljust(250, b"\0")) is None


def test_byte_code_is_compiled_and_its_processor_named() -> None:
    report = mi.inspect(FOLDER / "tflite_handbuilt" / "byte_code.tflite").to_dict()
    assert report["categories"]["compiled"] == 200
    assert report["facts"]["compiled_programs"] == [
        {"operator": "DISPATCH_OP", "vendor": "Maker", "soc": "m1234", "bytes": 200}
    ]


def custom(
    code: str,
    options: bytes,
    tensors: Sequence[dict[str, Any]],
    inputs: Sequence[int],
    buffers: Sequence[dict[str, Any]] = (),
) -> Artifact:
    operator = {"inputs": list(inputs), "outputs": [len(tensors) - 1], "custom_options": options}
    return parsed(
        build(model(list(tensors), list(buffers), [operator], [{"builtin_code": 32, "custom_code": code}]))
    )[0]


def compiled_bytes(artifact: Artifact) -> int:
    return artifact.members[0].map.kind_sizes()[RegionKind.COMPILED]


def test_the_executable_of_an_edge_tpu_is_compiled() -> None:
    tensors = [{"shape": [1, 8], "name": "input"}, {"shape": [1, 8], "name": "output"}]
    plain = custom("edgetpu-custom-op", bytes(range(250)) * 4, tensors, [0])
    packed = custom("edgetpu-custom-op", flexbuffers.Dumps({"1": b"\x80\xff" * 700, "2": 3}), tensors, [0])
    assert compiled_bytes(plain) == 1_000
    assert compiled_bytes(packed) == 1_400
    for artifact in (plain, packed):
        assert artifact.facts["compiled_programs"][0]["vendor"] == "Google"  # type: ignore[index, call-overload]


def test_what_vela_packed_is_a_program_and_no_tensor() -> None:
    stream = b"COP1" + bytes((1, 0, 16, 0)) + (0x10000008).to_bytes(4, "little") + bytes(52)
    tensors = [
        {"shape": [64], "type": UINT8, "name": "commands", "buffer": 1},
        {"shape": [500], "type": UINT8, "name": "weights", "buffer": 2},
        {"shape": [1, 8], "name": "input"},
        {"shape": [1, 8], "name": "output"},
    ]
    artifact = custom("ethos-u", b"", tensors, [0, 1, 2], [{"data": stream}, {"data": bytes(range(250)) * 2}])
    assert not artifact.tensors
    assert compiled_bytes(artifact) == 564
    assert artifact.facts["compiled_programs"] == (
        {"operator": "ethos-u", "vendor": "Arm", "soc": "Ethos-U65-256", "bytes": 564},
    )


def test_a_file_without_a_program_has_the_fifteen_categories() -> None:
    assert len(mi.inspect(FOLDER / "tflite_handbuilt" / "narrow.tflite").to_dict()["categories"]) == 15


def test_explain_puts_a_program_down_to_its_own_cause() -> None:
    report = mi.explain(
        FOLDER / "tflite_handbuilt" / "narrow.tflite", FOLDER / "tflite_handbuilt" / "byte_code.tflite"
    ).to_dict()
    causes = {entry["cause"]: entry["delta"] for entry in report["causes"]}
    assert causes["compiled-program"] == 200
    assert sum(causes.values()) == report["delta"]
    assert report["categories"]["compiled"] == 200
