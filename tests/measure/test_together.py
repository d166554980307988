"""Tensors that are counted in one read have the counts that they have when each is read by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.limits import Limits
from modelinspect.core.span import Span
from modelinspect.core.tensors import ByteOrder, Quantization, RawPayload, Stream, Tensor
from modelinspect.measure import together
from modelinspect.measure.run import measure
from modelinspect.sources.base import MemorySource
from modelinspect.sources.files import MemoryFiles
from tests.support.tensors import artifact_of, tensor

STREAM = Stream("m")
SIZES = {
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "int8": 1,
    "int32": 4,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
}


def member(seed: int, size: int) -> bytes:
    """Make bytes of which long runs are zero, or zero with a sign for one of the types."""
    rng = np.random.default_rng(seed)
    data = rng.integers(1, 256, size, dtype=np.uint8)
    for start in rng.integers(0, size, 12).tolist():
        data[start : start + int(rng.integers(1, 300))] = 0
    for width in (2, 4, 8):
        for start in rng.integers(0, size // width, 20).tolist():
            data[start * width : (start + 1) * width] = 0
            data[(start + 1) * width - 1] = 0x80
    return data.tobytes()


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    places=st.lists(
        st.tuples(
            st.sampled_from(sorted(SIZES)),
            st.integers(0, 6_000),
            st.integers(0, 900),
            st.sampled_from(list(ByteOrder)),
        ),
        max_size=12,
    ),
    block=st.integers(64, 9_000),
    gap=st.integers(0, 2_000),
)
def test_together_and_alone_the_counts_are_the_same(
    seed: int, places: list[tuple[str, int, int, ByteOrder]], block: int, gap: int
) -> None:
    files = MemoryFiles({"m": member(seed, 16_000)}, "m")
    items = [
        tensor(name, (count,), RawPayload(STREAM, (Span(offset, count * SIZES[name]),), order))
        for name, offset, count, order in places
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "BLOCK", block)
        patch.setattr(together, "BLOCK_SIZE", block)
        patch.setattr(together, "GAP", gap)
        found = measure(artifact_of(*items), files)
        patch.setattr(together, "BLOCK_SIZE", 0)
        patch.setattr(together, "BLOCK", 0)
        assert measure(artifact_of(*items), files) == found


class Counting(MemoryFiles):
    """Files that remember what was read."""

    reads: list[tuple[int, int]]

    def _open_source(self, name: str) -> MemorySource:
        reads = self.reads = []

        class Source(MemorySource):
            __slots__ = ()

            def read_into(self, offset: int, buffer: memoryview) -> None:
                reads.append((offset, len(buffer)))
                super().read_into(offset, buffer)

        return Source(self._files[name], name)


def row(count: int, size: int, distance: int) -> list[Tensor]:
    return [
        tensor("float32", (size // 4,), RawPayload(STREAM, (Span(index * distance, size),)))
        for index in range(count)
    ]


def test_near_tensors_are_read_at_once_and_far_ones_are_not() -> None:
    near, far = Counting({"m": bytes(100 * 1_000)}, "m"), Counting({"m": bytes(100 * 20_000)}, "m")
    assert {each.zero_count for each in measure(artifact_of(*row(100, 256, 1_000)), near).tensors} == {64}
    assert near.reads == [(0, 99_256)]
    assert {each.zero_count for each in measure(artifact_of(*row(100, 256, 20_000)), far).tensors} == {64}
    assert far.reads == [(index * 20_000, 256) for index in range(100)]


def test_no_read_is_larger_than_a_block() -> None:
    files = Counting({"m": bytes(64 * 100_000)}, "m")
    measure(artifact_of(*row(64, 100_000, 100_000)), files)
    assert max(size for _, size in files.reads) <= together.BLOCK
    assert sum(size for _, size in files.reads) == 64 * 100_000


def test_a_tensor_beyond_the_end_is_named_and_its_neighbours_are_counted() -> None:
    beyond = RawPayload(STREAM, (Span(900, 400),))
    items = [*row(3, 256, 300), tensor("float32", (100,), beyond)]
    found = measure(artifact_of(*items), MemoryFiles({"m": bytes(1_000)}, "m"))
    assert [each.zero_count for each in found.tensors] == [64, 64, 64, None]
    assert [(one.member, one.offset) for one in found.diagnostics] == [("m", 900)]


def test_a_zero_point_keeps_a_tensor_out_of_the_common_count() -> None:
    spans = [Span(0, 4), Span(4, 4)]
    points = [Quantization((1.0,), (0,)), Quantization((1.0,), (7,))]
    items = [
        tensor("int8", (4,), RawPayload(STREAM, (span,)), quantization=point)
        for span, point in zip(spans, points, strict=True)
    ]
    found = measure(artifact_of(*items), MemoryFiles({"m": b"\0\0\7\7" * 2}, "m"))
    assert [each.zero_count for each in found.tensors] == [2, 2]
    assert measure(artifact_of(*items), MemoryFiles({"m": b"\0\0\0\7" * 2}, "m"))[1].zero_count == 1


def test_limits_below_a_block_are_kept() -> None:
    found = measure(
        artifact_of(*row(3, 256, 300)), MemoryFiles({"m": bytes(1_000)}, "m"), Limits(block_size=300)
    )
    assert [each.zero_count for each in found.tensors] == [64, 64, 64]


def test_progress_tells_of_tensors_that_are_read_together() -> None:
    told: list[tuple[int, int]] = []
    items = row(40, 500_000, 500_000)
    measure(
        artifact_of(*items),
        MemoryFiles({"m": bytes(20_000_000)}, "m"),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (20_000_000, 20_000_000)
    assert len(told) > 2
