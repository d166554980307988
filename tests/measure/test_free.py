"""Free regions that hold something are found, whatever their sizes and distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.artifact import Artifact, FormatName, Member
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.span import Span
from modelinspect.core.tensors import DecompressStep, RawPayload, Stream, WindowStep
from modelinspect.measure import free
from modelinspect.measure.free import find_hidden
from modelinspect.sources.files import MemoryFiles
from tests.support.tensors import tensor


def artifact_with(sizes: list[tuple[int, bool]]) -> tuple[Artifact, int]:
    """Make a member of regions of these sizes, free or not."""
    total = sum(size for size, _ in sizes)
    builder = ByteMapBuilder("m", total)
    offset = 0
    for index, (size, is_free) in enumerate(sizes):
        builder.claim(
            offset, size, RegionKind.FREE if is_free else RegionKind.CONTAINER, builder.path(f"part {index}")
        )
        offset += size
    return Artifact("m", FormatName.HDF5, (Member("m", builder.build().map),), ()), total


@settings(max_examples=120, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.sampled_from([1, 3, 40, 200, 5_000]), st.booleans()), min_size=1, max_size=25
    ),
    seed=st.integers(0, 2**32),
    window=st.sampled_from([64, 300, 6_000]),
    gap=st.sampled_from([0, 10, 4_096]),
)
def test_found_bytes_are_those_that_numpy_finds(
    sizes: list[tuple[int, bool]], seed: int, window: int, gap: int
) -> None:
    artifact, total = artifact_with(sizes)
    rng = np.random.default_rng(seed)
    data = np.where(rng.random(total) < 0.003, 7, 0).astype("u1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(free, "_WINDOW", window)
        patch.setattr(free, "_GAP", gap)
        report = find_hidden(artifact, MemoryFiles({"m": data.tobytes()}, "m"))
    expected = []
    for region in artifact.members[0].map:
        part = data[region.span.offset : region.span.end]
        if region.kind is RegionKind.FREE and part.any():
            expected.append(
                (region.span, int((part != 0).sum()), region.span.offset + int((part != 0).argmax()))
            )
    assert [(found.span, found.count, found.first) for found in report.regions] == expected
    assert (report.region_count, report.byte_count) == (len(expected), sum(count for _, count, _ in expected))


def test_the_code_of_a_compressed_run_hides_nothing() -> None:
    artifact, _ = artifact_with([(100, True), (100, True), (100, True)])
    payload = RawPayload(
        Stream("m", (WindowStep(100, 150), DecompressStep(0, 100, "deflate", 400))), (Span(0, 4),)
    )
    artifact = Artifact("m", FormatName.HDF5, artifact.members, (tensor("float32", (1,), payload),))
    report = find_hidden(artifact, MemoryFiles({"m": b"\1" * 300}, "m"))
    assert [found.span for found in report.regions] == [Span(0, 100), Span(200, 100)]


def test_only_as_many_are_kept_as_the_limits_allow() -> None:
    artifact, total = artifact_with([(2, index % 2 == 0) for index in range(2_000)])
    report = find_hidden(artifact, MemoryFiles({"m": b"\1" * total}, "m"), Limits(diagnostics=10))
    assert len(report.regions) == 10
    assert (report.region_count, report.byte_count) == (1_000, 2_000)
