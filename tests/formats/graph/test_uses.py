"""Holds the roles and layers of constants in frozen graphs against the variables of the Keras model that was
frozen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.tensors import Role, Tensor
from modelinspect.formats.node_names import layer_of_fused, layer_of_node, variable_of_node

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A Keras model whose variables all differ, and its frozen graph."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    layers = tf.keras.layers
    inputs = tf.keras.Input((8, 8, 3), batch_size=1)
    x = layers.Conv2D(4, 3, use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, name="deep")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(6, name="hidden")(x)
    x = layers.BatchNormalization(name="flat_norm")(x)
    model = tf.keras.Model(inputs, layers.Dense(2, name="head")(x), name="net")
    draw = np.random.default_rng(1)
    model.set_weights(
        [draw.uniform(0.5, 2, weight.shape).astype(np.float32) for weight in model.get_weights()]
    )
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec((1, 8, 8, 3))
    )
    path = tmp_path_factory.mktemp("frozen") / "frozen.pb"
    path.write_bytes(convert_variables_to_constants_v2(function).graph.as_graph_def().SerializeToString())
    return model, path


def _by_values(path: Path) -> dict[bytes, Tensor]:
    """Return the graph's constants by their bytes, read by TensorFlow."""
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    values = {
        node.name: tf.make_ndarray(node.attr["value"].tensor) for node in graph.node if node.op == "Const"
    }
    return {values[tensor.name].tobytes(): tensor for tensor in mi.open(path).tensors}


def test_constants_that_were_variables_are_weights_and_statistics_and_no_others_are(
    frozen: tuple[Any, Path],
) -> None:
    model, path = frozen
    constants = _by_values(path)
    roles = {value: tensor.role for value, tensor in constants.items()}
    for variable in model.weights:
        expected = Role.WEIGHT if variable.trainable else Role.STATISTIC
        assert roles.pop(variable.numpy().tobytes()) is expected, variable.path
    assert set(roles.values()) == {Role.CONSTANT}
    assert len(roles) > 2


def test_constants_of_a_frozen_graph_are_in_the_layer_that_made_them(frozen: tuple[Any, Path]) -> None:
    model, path = frozen
    constants = _by_values(path)
    for layer in model.layers:
        for variable in layer.weights:
            scope = (constants[variable.numpy().tobytes()].layer or "").rpartition("/")[2]
            assert (
                scope.removesuffix("_1") == layer.name
            )  # Keras 3 enters the scope of a layer a second time while it traces


def test_the_text_form_of_a_graph_has_the_same_roles(frozen: tuple[Any, Path], tmp_path: Path) -> None:
    from google.protobuf import text_format

    graph = tf.compat.v1.GraphDef.FromString(frozen[1].read_bytes())
    text = tmp_path / "frozen.pbtxt"
    text.write_text(text_format.MessageToString(graph))
    told = {tensor.name: (tensor.role, tensor.layer) for tensor in mi.open(text).tensors}
    assert told == {tensor.name: (tensor.role, tensor.layer) for tensor in mi.open(frozen[1]).tensors}


def test_constants_of_a_graph_with_variables_stay_constants(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        kernel = tf.compat.v1.get_variable("kernel", initializer=np.ones((3, 4), np.float32))
        tf.matmul(tf.constant(np.full((2, 3), 2.0, np.float32), name="input"), kernel)
        path = tmp_path / "graph.pb"
        path.write_bytes(graph.as_graph_def().SerializeToString())
    assert {tensor.role for tensor in mi.open(path).tensors} == {Role.CONSTANT}


def test_biases_that_are_only_added_and_parts_of_a_variable_are_weights(tmp_path: Path) -> None:
    """As programs of TensorFlow 1 write them: ``x @ w + b``, and a variable with a partitioner."""

    def held(name: str, *shape: int) -> Any:
        return tf.constant(np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape), name=name)

    with tf.Graph().as_default() as graph:
        inputs = tf.compat.v1.placeholder(tf.float32, (1, 4), name="inputs")
        kernel = tf.concat([held("split/part_0", 2, 3), held("split/part_1", 2, 3)], 0)
        first = tf.identity(tf.matmul(inputs, kernel)) + tf.identity(held("b1", 3))
        step = tf.matmul(first, held("w2", 3, 2)) + tf.matmul(inputs, held("u2", 4, 2)) + held("b2", 2)
        tf.concat([step + held("left", 2), inputs + held("offset", 4), held("aside", 1, 4)], 1)
        path = tmp_path / "graph.pb"
        path.write_bytes(graph.as_graph_def().SerializeToString())
    roles = {tensor.name: tensor.role for tensor in mi.open(path).tensors}
    weights = {name for name, role in roles.items() if role is Role.WEIGHT}
    assert weights == {"split/part_0", "split/part_1", "b1", "w2", "u2", "b2"}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("net/stem/Conv2D", "net/stem"),
        ("net/stem/BiasAdd/ReadVariableOp/resource", "net/stem"),
        ("net/dense/Tensordot/MatMul", "net/dense"),
        ("net/norm/batchnorm/mul_1", "net/norm"),
        ("conv1/weights/read", "conv1"),
        ("StatefulPartitionedCall/net/head/MatMul", "net/head"),
        ("net/lstm/while/body/MatMul", "net/lstm"),
        ("while/MatMul", None),
        ("Const_4", None),
        ("", None),
    ],
)
def test_the_layer_of_a_node_is_its_scope(name: str, layer: str | None) -> None:
    assert layer_of_node(name) == layer


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("net/norm/FusedBatchNormV3;net/stem/Conv2D", "net/stem"),
        ("net/stem/Relu;net/stem/BiasAdd", "net/stem"),
        (
            "encoder.Encoder/torch.nn.modules.linear.Linear_1;1",
            "encoder.Encoder/torch.nn.modules.linear.Linear_1",
        ),
        ("arith.constant3", None),
    ],
)
def test_the_layer_of_a_fused_tensor_is_that_of_its_kernel(name: str, layer: str | None) -> None:
    assert layer_of_fused(name) == layer


def test_the_variable_of_a_node_is_what_its_reads_read() -> None:
    assert variable_of_node("net/norm/moving_mean/read") == "moving_mean"
