"""Inspecting knows equal tensors as explaining does, and reads again only those that may be equal."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np

import modelinspect as mi
from modelinspect.core.span import Span
from modelinspect.core.tensors import RawPayload, Role, Stream, Tensor
from modelinspect.measure import equal
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles
from tests.support.fixtures import fixture_path
from tests.support.tensors import artifact_of, tensor


def digests(*arrays: np.ndarray, role: Role = Role.WEIGHT) -> list[str | None]:
    data = b"".join(array.tobytes() for array in arrays)
    places = np.cumsum([0, *(array.nbytes for array in arrays)])
    tensors: list[Tensor] = [
        tensor(array.dtype.name, array.shape, RawPayload(Stream("m"), (Span(int(start), array.nbytes),)))
        for array, start in zip(arrays, places, strict=False)
    ]
    tensors = [replace(each, role=role) for each in tensors]
    artifact, files = artifact_of(*tensors), MemoryFiles({"m": data}, "m")
    found = equal.digest_equals(artifact, files, measure(artifact, files))
    assert [one.zero_count for one in found.tensors] == [int((array == 0).sum()) for array in arrays]
    return [one.digest for one in found.tensors]


def test_equal_tensors_have_equal_digests_and_others_mostly_none() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 5_000)).astype("<f4")
    found = digests(one, other, one.reshape(50, 100), np.zeros(7, "<f4"))
    assert found[0] == found[2] is not None
    assert found[1] is found[3] is None


def test_tensors_that_differ_behind_the_first_bytes_have_different_digests() -> None:
    one = np.arange(1, 5_001, dtype="<f4")
    other = one.copy()
    other[-1] += 1
    first, second = digests(one, other)
    assert first
    assert second
    assert first != second


def test_single_elements_of_weights_have_digests_and_those_of_constants_none() -> None:
    found = digests(*(np.array([value], "<f4") for value in (0.5, 0.5, 0.25)))
    assert found[0] == found[1] is not None
    assert found[2] is None
    with mock.patch.object(equal, "measure") as again:
        digests(*(np.array([0.5], "<f4") for _ in range(2)), role=Role.CONSTANT)
    again.assert_not_called()


def test_an_artifact_without_candidates_is_not_read_again() -> None:
    with mock.patch.object(equal, "measure") as again:
        digests(np.arange(1, 9, dtype="<f4"), np.arange(2, 10, dtype="<f4"))
    again.assert_not_called()


def test_inspect_finds_the_duplicates_that_explain_finds() -> None:
    for name in (
        "pruned_mlp/wrapped/model.keras",
        "pruned_mlp/stripped/saved-model-export",
        "pruned_mlp/stripped/model.h5",
    ):
        found, explained = (
            [f for f in report.findings if f.rule == "duplicate-tensors"] for report in both(name)
        )
        assert found == explained, name
    assert found == []


def both(name: str) -> tuple[mi.InspectReport, mi.ExplainReport]:
    return mi.inspect(fixture_path(name)), mi.explain(fixture_path(name))
