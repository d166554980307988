"""A stream says where it stands in its member."""

from __future__ import annotations

import pytest

from modelinspect.core.span import Span
from modelinspect.core.tensors import DecompressStep, Stream, WindowStep


@pytest.mark.parametrize(
    ("steps", "stored"),
    [
        ((), (0, None)),
        ((WindowStep(10, 100), WindowStep(5, 20)), (15, None)),
        ((WindowStep(10, 100), DecompressStep(4, 30, "gzip", 900)), (14, Span(14, 30))),
        ((DecompressStep(0, 30, "gzip", 900), WindowStep(7, 2)), (0, Span(0, 30))),
        ((DecompressStep(2, 30, "gzip", 900), DecompressStep(3, 4, "deflate", 50)), (2, Span(2, 30))),
    ],
)
def test_windows_add_up_until_something_is_decoded(
    steps: tuple[WindowStep | DecompressStep, ...], stored: tuple[int, Span | None]
) -> None:
    assert Stream("model.zip", steps).stored == stored
