"""Zero counts of real HDF5 files equal numpy's over what h5py reads."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import MIB
from modelinspect.core.tensors import PackedPayload
from modelinspect.errors import ModelInspectError
from modelinspect.formats.base import parse_with
from modelinspect.formats.keras.hdf5_file import FORMAT
from modelinspect.measure.facts import Measurements
from modelinspect.measure.run import measure
from modelinspect.sources.opening import open_location
from tests.measure.test_zeros import oracle
from tests.support.corpus import corpus_files
from tests.support.fixtures import fixture_names, fixture_path

KNOWN = ("float20", "float80", "nbit")
"""What is not measured, and says so: odd float formats, and nbit over elements of odd precision."""

CORPUS = corpus_files("keras-h5", "other-h5", "weights-h5")
FIXTURES = fixture_names(suffix=".h5")


def compare(path: Path) -> tuple[int, list[str]]:
    """Return how many data sets were compared, and what differs."""
    try:
        with open_location(path) as files:
            artifact = parse_with(FORMAT, files)
            found = measure(artifact, files)
        file = h5py.File(path, "r", locking=False)
    except (ModelInspectError, OSError):
        return 0, []
    with file:
        return _compare(artifact, found, file)


def _compare(artifact: Artifact, found: Measurements, file: h5py.File) -> tuple[int, list[str]]:
    compared, differing = 0, []
    paths = artifact_paths(artifact)
    for index, tensor in enumerate(artifact.tensors):
        try:
            dataset = file[paths[index]]
            size = dataset.size * dataset.dtype.itemsize if dataset.shape is not None else 0
            if dataset.shape is None or dataset.is_virtual or dataset.external or size > 64 * MIB:
                continue
            values = np.asarray(dataset[()])
        except (KeyError, OSError, RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError):
            continue
        measured = found[index]
        if not measured.measured:
            if dataset.dtype.kind in "fciub" and not any(word in measured.reason for word in KNOWN):
                differing.append(f"{tensor.name} ({values.dtype}): not measured: {measured.reason}")
            continue
        compared += 1
        if values.dtype.kind == "V":
            continue  # opaque to numpy: bfloat16
        if isinstance(tensor.payload, PackedPayload):
            continue  # several values in a byte: tests/formats/keras/test_packed_weights.py has Keras unpack them  # noqa: E501
        if (measured.element_count, measured.zero_count, measured.negative_zero_count) != (
            values.size,
            *oracle(values),
        ):
            differing.append(
                f"{tensor.name} ({values.dtype}, {tensor.dtype}): {measured} but numpy has"
                f" {values.size, *oracle(values)}"
            )
    return compared, differing


def artifact_paths(artifact: Artifact) -> dict[int, str]:
    """Return the absolute path of each tensor's data set, from the paths of its regions or its name."""
    names = dict(enumerate(tensor.name for tensor in artifact.tensors))
    for member in artifact.members:
        for region in member.map:
            if region.tensor is not None:
                path = next((part for part in region.path if part.startswith("/")), None)
                if path is not None:
                    names[region.tensor] = path
    return names


@pytest.mark.corpus
def test_zeros_of_the_corpus_equal_numpys() -> None:
    compared, differing = 0, []
    for file in CORPUS:
        if file.size > 40 * MIB:
            continue
        some, wrong = compare(file.path)
        compared += some
        differing += [f"{file.name}: {each}" for each in wrong]
    assert not differing, "\n".join(differing[:40])
    assert compared > 1_000


@pytest.mark.parametrize("name", FIXTURES)
def test_zeros_of_fixtures_equal_numpys(name: str) -> None:
    _, differing = compare(fixture_path(name))
    assert not differing
