"""Constants that change are named with their shapes, and are not weights in any sentence or count."""

from __future__ import annotations

import numpy as np

from modelinspect.analyses.explain.compare import explain
from modelinspect.analyses.explain.texts import constants_text
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role
from modelinspect.measure.run import measure
from modelinspect.networks.subject import Subject
from tests.support.artifacts import Build


def converted(batch: int, dtype: str = "float32") -> Subject:
    build = Build("made.tflite", FormatName.TFLITE, {})
    build.tensor("fc/kernel", (8, 16), data=np.ones((8, 16), "<f4").tobytes())
    table = np.arange(batch * 64, dtype=np.dtype(dtype).newbyteorder("<")).reshape(batch, 64)
    build.tensor("positions", table.shape, dtype=dtype, data=table.tobytes(), role=Role.CONSTANT)
    artifact = build.artifact()
    return Subject(artifact, measure(artifact, build.files()))


def test_a_constant_that_grows_with_the_batch_is_named_with_both_shapes() -> None:
    (cause,) = explain(converted(2), converted(16)).causes
    assert (cause.cause, cause.delta) == ("constant-folding", 14 * 64 * 4)
    assert "positions" in cause.message
    assert "16x64 float32" in cause.message
    assert "2x64 float32" in cause.message


def test_a_constant_of_another_type_is_a_change_of_type() -> None:
    (cause,) = explain(converted(4, "float16"), converted(4)).causes
    assert (cause.cause, cause.delta) == ("dtype-change", 4 * 64 * 2)


def test_constants_are_not_counted_as_weights() -> None:
    causes = {cause.cause: cause.delta for cause in explain(None, converted(16)).causes}
    assert causes == {"constant-folding": 16 * 64 * 4, "structure-change": 8 * 16 * 4}


def told(text: bytes) -> Subject:
    build = Build("made.tflite", FormatName.TFLITE, {})
    build.tensor("fc/kernel", (8, 16), data=np.ones((8, 16), "<f4").tobytes())
    build.tensor("path", (), dtype="string", data=text, pieces=(len(text),), role=Role.CONSTANT)
    artifact = build.artifact()
    return Subject(artifact, measure(artifact, build.files()))


def test_a_text_of_another_length_is_told_by_its_bytes() -> None:
    text = constants_text(told(b"ab"), told(b"abcde"), grew=True)
    assert text.endswith(": path takes 5 bytes and took 2")
