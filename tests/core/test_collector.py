"""Parsing makes many objects that stay: the collector of cycles is paused meanwhile, and is afterwards as it
was.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.core.collector import paused_collector


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_collection_is_paused_inside_and_goes_on_after_it() -> None:
    with paused_collector():
        assert not gc.isenabled()
        with paused_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_has_disabled_it_finds_it_disabled() -> None:
    gc.disable()
    with paused_collector():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_of_two_threads_the_last_to_leave_lets_it_go_on() -> None:
    both_in, first_out = Barrier(2), Barrier(2)
    seen: list[bool] = []

    def first() -> None:
        with paused_collector():
            both_in.wait(10)
        seen.append(gc.isenabled())
        first_out.wait(10)

    thread = Thread(target=first)
    thread.start()
    with paused_collector():
        both_in.wait(10)
        first_out.wait(10)
        assert seen == [False]
    thread.join()
    assert gc.isenabled()


def test_it_goes_on_after_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(mi.ModelInspectError):
        mi.inspect(broken)
    assert gc.isenabled()


def test_parsing_makes_cycles_of_a_few_objects_alone_whatever_the_number_of_tensors(tmp_path: Path) -> None:
    """Cycles that grew with the file would be held until parsing ends."""
    import numpy as np
    from tests.support.tables import bundle

    from modelinspect.formats.registry import parse
    from modelinspect.sources.opening import open_location

    found = []
    for count in (20, 2_000):
        prefix = tmp_path / f"of_{count}"
        files = bundle(
            {f"layer_{number}/kernel": np.full(2, number, "f4") for number in range(count)}, per_block=100
        )
        for name, data in files.items():
            prefix.with_name(name.replace("model", prefix.name, 1)).write_bytes(data)
        gc.collect()
        gc.disable()
        with open_location(prefix) as opened:
            artifact = parse(opened)
            assert len(artifact.tensors) == count
            found.append(gc.collect())
        gc.enable()
    assert found[1] < found[0] + 200


def test_an_inspection_leaves_the_collector_as_it_was() -> None:
    mi.inspect(fixture_path("mlp/stripped.h5"))
    assert gc.isenabled()
