"""Elements in HDF5 chunks are read as h5py reads them, and no chunk may ask for more than the limits
allow.
"""

from __future__ import annotations

import io
import re
import zlib
from array import array
from itertools import product

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.artifact import Diagnostic, Severity
from modelinspect.core.limits import MIB, Limits
from modelinspect.core.tensors import ByteOrder, Hdf5Filter, Hdf5Payload, Quantization, Stream
from modelinspect.encodings.hdf5.filters import fletcher32
from modelinspect.measure.facts import Aspect, TensorMeasure
from modelinspect.measure.filters import unshuffle
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles
from tests.measure.test_zeros import oracle
from tests.support.tensors import artifact_of, tensor

FILTERS = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 9},
    "shuffle and gzip": {"compression": "gzip", "shuffle": True},
    "shuffle, gzip and fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "fletcher32": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "shuffle and lzf": {"compression": "lzf", "shuffle": True},
    "szip": {"compression": "szip"},
}


def payload_of(dataset: h5py.Dataset, member: str = "m") -> Hdf5Payload:
    """Describe a data set's chunks as h5py knows them."""
    offsets, sizes, masks, places = array("q"), array("q"), array("q"), array("q")
    for index in range(dataset.id.get_num_chunks()):
        info = dataset.id.get_chunk_info(index)
        offsets.append(info.byte_offset)
        sizes.append(info.size)
        masks.append(info.filter_mask)
        places.extend(info.chunk_offset)
    plist = dataset.id.get_create_plist()
    filters = []
    for index in range(plist.get_nfilters()):
        number, _, values, name = plist.get_filter(index)
        filters.append(Hdf5Filter(number, name.decode(), tuple(values)))
    fill = np.array(dataset.fillvalue, dtype=dataset.dtype).tobytes()
    order = ByteOrder.BIG if dataset.dtype.byteorder == ">" else ByteOrder.LITTLE
    return Hdf5Payload(
        Stream(member), dataset.chunks, tuple(filters), offsets, sizes, masks, places, fill, order
    )


def measure_file(
    data: bytes, *, limits: Limits | None = None, aspects: tuple[Aspect, ...] = ()
) -> tuple[TensorMeasure, np.ndarray]:
    """Measure the data set ``x`` of a file, and read it with h5py."""
    with h5py.File(io.BytesIO(data)) as file:
        dataset = file["x"]
        item = tensor(dataset.dtype.newbyteorder("=").name, dataset.shape, payload_of(dataset))
        return (
            measure(artifact_of(item), MemoryFiles({"m": data}, "m"), limits, aspects=aspects)[0],
            dataset[()],
        )


def make(values: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("x", data=values, **options)
    return buffer.getvalue()


def sparse(shape: tuple[int, ...], dtype: str, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape) * 50
    values[rng.random(shape) < 0.5] = 0
    if np.dtype(dtype).kind == "f":
        values[rng.random(shape) < 0.2] = -0.0
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("options", "dtype"),
    [(key, dtype) for key, dtype in product(sorted(FILTERS), ["<f4", ">f4", "<f8", "<i2", "|u1"])],
)
def test_filtered_chunks_are_read_as_h5py_reads_them(options: str, dtype: str) -> None:
    if options == "szip" and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        pytest.skip("this HDF5 library has no szip")
    found, values = measure_file(
        make(sparse((37, 21), dtype), chunks=(16, 8), **FILTERS[options]), aspects=(Aspect.DIGEST,)
    )
    assert (found.zero_count, found.negative_zero_count) == oracle(values), found.reason
    import hashlib

    assert found.digest == hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()


@pytest.mark.parametrize("dtype", ["<i4", "<i2", "<u2"])
def test_scale_offset_chunks_are_left_to_the_library(dtype: str) -> None:
    found, values = measure_file(make(sparse((40, 9), dtype).clip(0, 100), chunks=(16, 9), scaleoffset=True))
    assert (found.zero_count, found.negative_zero_count) == oracle(values), found.reason


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shape_of_chunks_gives_numpys_counts(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
    chunks = tuple(data.draw(st.integers(1, length)) for length in shape)
    fill = data.draw(st.sampled_from([None, 0.0, -0.0, 2.5]))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=data.draw(st.sampled_from(["earliest", "latest"]))) as file:
        # An extensible array that grows along another axis than the first is one whose coordinates the
        # library's H5Dget_chunk_info gives in the wrong order (1.14.6): payload_of would describe other
        # chunks.
        maximum = (data.draw(st.sampled_from([None, shape[0]])), *shape[1:])
        dataset = file.create_dataset(
            "x", shape, "f4", chunks=chunks, maxshape=maximum, fillvalue=fill, compression="gzip"
        )
        for _ in range(data.draw(st.integers(0, 3))):  # some chunks are never written
            starts = [data.draw(st.integers(0, length - 1)) for length in shape]
            place = tuple(
                slice(at, data.draw(st.integers(at + 1, length)))
                for at, length in zip(starts, shape, strict=True)
            )
            part = dataset[place]
            dataset[place] = sparse(part.shape, "f4", part.size)
    limits = Limits(block_size=data.draw(st.sampled_from([4 * 12**4, 4 * int(np.prod(chunks))])))
    found, values = measure_file(buffer.getvalue(), limits=limits)
    assert (found.element_count, found.zero_count, found.negative_zero_count) == (
        values.size,
        *oracle(values),
    ), found.reason


