"""MLIR byte code, compared with the readers of jaxlib and with the arrays that were given to jax2tf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fixtures import FOLDER

import modelinspect as mi
from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.signatures import MLIR as MAGIC
from modelinspect.core.tensors import DTYPES, Role, SplatPayload, Tensor
from modelinspect.encodings.mlir import MlirCursor, SectionId, read_entries, read_frame, read_strings
from modelinspect.errors import Code, FormatError
from modelinspect.formats.registry import parse
from modelinspect.measure.facts import TensorMeasure
from modelinspect.measure.run import measure
from modelinspect.sources.base import MemorySource
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location

PROGRAMS = FOLDER / "stablehlo"


def varint(value: int) -> bytes:
    """Encode a PrefixVarInt."""
    size = max((value.bit_length() + 6) // 7, 1)
    if size > 8:
        return b"\0" + value.to_bytes(8, "little")
    return (value << size | 1 << (size - 1)).to_bytes(size, "little")


def section(id: int, data: bytes) -> bytes:
    return bytes((id,)) + varint(len(data)) + data


def module(*sections: bytes, version: int = 6) -> bytes:
    return MAGIC + varint(version) + b"test\0" + b"".join(sections)


def parsed(data: bytes) -> Artifact:
    return parse(MemoryFiles({"m.mlirbc": data}))


def elements(artifact: Artifact, tensor: Tensor, folder: Path) -> bytes:
    with open_location(folder) as files:
        return b"".join(files.open(e.member).read_at(e.span.offset, e.span.size) for e in tensor.extents)


@pytest.mark.parametrize(
    "value", [0, 1, 63, 127, 128, 16_383, 16_384, 1 << 35, (1 << 56) - 1, 1 << 56, (1 << 64) - 1]
)
def test_a_varint_of_any_size_reads_back(value: int) -> None:
    cursor = MlirCursor(varint(value))
    assert cursor.varint() == value
    assert not cursor.left


def test_negative_numbers_are_stored_in_zigzag_order() -> None:
    assert [MlirCursor(varint(value)).svarint() for value in range(5)] == [0, -1, 1, -2, 2]


def test_sections_of_every_fixture_fill_the_file() -> None:
    for path in sorted(PROGRAMS.glob("*.mlirbc")):
        frame = read_frame(MemorySource(path.read_bytes()))
        assert frame.failure is None
        assert frame.sections[0].offset == frame.header_size
        assert all(
            one.end == other.offset for one, other in zip(frame.sections, frame.sections[1:], strict=False)
        )
        assert frame.sections[-1].end == path.stat().st_size


def test_the_offset_table_covers_the_attributes_and_types_exactly() -> None:
    for path in sorted(PROGRAMS.glob("*.mlirbc")):
        source = MemorySource(path.read_bytes())
        frame = read_frame(source)
        offsets, data = frame.find(SectionId.ATTR_TYPE_OFFSET), frame.find(SectionId.ATTR_TYPE)
        assert offsets is not None
        assert data is not None
        attributes, types = read_entries(MlirCursor(source.read_at(offsets.begin, offsets.size)), data.size)
        assert sum(entry.size for entry in (*attributes, *types)) == data.size


def constants_of_jaxlib(path: Path) -> list[Any]:
    """Return the constants of a program as the MLIR of jaxlib reads them: dtype as text, shape, and the
    values where it gives them.
    """
    pytest.importorskip("jax")
    from jax._src.interpreters import mlir
    from jax._src.lib.mlir import ir
    from jaxlib.mlir._mlir_libs import _stablehlo

    found = []
    with mlir.make_ir_context() as context:
        data = path.read_bytes()
        portable = path.name == "types.mlirbc"
        program = (
            _stablehlo.deserialize_portable_artifact(context, data) if portable else ir.Module.parse(data)
        )
        for function in program.body.operations:
            for operation in function.regions[0].blocks[0].operations:
                if operation.name == "stablehlo.constant":
                    type_ = ir.RankedTensorType(operation.results[0].type)
                    values = (
                        np.array(operation.attributes["value"])
                        if str(type_.element_type) == "f32" and "dense<" in str(operation)
                        else None
                    )
                    found.append((str(type_.element_type), tuple(type_.shape), values))
    return found


NAMES = {
    "f32": "float32",
    "i1": "bool",
    "complex<f32>": "complex64",
    "i4": "int4",
    "bf16": "bfloat16",
    "f8E4M3FN": "float8_e4m3fn",
}


@pytest.mark.parametrize("name", ["types.mlirbc", "types_builtin.mlirbc", "types_v1.mlirbc"])
def test_constants_have_the_types_and_shapes_that_jaxlib_reads(name: str) -> None:
    artifact = mi.open(PROGRAMS / name)
    ours = sorted(
        (t.dtype.name, t.shape) for t in artifact.tensors if t.dtype.name != "int64"
    )  # the dimensions of operations
    assert ours == sorted((NAMES[kind], shape) for kind, shape, _ in constants_of_jaxlib(PROGRAMS / name))


@pytest.mark.parametrize("name", ["types.mlirbc", "types_builtin.mlirbc", "types_v1.mlirbc"])
def test_float_constants_have_the_values_that_jaxlib_reads(name: str) -> None:
    artifact = mi.open(PROGRAMS / name)
    compared = 0
    for kind, shape, values in constants_of_jaxlib(PROGRAMS / name):
        if kind != "f32" or values is None or not values.any():
            continue
        tensor = next(t for t in artifact.tensors if t.dtype is DTYPES["float32"] and t.shape == shape)
        ours = np.frombuffer(elements(artifact, tensor, PROGRAMS / name), dtype="<f4").reshape(shape)
        assert np.array_equal(ours, values)
        assert np.array_equal(np.signbit(ours), np.signbit(values))
        compared += 1
    assert compared


def test_a_resource_that_a_constant_names_has_its_type_and_values() -> None:
    artifact = mi.open(PROGRAMS / "types_builtin.mlirbc")
    tensor = next(t for t in artifact.tensors if t.name.endswith("constant w"))
    assert (tensor.dtype.name, tensor.shape) == ("float32", (2, 3))
    values = np.frombuffer(elements(artifact, tensor, PROGRAMS / "types_builtin.mlirbc"), dtype="<f4")
    assert values.tolist() == [1, 2, 3, 4, 0, 6]


def zeros_of(name: str) -> dict[str, TensorMeasure]:
    with open_location(PROGRAMS / name) as files:
        artifact = parse(files)
        return {t.name: m for t, m in zip(artifact.tensors, measure(artifact, files).tensors, strict=True)}


def test_the_zeros_of_one_repeated_value_are_those_of_all_elements() -> None:
    artifact = mi.open(PROGRAMS / "types.mlirbc")
    splat = next(t for t in artifact.tensors if isinstance(t.payload, SplatPayload) and t.shape == (2, 3))
    assert (splat.stored_size, splat.logical_size) == (4, 24)
    measured = zeros_of("types.mlirbc")[splat.name]
    assert (measured.element_count, measured.zero_count) == (6, 6)


def test_packed_booleans_are_counted_bit_by_bit() -> None:
    artifact = mi.open(PROGRAMS / "types.mlirbc")
    booleans = next(t for t in artifact.tensors if t.dtype.name == "bool" and t.shape == (20,))
    assert booleans.stored_size == 3
    measured = zeros_of("types.mlirbc")[booleans.name]
    assert (measured.element_count, measured.zero_count) == (20, 15)


def test_a_frozen_kernel_of_jax2tf_is_found_twice_with_all_its_zeros() -> None:
    report = mi.inspect(PROGRAMS / "jax2tf").to_dict()
    kernels = [t for t in report["tensors"] if t["shape"] == [256, 256]]
    assert [t["stored_size"] for t in kernels] == [262_144, 262_144]
    assert [t["zero_count"] / t["element_count"] for t in kernels] == [pytest.approx(0.8, abs=1e-5)] * 2
    assert {t["role"] for t in kernels} == {"weight"}
    assert report["categories"]["unattributed"] == 0


def test_the_values_of_a_frozen_kernel_are_those_that_jax2tf_was_given() -> None:
    random = np.random.default_rng(7)
    given = random.normal(size=(256, 256)).astype(np.float32)
    given.ravel()[random.permutation(256 * 256)[: round(256 * 256 * 0.8)]] = 0
    artifact = mi.open(PROGRAMS / "jax2tf")
    kernels = [t for t in artifact.tensors if t.shape == (256, 256)]
    assert len(kernels) == 2
    for tensor in kernels:
        assert np.array_equal(
            np.frombuffer(elements(artifact, tensor, PROGRAMS / "jax2tf"), dtype="<f4").reshape(256, 256),
            given,
        )


def test_the_facts_name_node_function_and_gradient() -> None:
    facts = mi.open(PROGRAMS / "jax2tf").facts
    programs = facts["stablehlo"]
    gradients = facts["gradient_functions"]
    assert isinstance(programs, tuple)
    assert isinstance(gradients, tuple)
    assert len(programs) == 2
    assert [program["function"] in gradients for program in programs].count(True) == 1  # type: ignore[index, call-overload]


def test_without_a_gradient_the_kernel_is_stored_once() -> None:
    artifact = mi.open(PROGRAMS / "jax2tf_no_gradient")
    assert [t.stored_size for t in artifact.tensors if t.shape == (32, 32)] == [4_096]


def test_a_variable_that_is_an_argument_is_in_the_checkpoint_and_not_in_the_program() -> None:
    artifact = mi.open(PROGRAMS / "jax2tf_variables")
    kernels = [t for t in artifact.tensors if t.shape == (32, 32)]
    assert [t.extents[0].member for t in kernels] == ["variables/variables.data-00000-of-00001"]
    assert not [t for t in artifact.tensors if t.role is Role.WEIGHT and "stablehlo" in t.name]


def test_a_later_version_of_the_byte_code_is_named_section_by_section() -> None:
    data = bytearray((PROGRAMS / "types.mlirbc").read_bytes())
    data[4] = varint(40)[0]
    artifact = parsed(bytes(data))
    sizes = artifact.members[0].map.kind_sizes()
    assert sizes[RegionKind.UNATTRIBUTED] == 0
    assert [d.severity for d in artifact.diagnostics] == ["note"]
    assert not artifact.tensors


def test_an_unknown_code_is_a_region_of_its_own() -> None:
    strings = section(0, varint(1) + varint(5) + b"vhlo\0")
    dialects = section(1, varint(1) + varint(0) + varint(0))
    data = module(
        strings,
        dialects,
        section(3, varint(1) + varint(0) + varint(0) + varint(1) + varint(3 << 1 | 1)),
        section(2, varint(99) + b"ab"),
    )
    artifact = parsed(data)
    assert not artifact.diagnostics
    assert ("AttrType", "attributes", "#0 vhlo code 99") in [
        region.path for region in artifact.members[0].map
    ]


def test_padding_that_is_not_the_prescribed_fill_is_free_space() -> None:
    def aligned(fill: bytes) -> Artifact:
        head = module()
        start = len(head) + 1 + 1 + 1
        return parsed(head + bytes((4 | 0x80,)) + varint(4) + varint(16) + fill * (-start % 16) + b"irir")

    def padding(artifact: Artifact) -> RegionKind:
        return next(region.kind for region in artifact.members[0].map if region.path[-1] == "padding")

    assert padding(aligned(b"\xcb")) is RegionKind.CONTAINER
    assert padding(aligned(b"!")) is RegionKind.FREE


HOSTILE = {
    "a section of 2^63 bytes": module(bytes((4,)) + varint(1 << 63)),
    "an alignment of 2^62": module(bytes((4 | 0x80,)) + varint(1) + varint(1 << 62)),
    "an alignment that is no power of two": module(bytes((4 | 0x80,)) + varint(1) + varint(12) + b"x"),
    "2^62 strings": module(section(0, varint(1 << 62))),
    "a string of 2^62 bytes": module(section(0, varint(1) + varint(1 << 62))),
    "2^60 attributes": module(section(3, varint(1 << 60) + varint(0)), section(2, b"")),
    "a group of no attributes": module(
        section(3, varint(2) + varint(0) + (varint(0) + varint(0)) * 4), section(2, b"ab")
    ),
    "an attribute beyond its section": module(
        section(3, varint(1) + varint(0) + varint(0) + varint(1) + varint(1 << 40)), section(2, b"ab")
    ),
    "2^50 dialects": module(section(0, varint(0)), section(1, varint(1 << 50))),
    "a resource of 2^50 bytes": module(
        section(6, varint(0) + varint(0) + varint(1) + varint(0) + varint(1 << 50) + b"\0"),
        section(5, b"abc"),
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_numbers_give_a_map_and_a_diagnostic(what: str) -> None:
    artifact = parsed(HOSTILE[what])
    assert artifact.diagnostics
    assert sum(region.span.size for region in artifact.members[0].map) == len(HOSTILE[what])


def test_a_producer_without_an_end_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        parsed(MAGIC + varint(6) + b"x" * 40)
    assert caught.value.code is Code.MALFORMED


def typed_constant(type_bytes: list[bytes], size: int) -> Artifact:
    """Return a module of one constant of ``size`` bytes, whose type is the first of the given ones."""
    attribute = varint(15) + varint(0) + varint(size) + b"\1" * size
    offsets = varint(1) + varint(len(type_bytes)) + varint(0) + varint(1) + varint(len(attribute) << 1 | 1)
    offsets += varint(0) + varint(len(type_bytes)) + b"".join(varint(len(one) << 1 | 1) for one in type_bytes)
    strings = section(0, varint(1) + varint(5) + b"vhlo\0")
    return parsed(
        module(
            strings,
            section(1, varint(1) + varint(0) + varint(0)),
            section(3, offsets),
            section(2, attribute + b"".join(type_bytes)),
        )
    )


def test_types_that_contain_themselves_end() -> None:
    tensor = varint(20) + varint(1) + varint(4) + varint(1)  # of shape (2,), elements of type 1
    artifact = typed_constant([tensor, varint(1) + varint(1)], 16)  # type 1: complex of type 1
    assert artifact.tensors[0].payload is None
    assert artifact.tensors[0].stored_size == 16


def test_a_shape_that_nobody_could_count_is_not_repeated() -> None:
    huge = varint(20) + varint(3) + varint(1 << 62) * 3 + varint(1)
    artifact = typed_constant([huge, varint(4)], 8)
    assert (artifact.tensors[0].shape, artifact.tensors[0].logical_size) == ((), 8)


def test_strings_are_cut_at_the_lengths_that_stand_in_reverse_order() -> None:
    strings = read_strings(MlirCursor(varint(2) + varint(2) + varint(4) + b"abc\0d\0"))
    assert [strings[0], strings[1]] == ["abc", "d"]


def test_the_copy_for_the_gradient_has_a_finding_of_its_own() -> None:
    found = {finding.rule: finding for finding in mi.inspect(PROGRAMS / "jax2tf").findings}
    assert found["gradient-duplicate"].bytes == found["stablehlo-constants"].bytes == 262_144
    assert "duplicate-tensors" not in found
