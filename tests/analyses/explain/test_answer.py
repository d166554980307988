"""The first sentences of an explanation, from constructed artifacts: true, and about what differs."""

from __future__ import annotations

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.analyses.explain.compare import explain
from modelinspect.analyses.explain.compressed import Squeezed
from modelinspect.core.bytemap import RegionKind
from modelinspect.reports.explain import Compressed
from tests.rules.wasteful.test_examples import kernel, side
from tests.support.artifacts import Build
from tests.support.fixtures import fixture_path


def made(location: str, seed: int = 1, zeros: float = 0.0, **structures: int) -> Build:
    """Return an artifact of one kernel of 64 x 64, and structures of so many bytes."""
    build = Build(location)
    build.tensor("layer/kernel", (64, 64), data=kernel(seed=seed, zeros=zeros).tobytes(), layer="layer")
    for kind, size in structures.items():
        build.region(kind, size, RegionKind[kind.upper()])
    return build


def first(before: Build | None, after: Build, compressed: Compressed | None = None) -> tuple[str, ...]:
    squeezed = Squeezed(compressed)
    return explain(None if before is None else side(before), side(after), squeezed).summary


def test_one_artifact_is_its_weights_and_the_rest() -> None:
    (said,) = first(None, made("a.h5", container=4_000, metadata=96))
    assert (
        said
        == "The weights are 16,384 of 20,480 bytes (80.0 %). The rest is mainly container-overhead (4,000)."
    )


def test_one_without_weights_says_so() -> None:
    build = Build("a.h5")
    build.region("header", 100, RegionKind.CONTAINER)
    assert first(None, build) == ("There are no weights in it. Its 100 bytes are container-overhead (100).",)


def test_an_empty_one_says_so() -> None:
    build = Build("a.h5")
    build.region("header", 0, RegionKind.CONTAINER)
    assert first(None, build) == ("It is empty: 0 bytes.",)


def test_weights_that_are_written_as_text_do_not_take_the_same_space() -> None:
    paths = (fixture_path("graph_def/frozen.pb"), fixture_path("graph_def/frozen.pbtxt"))
    summary = mi.explain(*paths).summary
    assert "larger (4.4 times as large)" in summary[0]
    assert not any("weights take the same space" in said for said in summary)


def test_causes_that_cancel_out_are_chance() -> None:
    (said,) = first(made("a.h5", container=300, metadata=100), made("b.h5", container=100, metadata=300))
    assert said == "Same size, by coincidence: metadata (+200) offsets container-overhead (-200)."
    (said,) = first(
        made("a.h5", container=300, metadata=100, graph=100),
        made("b.h5", container=100, metadata=200, graph=200),
    )
    assert (
        said
        == "Same size, by coincidence: graph-definition (+100) and metadata (+100) offset container-overhead"
        " (-200)."
    )


@pytest.mark.parametrize(
    ("zeros", "said"),
    [
        (
            (0.8, 0.2),
            "20.0 % of the kernel elements are zero (80.0 % before), stored in 4 bytes each: 3,276 bytes.",
        ),
        ((0.8, 0.0), "0.0 % of the kernel elements are zero (80.0 % before)."),
        ((0.8, 0.796), "79.6 % of the kernel elements are zero, stored in 4 bytes each: 13,040 bytes."),
        ((0.2, 0.8), "80.0 % of the kernel elements are zero, stored in 4 bytes each: 13,104 bytes."),
        ((0.05, 0.0), None),
    ],
)
def test_zeros_that_training_filled_in_are_told(zeros: tuple[float, float], said: str | None) -> None:
    told = first(made("a.h5", zeros=zeros[0], container=1), made("b.h5", 2, zeros=zeros[1], container=500))
    assert told[1:] == ((said,) if said else ())


@pytest.mark.parametrize(
    ("container", "metadata", "said"),
    [
        (110, 10, "Almost the same size: 10 bytes larger (+0.1 %), because of container-overhead (+10)."),
        (5_100, 10, "5,000 bytes larger (+30.3 %), because of container-overhead (+5,000)."),
        (60_100, 10, "60,000 bytes larger (4.6 times as large), because of container-overhead (+60,000)."),
        (
            99,
            10,
            "Almost the same size: 1 byte smaller (less than 0.1 %), because of container-overhead (-1).",
        ),
        (
            5_100,
            5_010,
            "10,000 bytes larger (+60.6 %), because of metadata (+5,000) and container-overhead (+5,000).",
        ),
    ],
)
def test_a_difference_is_put_down_to_its_causes(container: int, metadata: int, said: str) -> None:
    (told,) = first(
        made("a.h5", container=100, metadata=10), made("b.h5", container=container, metadata=metadata)
    )
    assert told == f"{said} The weights take the same space as before."


def test_what_stands_against_a_difference_is_named_where_it_is_a_tenth() -> None:
    before = made("a.h5", container=100, metadata=2_000)
    (much,) = first(before, made("b.h5", container=10_100, metadata=100))
    (little,) = first(before, made("b.h5", container=10_100, metadata=1_500))
    assert "Partly offset by metadata (-1,900)." in much
    assert "offset" not in little


def test_weights_that_came_are_not_said_to_take_as_many_bytes() -> None:
    after = made("b.h5")
    after.tensor("other/kernel", (8, 8), data=np.ones((8, 8), "<f4").tobytes(), layer="other")
    (said,) = first(made("a.h5"), after)
    assert said.endswith("because of structure-change (+256).")


def test_zeros_of_several_widths_are_not_said_to_take_one() -> None:
    build = made("a.h5", zeros=0.5)
    build.tensor("half/kernel", (64, 64), dtype="float16", data=bytes(2 * 64 * 64), layer="half")
    said = first(None, build)[1]
    assert said == "75.0 % of the kernel elements are zero, each stored in full: 16,384 bytes."


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (900, 900, "Compressed with gzip -9, both take 900 bytes."),
        (900, 800, "Compressed with gzip -9, it takes 800 bytes (before: 900)."),
        (None, 800, "Compressed with gzip -9, it takes 800 bytes."),
    ],
)
def test_the_download_is_told_where_there_are_no_zeros(before: int | None, after: int, said: str) -> None:
    compressed = Compressed(
        compressor="gzip-9", before=before, after=after, zeros=None, zeros_compressed=None
    )
    assert first(None if before is None else made("a.h5"), made("b.h5", seed=2), compressed)[1] == said


def test_zeros_that_were_not_measured_once_compressed_are_told_all_the_same() -> None:
    compressed = Compressed(compressor="gzip-6", before=900, after=800, zeros=None, zeros_compressed=None)
    said = first(made("a.h5"), made("b.h5", zeros=0.5), compressed)[1]
    assert said.endswith("8,192 bytes. Compressed with gzip, the whole file takes 800 bytes (before: 900).")
