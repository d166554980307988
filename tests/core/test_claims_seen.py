"""A map is built while a profiler looks at the frames of its builder, as the one of Dask's workers does."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from modelinspect.core.claims import Store
from modelinspect.core.limits import Limits


def test_a_profiler_that_keeps_the_builders_variables_changes_nothing() -> None:
    seen: list[object] = []

    def look(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and "view" in frame.f_locals:  # which keeps the array's buffer in use
            seen.append(event)

    store = Store("model", 10, Limits())
    for column, value in zip(
        (store.offsets, store.sizes, store.kinds, store.path_ids, store.tensors),
        (0, 10, 0, 0, -1),
        strict=True,
    ):
        column.append(value)
    outer = sys.getprofile()
    sys.setprofile(look)
    try:
        built = store.build()
    finally:
        sys.setprofile(outer)
    assert seen
    assert [int(size) for size in built.map.columns.sizes] == [10]
