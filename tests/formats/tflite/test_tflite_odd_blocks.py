"""Blocks that do not divide a matrix: the converter drops what stands beyond the last whole one, and we say
so.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.fixtures import fixture_path
from tests.support.tflite_oracle import interpreter

import modelinspect as mi
from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.formats.base import parse_with
from modelinspect.formats.tflite import FORMAT
from modelinspect.measure.blocks import Reading
from modelinspect.measure.readers import blocks
from modelinspect.sources.files import MemoryFiles

ODD = "pruned_mlp/stripped/dynamic-int8-sparse.tflite"


def parsed(data: bytes) -> tuple[Artifact, MemoryFiles]:
    files = MemoryFiles({"m.tflite": data})
    return parse_with(FORMAT, files), files


def dense(tensor: Tensor, files: MemoryFiles) -> bytes:
    return b"".join(bytes(block.data) for block in blocks(tensor, Reading(files, Limits(), bytearray())))


def test_a_matrix_narrower_than_its_blocks_keeps_one_block_of_the_dense_one() -> None:
    artifact, files = parsed(fixture_path(ODD).read_bytes())
    (kernel,) = (
        tensor
        for tensor in artifact.tensors
        if tensor.storage is Storage.SPARSE and tensor.shape == (128, 10)
    )
    plain, plain_files = parsed(fixture_path(ODD.replace("-sparse", "")).read_bytes())
    (whole,) = (tensor for tensor in plain.tensors if tensor.shape == (128, 10))
    values = np.frombuffer(dense(kernel, files), dtype=np.int8)
    expected = np.frombuffer(dense(whole, plain_files), dtype=np.int8)
    assert values[:16].tolist() == expected[:16].tolist()
    assert not values[16:].any()
    assert expected[16:].any()
    entries = artifact.facts["sparse_tensors"]
    assert isinstance(entries, tuple)
    assert {entry["uncovered_elements"] for entry in entries if isinstance(entry, dict)} == {0, 1280}


def test_a_file_that_the_converter_wrote_is_clean_and_its_loss_is_a_finding() -> None:
    report = mi.inspect(fixture_path(ODD))
    assert report.diagnostics == ()
    (lost,) = (finding for finding in report.findings if finding.rule == "sparse-weights-lost")
    assert (lost.severity, lost.bytes) == ("error", 1280 - 16)
    assert "dropped the 1,280 elements" in lost.message


def test_a_matrix_of_which_nothing_is_left_is_told_too() -> None:
    report = mi.inspect(fixture_path("pruned_levels/mlp-95/stripped/dynamic-int8-sparse.tflite"))
    assert (128, 10) not in {tensor.shape for tensor in report.tensors}
    (lost,) = (finding for finding in report.findings if finding.rule == "sparse-weights-lost")
    assert lost.bytes == 1280
    assert report.diagnostics == ()


@pytest.mark.parametrize(
    "name", [ODD.replace("-sparse", ""), "tflite/sparse_int8_16x1.tflite", "tflite/sparse.tflite"]
)
def test_whole_blocks_and_single_elements_lose_nothing(name: str) -> None:
    assert "sparse-weights-lost" not in {finding.rule for finding in mi.inspect(fixture_path(name)).findings}


@pytest.mark.tensorflow
@pytest.mark.parametrize(("inputs", "outputs"), [(10, 64), (6, 300)])
def test_the_runtime_computes_with_what_we_decode(inputs: int, outputs: int) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(5)
    weights = rng.normal(size=(inputs, outputs)).astype(np.float32)
    for row in range(0, inputs, 4):
        weights[row : row + 4, rng.random(outputs) < 0.6] = 0
    function = tf.function(
        lambda x: tf.matmul(x, tf.constant(weights)), [tf.TensorSpec((1, inputs), tf.float32)]
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    data = converter.convert()
    artifact, files = parsed(data)
    (kernel,) = (tensor for tensor in artifact.tensors if tensor.storage is Storage.SPARSE)
    ours = np.frombuffer(dense(kernel, files), dtype=np.float32).reshape(kernel.shape)
    reader = interpreter(data)
    reader.allocate_tensors()
    found = []
    for one in np.eye(inputs, dtype=np.float32):
        reader.set_tensor(reader.get_input_details()[0]["index"], one[None])
        reader.invoke()
        found.append(reader.get_tensor(reader.get_output_details()[0]["index"])[0])
    assert np.allclose(np.array(found).T, ours)
    whole = inputs // 4 * 4
    assert np.array_equal(ours[:, :whole], weights.T[:, :whole])
    assert weights[whole:].any()
    assert not ours[:, whole:].any()
