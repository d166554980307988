"""A tree that is written again is the model that it was read from, as large as it is said to be."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.conversion.flatbuffer.size import packed_size
from modelinspect.conversion.flatbuffer.write import write
from modelinspect.conversion.tree import Node, read_tree
from modelinspect.core.limits import Limits
from modelinspect.formats.tflite.schema import schema
from modelinspect.measure.compressors import GZIP_FRAME
from modelinspect.sources.opening import open_location
from tests.support.fixtures import fixture_path

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
        return stored[vector.start : vector.start + vector.size]

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
        interpreter = tf.lite.Interpreter(model_content=content)
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
