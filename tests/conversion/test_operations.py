"""Operations of SavedModels that no layer writes: TensorFlow's files are predicted to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.encodings.protobuf import message_class

pytestmark = pytest.mark.tensorflow

IMAGE, STEPS, VECTOR = (None, 8, 8, 4), (None, 12, 16), (None, 16)
Body = Callable[[Any, Any, Callable[..., Any]], Any]


def _conv(tf: Any, x: Any, kernel: Any) -> Any:
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def _gated(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    value, gate = tf.split(tf.matmul(x, w(16, 32)), 2, axis=-1)
    return value * tf.sigmoid(gate)


def _parts(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    first, second = tf.split(tf.matmul(x, w(16, 32)), [8, 24], axis=-1)
    return tf.concat([tf.nn.relu(first), tf.tanh(second)], 1)


def _with_token(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    token = tf.tile(w(1, 1, 16), [tf.shape(x)[0], 1, 1])
    return tf.matmul(tf.concat([token, x], 1), w(16, 24))


def _nearest(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    index = tf.math.top_k(tf.reduce_sum(x, axis=-1), 3)[1]
    return tf.matmul(tf.gather(x, index, batch_dims=1), w(16, 24))


def _written_gelu(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = tf.matmul(x, w(16, 32))
    return 0.5 * y * (1 + tf.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * tf.pow(y, 3))))


def _scores_of_groups(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    query = tf.reshape(tf.matmul(x, w(16, 32)), (1, 12, 2, 2, 8))
    key = tf.reshape(tf.matmul(x, w(16, 16)), (1, 12, 2, 8))
    scores = tf.nn.softmax(tf.einsum("bthgk,bshk->bhgts", query, key))
    return tf.reduce_sum(tf.einsum("bhgts,bshk->bthgk", scores, key), axis=-1)


def _standard_kernel(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    kernel = w(3, 3, 4, 12)
    mean, variance = tf.nn.moments(tf.convert_to_tensor(kernel), axes=[0, 1, 2], keepdims=True)
    return _conv(tf, x, (kernel - mean) * tf.math.rsqrt(variance + 1e-5))


def _unit_length(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = tf.matmul(x, w(16, 32))
    return y / tf.sqrt(tf.reduce_sum(tf.abs(y), axis=-1, keepdims=True) + 1.0)


def _sum_of_three(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = tf.matmul(x, w(16, 12))
    return tf.tanh(tf.add_n([y, tf.sigmoid(y), tf.tanh(y)]))


def _positive_weight(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    weights = tf.nn.relu(w(2) + 3.0)
    return tf.tanh(tf.sigmoid(tf.matmul(x, w(16, 12))) * tf.reduce_mean(weights))


def _ends(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = _conv(tf, x, w(3, 3, 4, 12))
    return tf.concat([tf.tanh(y[..., :5]), tf.nn.relu(y[..., 5:])], -1)


def _sampled(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    mean = tf.matmul(x, w(16, 8))
    return mean + tf.exp(tf.matmul(x, w(16, 8))) * tf.random.normal(tf.shape(mean), seed=1)


def _without_nan(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = tf.matmul(x, w(16, 8))
    return tf.math.divide_no_nan(tf.tanh(y), tf.sigmoid(y))


def _filled_like(name: str) -> Body:
    def body(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
        filled = getattr(tf.raw_ops, name)(x=tf.matmul(x, w(16, 8)))
        return tf.concat([tf.tanh(tf.matmul(x, w(16, 8))), filled], 1)

    return body


def _unrolled(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    """A cell with a gate, which starts with zeros: the converter computes what these become."""
    state, taken, kept, gate = tf.zeros((1, 24)), w(16, 24), w(24, 24), w(1, 24)
    for frame in tf.unstack(x, axis=1):
        both = frame @ taken + state @ kept
        share = tf.sigmoid(both + gate)
        state = (1.0 - share) * tf.tanh(both) + share * state
    return state @ w(24, 6)


def _products_of_rows(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = tf.matmul(x, w(16, 24))
    return tf.einsum("be,bce->bc", y[:, 0], y[:, 1:])


def _normalized_in_training(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    """What layer normalization of Keras 2 becomes: each row is a channel."""
    y = tf.reshape(tf.matmul(x, w(16, 24)), (1, 12, 24, 1))
    normalize = tf.compat.v1.nn.fused_batch_norm
    made, _, _ = normalize(y, tf.ones(12), tf.zeros(12), data_format="NCHW", is_training=True)
    return tf.reshape(made, (1, 12, 24)) * w(24)


def _heads_with_bias(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    query, key = (tf.einsum("abc,cde->abde", x, w(16, 2, 8)) + w(2, 8) for _ in range(2))
    scores = tf.einsum("aecd,abcd->acbe", key, query) + tf.constant(np.tri(12, dtype="f4")[None, None])
    return tf.einsum("acbe,aecd->abcd", tf.nn.softmax(scores), query)


def _centered(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = tf.matmul(x, w(16, 24))
    return tf.math.l2_normalize(y - tf.reduce_mean(y, axis=-1, keepdims=True), axis=-1)


def _deviation(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    y = tf.matmul(x, w(16, 24))
    return y / (tf.math.reduce_std(y, axis=-1, keepdims=True) + 1e-6)


def _by_rows(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    chosen = tf.one_hot(tf.argmax(tf.matmul(x, w(16, 8)), axis=-1), 8)
    return tf.matmul(chosen, w(8, 24))


def _two_tables(tf: Any, x: Any, w: Callable[..., Any]) -> Any:
    index = tf.cast(x, tf.int32)
    return tf.tanh(tf.gather(w(9, 8), index[:, :4]) + tf.gather(w(20, 8), index[:, 4:8]))


BODIES: dict[str, tuple[tuple[int | None, ...], Body]] = {
    "mirror": (
        IMAGE,
        lambda tf, x, w: _conv(tf, tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), w(3, 3, 4, 12)),
    ),
    "depth-to-space": (IMAGE, lambda tf, x, w: tf.nn.depth_to_space(_conv(tf, x, w(3, 3, 4, 12)), 2)),
    "space-to-depth": (IMAGE, lambda tf, x, w: _conv(tf, tf.nn.space_to_depth(x, 2), w(3, 3, 16, 8))),
    "positions": (STEPS, lambda tf, x, w: tf.matmul(x + tf.gather(w(20, 16), tf.range(12)), w(16, 24))),
    "token": (STEPS, _with_token),
    "gate": (VECTOR, _gated),
    "parts": (VECTOR, _parts),
    "top": (VECTOR, lambda tf, x, w: tf.math.top_k(tf.matmul(x, w(16, 32)), 3)[0]),
    "index": (VECTOR, lambda tf, x, w: tf.argmax(tf.matmul(x, w(16, 32)), axis=-1)),
    "index-of-softmax": (
        VECTOR,
        lambda tf, x, w: tf.argmax(tf.nn.softmax(tf.matmul(x, w(16, 32))), axis=-1),
    ),
    "positions-of-shape": (
        STEPS,
        lambda tf, x, w: tf.matmul(
            x + tf.nn.embedding_lookup(w(12, 16), tf.range(tf.shape(x)[1])), w(16, 24)
        ),
    ),
    "new-axes": (
        VECTOR,
        lambda tf, x, w: _conv(tf, tf.matmul(x, w(16, 32))[:, None, :, None], w(1, 3, 1, 8)),
    ),
    "last-part": (VECTOR, lambda tf, x, w: tf.split(tf.matmul(x, w(16, 32)), 2, -1)[1]),
    "chosen": (STEPS, lambda tf, x, w: tf.matmul(tf.gather(x, [0, 3, 5], axis=1), w(16, 32))),
    "batched-gather": ((1, 12, 16), _nearest),
    "written-gelu": (VECTOR, _written_gelu),
    "groups-of-heads": ((1, 12, 16), _scores_of_groups),
    "standard-kernel": (IMAGE, _standard_kernel),
    "unit-length": (VECTOR, _unit_length),
    "sum-of-three": (VECTOR, _sum_of_three),
    "positive-weight": (VECTOR, _positive_weight),
    "ends-of-an-axis": (IMAGE, _ends),
    "random-normal": (VECTOR, _sampled),
    "division-without-nan": (VECTOR, _without_nan),
    "ones": (VECTOR, _filled_like("OnesLike")),
    "zeros": (VECTOR, _filled_like("ZerosLike")),
    "unrolled-cell": ((1, 5, 16), _unrolled),
    "products-of-rows": (STEPS, _products_of_rows),
    "normalized-in-training": ((1, 12, 16), _normalized_in_training),
    "heads-with-bias": ((1, 12, 16), _heads_with_bias),
    "centered": (VECTOR, _centered),
    "deviation": (VECTOR, _deviation),
    "one-hot": (VECTOR, _by_rows),
    "two-tables": (VECTOR, _two_tables),
    "clipped": (VECTOR, lambda tf, x, w: tf.tanh(tf.clip_by_value(tf.matmul(x, w(16, 24)), -1.0, 1.0))),
    "logarithm-of-one-more": (VECTOR, lambda tf, x, w: tf.math.log1p(tf.abs(tf.matmul(x, w(16, 24))))),
    "exponential-less-one": (VECTOR, lambda tf, x, w: tf.math.expm1(tf.matmul(x, w(16, 24)))),
    "reciprocal": (VECTOR, lambda tf, x, w: tf.tanh(tf.math.reciprocal(tf.matmul(x, w(16, 24))))),
    "token-of-one": (
        (1, 12, 16),
        lambda tf, x, w: tf.tanh(tf.concat([tf.tile(w(1, 1, 16), [1, 2, 1]), x], 1)),
    ),
    "two-tensors": ((12, 16), lambda tf, x, w: tf.tanh(tf.matmul(tf.matmul(x, w(16, 12)), x))),
    "listed-padding": (
        IMAGE,
        lambda tf, x, w: tf.nn.conv2d(x, w(3, 3, 4, 12), 2, [[0, 0], [1, 1], [2, 2], [0, 0]]),
    ),
    "written-sigmoid": (VECTOR, lambda tf, x, w: tf.tanh(1.0 / (1.0 + tf.exp(-tf.matmul(x, w(16, 12)))))),
    "logarithm-of-sum": (VECTOR, lambda tf, x, w: tf.reduce_logsumexp(tf.matmul(x, w(16, 12)), axis=-1)),
    "tied-square": (
        VECTOR,
        lambda tf, x, w: tf.matmul(tf.tanh(tf.matmul(x, (m := w(16, 24)))), m, transpose_b=True),
    ),
    "slice": (STEPS, lambda tf, x, w: tf.matmul(tf.slice(x, [0, 2, 0], [-1, 4, 16]), w(16, 32))),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_operation_is_predicted_to_the_byte(name: str, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    shape, body = BODIES[name]
    random, weights = np.random.default_rng(5), list[Any]()

    def weight(*lengths: int) -> Any:
        number = next(count)
        if number == len(weights):
            weights.append(tf.Variable(random.standard_normal(lengths).astype("f4")))
        return weights[number]

    count = iter(range(8))
    body(tf, tf.zeros([1 if length is None else length for length in shape]), weight)  # makes the variables
    module = tf.Module()
    module.weights = weights

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])
    def call(x: Any) -> Any:
        nonlocal count
        count = iter(range(8))
        return body(tf, x, weight)

    module.call = call
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=call)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    option = mi.plan(tmp_path / "saved", only=["tflite-float32"], downloads=False).options[0]
    assert option.size == len(converter.convert())


def test_rows_of_a_known_number_leave_the_forms_out(tmp_path: Path) -> None:
    """The converter writes their products as lookups, of which no rule says when."""
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.weights = [tf.Variable(np.ones(shape, "f4")) for shape in ((16, 8), (8, 24))]

    @tf.function(input_signature=[tf.TensorSpec((2, 16), tf.float32, name="x")])
    def call(x: Any) -> Any:
        return _by_rows(tf, x, lambda *shape: module.weights[shape == (8, 24)])

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    report = mi.plan(tmp_path, downloads=False)
    assert any("rows of a known number" in line for line in report.left_out), report.left_out


def test_a_product_of_constants_is_not_computed_where_it_is_too_large(tmp_path: Path) -> None:
    """A column and a row of 400,000 elements each make 160 billion."""
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.weight = tf.Variable(np.ones((16, 32), "f4"))

    @tf.function(input_signature=[tf.TensorSpec((1, 16), tf.float32, name="x")])
    def call(x: Any) -> Any:
        whole = tf.matmul(tf.fill((400_000, 1), 1.0), tf.fill((1, 400_000), 1.0))
        return tf.matmul(x, module.weight) + whole[:1, :32]

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    report = mi.plan(tmp_path, downloads=False)
    assert any("computes too large a constant" in line for line in report.left_out), report.left_out


@pytest.mark.parametrize("damaged", ["Neg", "Exp", "AddV2", "Reciprocal", "Mul"])
def test_a_pattern_whose_operation_takes_nothing_leaves_the_forms_out(damaged: str, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.weight = tf.Variable(np.ones((16, 32), "f4"))

    @tf.function(input_signature=[tf.TensorSpec((1, 16), tf.float32, name="x")])
    def call(x: Any) -> Any:
        y = tf.matmul(x, module.weight)
        return tf.math.reciprocal(tf.exp(-y) + 1.0) * tf.zeros_like(y)

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    path = tmp_path / "saved_model.pb"
    model = message_class("SavedModel")()
    model.ParseFromString(path.read_bytes())
    functions = model.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def if node.op == damaged]
    assert nodes
    for node in nodes:
        del node.input[:]
    path.write_bytes(model.SerializeToString())
    assert mi.plan(tmp_path, downloads=False).left_out


_WRONG = [("output:9", "it leads nowhere"), ("other:0", "takes the output other:0 of another")]


@pytest.mark.parametrize(("output", "reason"), _WRONG)
def test_an_output_that_no_rule_knows_leaves_the_forms_out(output: str, reason: str, tmp_path: Path) -> None:
    """A signature may give out any output of any operation."""
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.weight = tf.Variable(np.ones((16, 32), "f4"))

    @tf.function(input_signature=[tf.TensorSpec((1, 16), tf.float32, name="x")])
    def call(x: Any) -> Any:
        return tf.split(tf.matmul(x, module.weight), 2, -1)[1]

    tf.saved_model.save(module, str(tmp_path), signatures=call)
    path = tmp_path / "saved_model.pb"
    model = message_class("SavedModel")()
    model.ParseFromString(path.read_bytes())
    functions = model.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    changed = [node for node in nodes if "split:output:1" in node.input]
    for node in changed:
        node.input[0] = f"split:{output}"
    path.write_bytes(model.SerializeToString())
    report = mi.plan(tmp_path, downloads=False)
    assert changed
    assert any(reason in line for line in report.left_out), report.left_out
