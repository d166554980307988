"""A tree that is written again is the model that it was read from, as large as it is said to be."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.accuracy.layer_networks import FOLDER
from benchmarks.accuracy.layer_networks import sizes as recorded_sizes

import modelinspect as mi
import modelinspect.analyses.plan.conversion as plan
import modelinspect.conversion.predict as conversion
from modelinspect.conversion.flatbuffer.size import packed_size
from modelinspect.conversion.flatbuffer.write import write
from modelinspect.conversion.forms.rewrite import Weights
from modelinspect.conversion.predict import Form
from modelinspect.conversion.tree import Node, read_tree
from modelinspect.core.limits import Limits
from modelinspect.formats.tflite.schema import schema
from modelinspect.measure.compressors import GZIP_FRAME
from modelinspect.sources.opening import open_location
from tests.support.built import build_with_flatbuffers
from tests.support.fixtures import fixture_names, fixture_path

FORMS = (
    "float32",
    "float16",
    "dynamic-int8",
    "int8",
    "float32-sparse",
    "dynamic-int8-sparse",
    "int16-sparse",
)


def written(name: str) -> tuple[bytes, bytes]:
    """Return a model, and what is written of its tree and the bytes of its vectors."""
    path = fixture_path(name)
    stored = path.read_bytes()
    with open_location(path, None) as files:
        root = read_tree(files.open(files.primary or ""), schema("model"), Limits())

    def contents(node: Node, field: str) -> bytes | None:
        vector = node.vector(field)
        return stored[vector.start : vector.start + vector.size] if vector.start >= 0 else None

    data = write(root, schema("model"), contents)
    assert len(data) == packed_size(root, schema("model"))
    return stored, data


@pytest.mark.parametrize("form", FORMS)
def test_a_converted_model_is_written_to_the_byte_as_the_converter_wrote_it(form: str) -> None:
    stored, data = written(f"pruned_mlp/stripped/{form}.tflite")
    assert data == stored


@pytest.mark.tensorflow
def test_the_interpreter_computes_the_same_with_it() -> None:
    import tensorflow as tf

    stored, data = written("pruned_mlp/stripped/dynamic-int8.tflite")
    outputs = []
    for content in (stored, data):
        interpreter = tf.lite.Interpreter(model_content=bytes(content))
        interpreter.allocate_tensors()
        shape = interpreter.get_input_details()[0]["shape"]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones(shape, np.float32))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert np.array_equal(*outputs)


@pytest.mark.parametrize("source", ["model.h5", "model.keras", "float32.tflite"])
@pytest.mark.parametrize(
    ("option", "form"),
    [
        ("tflite-float32", "float32"),
        ("tflite-float16", "float16"),
        ("tflite-dynamic-int8", "dynamic-int8"),
        ("tflite-sparse", "float32-sparse"),
    ],
)
def test_the_download_of_a_form_is_that_of_the_converted_file(source: str, option: str, form: str) -> None:
    folder = fixture_path("pruned_mlp/stripped")
    entry = next(entry for entry in mi.plan(folder / source).options if entry.option == option)
    stored = (folder / f"{form}.tflite").read_bytes()
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    real = len(coder.compress(stored) + coder.flush()) + GZIP_FRAME + len("model.tflite") + 1
    assert entry.size == len(stored)
    assert entry.download_size == pytest.approx(real, rel=0.01)


def test_a_sparse_form_that_is_the_larger_download_says_so() -> None:
    entries = {
        entry.option: entry for entry in mi.plan(fixture_path("pruned_layers/cnn/stripped/model.h5")).options
    }
    sparse, dense = entries["tflite-dynamic-int8-sparse"], entries["tflite-dynamic-int8"]
    assert sparse.size < dense.size
    assert (sparse.download_size or 0) > (dense.download_size or 0) > 0
    assert (
        f"gzipped, it is larger than the dense form: {sparse.download_size:,} bytes, dense"
        f" {dense.download_size:,}" in sparse.notes
    )
    assert "gzipped, it" not in entries["tflite-sparse"].notes


RECORDED = {name for name, sizes in sorted(recorded_sizes().items())[::40] if any(sizes.values())}
"""Some of the networks that TensorFlow converted, of many kinds of layers."""


def forms_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Form]:
    """Return the forms that `plan` predicts of a model."""
    forms: list[Form] = []

    def predict(*arguments: Any, **settings: Any) -> Form:
        forms.append(conversion.predict(*arguments, **settings))
        return forms[-1]

    monkeypatch.setattr(plan, "predict", predict)
    mi.plan(path, downloads=False)
    return forms


def numbered(node: Node, field: str) -> bytes | None:
    """Return bytes that show where a vector of unknown numbers is."""
    vector = node.vector(field)
    return None if vector.values else (bytes(range(1, 256)) * (vector.size // 255 + 1))[: vector.size]


def check_forms(forms: list[Form]) -> None:
    for form in forms:
        data = write(form.root, schema("model"), numbered, packed_size(form.root, schema("model")))
        assert data == build_with_flatbuffers(form.root, schema("model"), numbered)
        if form.told is not None:
            told = write(form.told, schema("conversion"), numbered)
            assert told == build_with_flatbuffers(form.told, schema("conversion"), numbered)


def test_forms_are_written_as_the_package_builds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(FOLDER / "layer_bases.tar.xz") as archive:
        members = [member for member in archive if member.name.partition("/")[0] in RECORDED]
        archive.extractall(tmp_path, members, filter="data")
    paths = [
        path for name in RECORDED for path in (*tmp_path.glob(f"{name}/model*"), tmp_path / name / "saved")
    ]
    forms = [form for path in paths if path.exists() for form in forms_of(path, monkeypatch)]
    assert len(forms) > 40
    check_forms(forms)


@pytest.mark.parametrize("name", fixture_names(suffix=".tflite")[::6])
def test_forms_of_files_are_written_as_the_package_builds_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_forms(forms_of(fixture_path(name), monkeypatch))


def test_forms_leave_the_model_that_they_are_made_of_as_it_is() -> None:
    path = fixture_path("pruned_mlp/stripped/float32.tflite")
    with open_location(path, None) as files:
        root = read_tree(files.open(files.primary or ""), schema("model"), Limits(), is_sound=True)
    before = bytes(write(root, schema("model"), numbered))
    for weights in Weights:
        for sparse in (False, True):
            conversion.predict(root, {}, weights, sparse=sparse)
    assert write(root, schema("model"), numbered) == before


def test_a_file_that_is_sound_is_read_alike_without_a_walk() -> None:
    for name in fixture_names(suffix=".tflite")[::6]:
        with open_location(fixture_path(name), None) as files:
            source = files.open(files.primary or "")
            trees = [
                read_tree(source, schema("model"), Limits(), is_sound=is_sound) for is_sound in (False, True)
            ]
        walked, unwalked = (write(root, schema("model"), numbered) for root in trees)
        assert walked == unwalked


def test_a_form_that_only_another_is_compared_with_is_gzipped_too() -> None:
    path = fixture_path("pruned_layers/cnn/stripped/model.h5")
    option = "tflite-dynamic-int8-sparse"
    whole = next(entry for entry in mi.plan(path).options if entry.option == option)
    assert mi.plan(path, only=(option,)).options == (whole,)
