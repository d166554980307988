"""Values written as text in configurations have a path, their bytes, and what they are."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.json_values import ValueKind, long_values
from modelinspect.formats.embedded import PATH_PART

LEAST = 1024


def _found(value: Any, indent: int | None = None) -> dict[str, tuple[ValueKind, int, Any]]:
    text = json.dumps(value, indent=indent).encode()
    values = long_values(text, LEAST)
    return {
        one.path: (one.kind, one.count, json.loads(text[one.span.offset : one.span.end])) for one in values
    }


@pytest.mark.parametrize("indent", [None, 2])
def test_long_lists_and_strings_have_their_paths_and_places(indent: int | None) -> None:
    matrix = np.arange(600, dtype="f8").reshape(20, 30).tolist()
    words = [f"word {number}, with a comma" for number in range(80)]
    base64 = "QUJD" * 400
    value = {
        "config": {"layers": [{"name": "a"}, {"config": {"value": matrix, "units": 4}}], "vocabulary": words},
        "content": base64,
    }
    assert _found(value, indent) == {
        "config.layers[1].config.value": (ValueKind.NUMBERS, 600, matrix),
        "config.vocabulary": (ValueKind.WORDS, 80, words),
        "content": (ValueKind.BASE64, 1600, base64),
    }


def test_settings_are_no_long_values() -> None:
    layers = [
        {"class_name": "Dense", "config": {"units": number, "name": f"dense_{number}", "dtype": "float32"}}
        for number in range(300)
    ]
    assert (
        _found({"layers": layers, "text": "a sentence, which is no base64. " * 80, "mixed": [1, "a"] * 600})
        == {}
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=40,
)


@given(JSON, st.integers(8, 60))
def test_what_is_found_is_a_value_of_the_text(value: Any, least: int) -> None:
    text = json.dumps({"pad": [0.125] * 200, "value": value}).encode()
    spans = [one.span for one in long_values(text, least)]
    assert spans == sorted(spans)
    for one in long_values(text, least):
        json.loads(text[one.span.offset : one.span.end])
        assert one.span.size >= least


def _h5(path: Path, table: Any) -> Path:
    initializer = {"class_name": "Constant", "config": {"value": table.tolist()}}
    layer = {"class_name": "Embedding", "config": {"name": "words", "embeddings_initializer": initializer}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": {"name": "net", "layers": [layer]}}
        )
        file.attrs["keras_version"] = "2.15.0"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"words"]
        group = weights.create_group("words")
        group.attrs["weight_names"] = [b"words/embeddings:0"]
        group["words/embeddings:0"] = table
    return path


def test_weights_in_a_configuration_are_a_region_and_named_by_the_equal_tensor(tmp_path: Path) -> None:
    table = np.random.default_rng(3).normal(size=(40, 8)).astype("f4")
    path = _h5(tmp_path / "model.h5", table)
    artifact = mi.open(path)
    regions = [region for region in artifact.members[0].map if PATH_PART in region.path]
    assert [region.path[-1] for region in regions] == [
        "config.layers[0].config.embeddings_initializer.config.value: 320 numbers"
    ]
    data = path.read_bytes()
    span = regions[0].span
    assert np.array_equal(np.array(json.loads(data[span.offset : span.end]), "f4"), table)
    findings = {finding.rule: finding for finding in mi.lint(path).findings}
    assert findings["embedded-data"].bytes == span.size
    assert "equal to words/embeddings" in findings["embedded-data"].message

    plain = _h5(tmp_path / "plain.h5", np.zeros((40, 8), "f4"))
    causes = {entry.cause: entry.delta for entry in mi.explain(plain, path).causes}
    assert causes["embedded-data"] > 3_000
    assert causes.get("unexplained", 0) == 0


def test_a_tensorflow_js_constant_in_base64_is_a_region(tmp_path: Path) -> None:
    node = {"name": "table", "op": "Const", "attr": {"value": {"tensor": {"tensorContent": "AAAA" * 500}}}}
    model = {"format": "graph-model", "modelTopology": {"node": [node]}, "weightsManifest": []}
    (tmp_path / "model.json").write_text(json.dumps(model))
    artifact = mi.open(tmp_path / "model.json")
    paths = [region.path for region in artifact.members[0].map if PATH_PART in region.path]
    assert [path[-1] for path in paths] == [
        "modelTopology.node[0].attr.value.tensor.tensorContent: 2,000 base64"
    ]


def test_parts_that_straddle_regions_or_overlap_do_not_divide_them() -> None:
    builder = ByteMapBuilder("m", 100)
    builder.claim(0, 60, RegionKind.GRAPH, builder.path("config"))
    builder.claim(60, 40, RegionKind.METADATA, builder.path("rest"))
    for offset, size in ((10, 20), (20, 20), (50, 20), (60, 40), (95, 50)):
        builder.divide(offset, size, ("part",))
    found = [
        (region.span.offset, region.span.size, region.kind, region.path) for region in builder.build().map
    ]
    assert found == [
        (0, 10, RegionKind.GRAPH, ("config",)),
        (10, 20, RegionKind.GRAPH, ("config", "part")),
        (30, 30, RegionKind.GRAPH, ("config",)),
        (60, 40, RegionKind.METADATA, ("rest", "part")),
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_long_values_of_a_configuration_in_an_archive_have_regions_however_it_is_compressed(
    method: int, tmp_path: Path
) -> None:
    words = [f"word {number} of the vocabulary" for number in range(500)]
    path = tmp_path / "words.keras"
    with (
        zipfile.ZipFile(fixture_path("keras_zip/model.keras")) as old,
        zipfile.ZipFile(path, "w", method) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                config["config"]["vocabulary"] = words
                data = json.dumps(config).encode()
            new.writestr(name, data)
    artifact = mi.open(path)
    member = artifact.members[0]
    maps = [member.map, *(logical.map for logical in member.logical)]
    regions = [region for one in maps for region in one if PATH_PART in region.path]
    stored = sum(region.span.size for region in member.map if PATH_PART in region.path)
    text = len(json.dumps(words))
    assert (stored == text) is (method == zipfile.ZIP_STORED)
    assert stored <= text
    assert stored
    assert max(region.span.size for region in regions) == text
    causes = {cause.cause: cause.delta for cause in mi.explain(path).causes}
    assert causes["embedded-data"] == text  # as it decodes; what the compressor saves is a separate cause
