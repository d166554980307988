"""Holds the roles of what a TFLite file of several functions assigns to its variables, as a model that can be
trained on a device has them, made by TensorFlow's converter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.tensors import Role

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, bytes]:
    """A module with two functions, and the TFLite file that it converts to."""

    class Trained(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            draw = np.random.default_rng(1)
            self.kernel = tf.Variable(draw.normal(size=(20, 7)).astype(np.float32), name="kernel")
            self.bias = tf.Variable(draw.normal(size=7).astype(np.float32), name="bias")
            self.rates = tf.Variable(draw.normal(size=3).astype(np.float32), name="rates")

        def infer(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": tf.matmul(inputs, self.kernel) + self.bias}

        def train(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            self.kernel.assign_sub(0.1 * tf.matmul(inputs, self.infer(inputs)["outputs"], transpose_a=True))
            return {"rates": self.rates.assign_add(tf.ones(3))}

    module, spec = Trained(), tf.TensorSpec((4, 20), tf.float32)
    functions = [tf.function(each).get_concrete_function(spec) for each in (module.infer, module.train)]
    folder = tmp_path_factory.mktemp("trained") / "saved"
    tf.saved_model.save(module, folder, signatures=dict(zip(("infer", "train"), functions, strict=True)))
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.experimental_enable_resource_variables = True
    return module, converter.convert()


def test_first_values_of_variables_that_are_read_as_weights_are_weights(
    trained: tuple[Any, bytes], tmp_path: Path
) -> None:
    module, data = trained
    path = tmp_path / "trained.tflite"
    path.write_bytes(data)
    weights = [tensor for tensor in mi.open(path).tensors if tensor.role is Role.WEIGHT]
    assert sorted(tensor.shape for tensor in weights) == [(7,), (20, 7)]
    held = {tensor.shape: tensor for tensor in weights}
    span = held[(20, 7)].extents[0].span
    assert path.read_bytes()[span.offset : span.end] == module.kernel.numpy().tobytes()


def test_a_handle_with_the_options_of_another_operator_is_of_no_variable(
    trained: tuple[Any, bytes], tmp_path: Path
) -> None:
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(trained[1], 0))
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            if code.builtinCode == schema.BuiltinOperator.VAR_HANDLE:
                operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
                operator.builtinOptions = schema.ReshapeOptionsT()
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "other.tflite"
    path.write_bytes(builder.Output())
    roles = {tensor.shape: tensor.role for tensor in mi.open(path).tensors}
    assert roles[20, 7] is Role.CONSTANT  # the bias, to which nothing is assigned, is no variable
