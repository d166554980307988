"""Changed and cut HDF5 files are measured, or refused in one clear error, within time and memory."""

from __future__ import annotations

import random

import pytest

from modelinspect.errors import ModelInspectError
from modelinspect.formats.base import parse_with
from modelinspect.formats.keras.hdf5_file import FORMAT
from modelinspect.measure.facts import Aspect
from modelinspect.measure.free import find_hidden
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.hostile import mutations
from tests.support.work import bounded

FILES = [
    name for name in fixture_names(suffix=".h5") if name.startswith(("hdf5_structures/", "keras3_hdf5/"))
]
CHANGES = 25


def measure_bytes(data: bytes) -> None:
    """Do all that inspecting does to a file's bytes."""
    files = MemoryFiles({"m.h5": data}, "m.h5")
    try:
        artifact = parse_with(FORMAT, files)
        found = measure(artifact, files, aspects=tuple(Aspect))
        find_hidden(artifact, files)
    except ModelInspectError:
        return
    for tensor, measured in zip(artifact.tensors, found.tensors, strict=True):
        assert measured.reason or measured.zero_count is not None
        assert (
            measured.zero_count is None
            or 0 <= (measured.negative_zero_count or 0) <= measured.zero_count <= tensor.element_count
        )


@pytest.mark.parametrize("name", FILES)
def test_changed_files_are_measured_or_refused(name: str) -> None:
    data = fixture_path(name).read_bytes()
    for changed in mutations(data, CHANGES, seed=len(data)):
        with bounded():
            measure_bytes(changed)
    rng = random.Random(len(data))
    for _ in range(5):
        measure_bytes(data[: rng.randrange(len(data))])