def test_a_skipped_filter_is_not_undone() -> None:
    buffer = io.BytesIO()
    values = sparse((8, 8), "<f4")
    with h5py.File(buffer, "w") as file:
        dataset = file.create_dataset("x", (8, 8), "<f4", chunks=(8, 8), compression="gzip", shuffle=True)
        dataset.id.write_direct_chunk((0, 0), values.tobytes(), filter_mask=3)
    found, read = measure_file(buffer.getvalue())
    assert (read == values).all()
    assert (found.zero_count, found.negative_zero_count) == oracle(values)


def test_a_data_set_that_was_never_written_holds_its_fill_value() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("x", (2**40, 2**20), "<f4", chunks=(64, 64), fillvalue=-0.0)
    with h5py.File(io.BytesIO(buffer.getvalue())) as file:
        item = tensor("float32", file["x"].shape, payload_of(file["x"]))
    found = measure(artifact_of(item), MemoryFiles({"m": buffer.getvalue()}, "m"))[0]
    assert (found.element_count, found.zero_count, found.negative_zero_count) == (2**60, 2**60, 2**60)


def bomb(stored: bytes, chunk: tuple[int, ...], shape: tuple[int, ...]) -> tuple[bytes, Hdf5Payload]:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        dataset = file.create_dataset("x", shape, "<f4", chunks=chunk, compression="gzip")
        dataset.id.write_direct_chunk((0,) * len(shape), stored)
    data = buffer.getvalue()
    with h5py.File(io.BytesIO(data)) as file:
        return data, payload_of(file["x"])


def refused(data: bytes, payload: Hdf5Payload, shape: tuple[int, ...], limits: Limits | None = None) -> str:
    """Measure a tensor that cannot be, within a few megabytes; return the reason."""
    import tracemalloc

    tracemalloc.start()
    try:
        found = measure(artifact_of(tensor("float32", shape, payload)), MemoryFiles({"m": data}, "m"), limits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[0].zero_count is None
    assert len(found.diagnostics) == 1
    assert peak < 4 * MIB
    return found[0].reason


def test_a_deflate_bomb_in_a_chunk_is_an_error_and_no_memory() -> None:
    packer = zlib.compressobj(9)
    stored = b"".join(packer.compress(bytes(MIB)) for _ in range(512)) + packer.flush()
    data, payload = bomb(stored, (64, 64), (64, 64))
    assert "inflates to more than its 16,384" in refused(data, payload, (64, 64))


def test_a_chunk_larger_than_the_limit_is_refused_before_it_is_read() -> None:
    data, payload = bomb(zlib.compress(bytes(10)), (2**15, 2**10), (2**20, 2**20))
    assert "a chunk needs 134,217,728 but the limit is" in refused(data, payload, (2**20, 2**20))


def test_many_chunks_over_the_same_bytes_are_refused_before_they_are_read() -> None:
    data, payload = bomb(zlib.compress(bytes(4 * 2**20)), (2**20,), (2**40,))
    for index in range(1, 20_000):
        payload.offsets.append(payload.offsets[0])
        payload.sizes.append(payload.sizes[0])
        payload.masks.append(0)
        payload.coordinates.append(index * 2**20)
    assert "decoding all chunks needs" in refused(data, payload, (2**40,))


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (zlib.compress(bytes(256))[:-6], "has no end"),
        (b"\x00" * 20, "does not inflate"),
        (zlib.compress(bytes(100)), "decodes to 100 bytes where 256 belong"),
        (b"", "has no end"),
    ],
)
def test_a_broken_chunk_is_a_reason(stored: bytes, problem: str) -> None:
    data, payload = bomb(stored or b"x", (8, 8), (8, 8))
    if not stored:
        payload.sizes[0] = 0
    assert problem in refused(data, payload, (8, 8))


