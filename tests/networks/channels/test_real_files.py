"""Real TFLite files with dead channels: whatever stands in those that go, no output changes by a bit, as long
as nobody reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelinspect.core.artifact import Artifact
from modelinspect.networks.channels.removal import Removal
from modelinspect.networks.kernels import is_depthwise
from tests.support.corpus import corpus
from tests.support.surgery import removal_of
from tests.support.tflite_oracle import interpreter as reading_interpreter

pytestmark = pytest.mark.tensorflow
TINY = "git/mlcommons+tiny"
FILES = {
    f"{TINY}/HEAD/benchmark/training/visual_wake_words/trained_models/vww_96_int8.tflite": 170_000,
    f"{TINY}/HEAD/benchmark/training/image_classification/trained_models/pretrainedResnet_large_int8.tflite": (  # noqa: E501
        40_000
    ),
    f"{TINY}/ab1b9ef2b6a6/benchmark/training/streaming_wakeword/trained_models/strm_ww_int8.tflite": 20_000,
    f"{TINY}/5f343233e5d7/v0.1/benchmarks/image_classification/trained_models/gest_rec_quantized_model.tflite": (  # noqa: E501
        20_000
    ),
}
"""Files, and how many bytes go at least."""


def scrambled(data: bytes, artifact: Artifact, removal: Removal) -> bytes:
    """Return the file with noise where kernels make channels that go, and zeros where others read them."""
    changed, numbers = bytearray(data), np.random.default_rng(1)
    for index, axes in removal.places.items():
        tensor = artifact.tensors[index]
        if len(tensor.shape) < 2:
            continue
        assert tensor.dtype.name == "int8"
        assert tensor.quantization is not None
        assert set(tensor.quantization.zero_points) == {0}
        at = tensor.extents[0].span.offset
        kernel = np.frombuffer(data, np.int8, tensor.element_count, at).reshape(tensor.shape).copy()
        last, depthwise = len(tensor.shape) - 1, is_depthwise(artifact, tensor)
        for axis, places in axes.items():
            if axis == 0 or depthwise:
                kernel.swapaxes(0, axis)[list(places)] = numbers.integers(
                    -127, 127, kernel.swapaxes(0, axis)[list(places)].shape
                )
        if not depthwise:
            kernel[..., list(axes.get(last, ()))] = 0
        changed[at : at + tensor.element_count] = kernel.tobytes()
    return bytes(changed)


def outputs(data: bytes, seed: int) -> list[Any]:
    interpreter = reading_interpreter(data)
    interpreter.allocate_tensors()
    numbers = np.random.default_rng(seed)
    for told in interpreter.get_input_details():
        limits = np.iinfo(told["dtype"])
        interpreter.set_tensor(
            told["index"],
            numbers.integers(limits.min, limits.max, told["shape"], told["dtype"], endpoint=True),
        )
    interpreter.invoke()
    return [interpreter.get_tensor(told["index"]) for told in interpreter.get_output_details()]


@pytest.mark.corpus
@pytest.mark.parametrize("name", FILES, ids=lambda name: Path(name).stem)
def test_no_bit_of_the_outputs_changes_whatever_is_in_the_channels_that_go(name: str) -> None:
    path = corpus() / name
    artifact, removal = removal_of(path)
    assert removal is not None
    assert removal.size > FILES[name]
    assert not any(saving.folded for saving in removal.savings.values())
    data = path.read_bytes()
    changed = scrambled(data, artifact, removal)
    assert changed != data
    for seed in range(3):
        for one, other in zip(outputs(data, seed), outputs(changed, seed), strict=True):
            assert np.array_equal(one, other)