@pytest.mark.parametrize("place", [0, 3, 131, 255, 256, 259])
@pytest.mark.parametrize("chunk", [0, 2])
def test_a_wrong_fletcher32_names_the_data_set_the_chunk_and_both_sums_where_h5py_raises(
    place: int, chunk: int
) -> None:
    data = bytearray(make(sparse((16, 16), "<f4"), chunks=(8, 8), fletcher32=True))
    with h5py.File(io.BytesIO(bytes(data))) as file:
        payload = payload_of(file["x"])
    data[payload.offsets[chunk] + place] ^= 1
    with h5py.File(io.BytesIO(bytes(data))) as file, pytest.raises(OSError, match=r"checksum|filter"):
        file["x"][...]
    reason = refused(bytes(data), payload, (16, 16))
    found = measure(artifact_of(tensor("float32", (16, 16), payload)), MemoryFiles({"m": bytes(data)}, "m"))
    assert re.fullmatch(
        rf"the chunk at element \({8 * (chunk // 2)}, {8 * (chunk % 2)}\): "
        r"the fletcher32 checksum is (0x[0-9a-f]{8}) but the bytes give (?!\1)0x[0-9a-f]{8}",
        reason,
    )
    assert found.diagnostics == (
        Diagnostic(Severity.WARNING, f"tensor t: {reason}", "m", payload.offsets[chunk]),
    )


def test_chunks_that_lie_are_reasons() -> None:
    data, good = bomb(zlib.compress(bytes(256)), (8, 8), (8, 8))
    beyond = Hdf5Payload(
        Stream("m"),
        (8, 8),
        good.filters,
        array("q", [len(data) - 3]),
        array("q", [50]),
        array("q", [0]),
        array("q", [0, 0]),
    )
    assert "needs 50 bytes but 3 are left" in refused(data, beyond, (8, 8))
    twice = Hdf5Payload(
        Stream("m"),
        (8, 8),
        good.filters,
        good.offsets * 2,
        good.sizes * 2,
        good.masks * 2,
        array("q", [0, 0, 0, 0]),
    )
    assert "in one place" in refused(data, twice, (16, 8))
    askew = Hdf5Payload(
        Stream("m"), (8, 8), good.filters, good.offsets, good.sizes, good.masks, array("q", [3, 0])
    )
    assert "between the places" in refused(data, askew, (16, 8))
    flat = Hdf5Payload(
        Stream("m"), (8,), good.filters, good.offsets, good.sizes, good.masks, good.coordinates
    )
    assert "do not fit" in refused(data, flat, (16, 8))


def test_an_unknown_filter_is_a_reason() -> None:
    data, good = bomb(zlib.compress(bytes(256)), (8, 8), (8, 8))
    strange = (Hdf5Filter(31_999, "strange"),)
    payload = Hdf5Payload(
        Stream("m"), (8, 8), strange, good.offsets, good.sizes, good.masks, good.coordinates
    )
    found = measure(artifact_of(tensor("float32", (8, 8), payload)), MemoryFiles({"m": data}, "m"))[0]
    assert found.zero_count is None
    assert "strange" in found.reason


def test_zero_points_along_an_axis_work_on_whole_rows_of_chunks() -> None:
    values = np.random.default_rng(3).integers(0, 3, (32, 6)).astype("i1")
    data = make(values, chunks=(8, 4), compression="gzip")
    with h5py.File(io.BytesIO(data)) as file:
        payload = payload_of(file["x"])
    item = tensor("int8", (32, 6), payload, quantization=Quantization((1.0,) * 6, (0, 1, 2, 0, 1, 2), 1))
    found = measure(artifact_of(item), MemoryFiles({"m": data}, "m"))[0]
    assert found.zero_count == int((values == np.array([0, 1, 2, 0, 1, 2])).sum())


@given(data=st.binary(max_size=600), size=st.integers(1, 9))
def test_unshuffle_undoes_the_librarys_shuffle(data: bytes, size: int) -> None:
    whole = len(data) // size * size
    planes = (
        b"".join(data[byte:whole:size] for byte in range(size))
        if size > 1 and len(data) >= 2 * size
        else data[:whole]
    )
    assert unshuffle(planes + data[whole:], size) == data


def test_fletcher32_follows_the_librarys_sums_over_long_data() -> None:
    values = np.random.default_rng(5).integers(0, 2**32, 100_001, dtype=np.uint32)
    data = make(values, chunks=(100_001,), fletcher32=True)
    with h5py.File(io.BytesIO(data)) as file:
        payload = payload_of(file["x"])
    stored = data[payload.offsets[0] : payload.offsets[0] + payload.sizes[0]]
    first, second = fletcher32(stored[:-4])
    value = int.from_bytes(stored[-4:], "little")
    assert (value & 0xFFFF) % 65535 == first
    assert (value >> 16) % 65535 == second


def test_chunks_as_large_as_h5repack_makes_them_are_read() -> None:
    data, payload = bomb(zlib.compress(bytes(32 * MIB), 1), (2**13, 2**10), (2**13, 2**10))
    found = measure(artifact_of(tensor("float32", (2**13, 2**10), payload)), MemoryFiles({"m": data}, "m"))[0]
    assert found.zero_count == 2**23
