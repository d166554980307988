"""Draws networks of tf.Module and tf.function by seeds: matrices and convolutions, calls in calls, and
weights that are constants.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Builder = Callable[[Any, random.Random], tuple[Any, Any]]


def _variable(tf: Any, module: Any, name: str, *shape: int) -> Any:
    """Add a variable with a separate name; its elements are given later."""
    variable = tf.Variable(tf.zeros(shape), name=name)
    setattr(module, name, variable)
    return variable


def dense(tf: Any, draw: random.Random) -> tuple[Any, Any]:
    """Products of matrices with sums and activations, the batch fixed or not."""
    module = tf.Module()
    width = first = draw.choice((8, 24, 50))
    activations = (tf.nn.relu, tf.nn.relu, tf.tanh, tf.sigmoid, tf.nn.relu6, tf.nn.elu)
    plan = []
    for place in range(draw.randint(1, 4)):
        units = draw.choice((10, 16, 40, 64))
        kernel = _variable(tf, module, f"kernel_{place}", width, units)
        bias = _variable(tf, module, f"bias_{place}", units) if draw.random() < 0.8 else None
        plan.append((kernel, bias, draw.choice(activations), draw.random() < 0.5))
        width = units
    ends, batch = draw.choice((tf.nn.softmax, tf.sigmoid, None)), draw.choice((None, None, 1, 4))

    @tf.function(input_signature=[tf.TensorSpec((batch, first), tf.float32, name="features")])
    def serve(features: Any) -> Any:
        value = features
        for kernel, bias, activation, fused in plan:
            value = tf.matmul(value, kernel)
            if bias is not None:
                value = tf.nn.bias_add(value, bias) if fused else value + bias
            value = activation(value)
        return {"scores": ends(value) if ends is not None else value * 2.0}

    module.serve = serve
    return module, {"serving_default": serve}


def images(tf: Any, draw: random.Random) -> tuple[Any, Any]:
    """Convolutions and pooling, pixels scaled before them."""
    module = tf.Module()
    side, depth = draw.choice((12, 16, 20)), draw.choice((1, 3))
    plan, channels, left = [], depth, side
    for place in range(draw.randint(1, 3)):
        filters = draw.choice((4, 8, 12))
        kernel = _variable(tf, module, f"filters_{place}", 3, 3, channels, filters)
        bias = _variable(tf, module, f"offsets_{place}", filters)
        stride, padding, pooled = draw.choice((1, 2)), draw.choice(("SAME", "VALID")), draw.random() < 0.4
        padding = padding if left >= 3 else "SAME"
        left = -(-(left if padding == "SAME" else left - 2) // stride)
        left = -(-left // 2) if pooled else left
        plan.append((kernel, bias, stride, padding, pooled))
        channels = filters
    head = _variable(tf, module, "head", channels, 5)
    scaled, batch = draw.choice((None, 255.0)), draw.choice((None, 1))

    @tf.function(input_signature=[tf.TensorSpec((batch, side, side, depth), tf.float32, name="pixels")])
    def serve(pixels: Any) -> Any:
        value = pixels / scaled if scaled else pixels
        for kernel, bias, stride, padding, pooled in plan:
            value = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(value, kernel, stride, padding), bias))
            if pooled:
                value = tf.nn.max_pool2d(value, 2, 2, "SAME")
        return tf.matmul(tf.reduce_mean(value, (1, 2)), head)

    module.serve = serve
    return module, {"serving_default": serve}


def nested(tf: Any, draw: random.Random) -> tuple[Any, Any]:
    """A function that calls another several times: its names come back."""
    module = tf.Module()
    width = draw.choice((8, 16))
    kernel, bias = _variable(tf, module, "kernel", width, width), _variable(tf, module, "bias", width)
    times, residual = draw.randint(1, 3), draw.random() < 0.5

    @tf.function
    def block(value: Any) -> Any:
        made = tf.nn.relu(tf.matmul(value, kernel) + bias)
        return made + value if residual else made

    @tf.function(input_signature=[tf.TensorSpec((None, width), tf.float32)])
    def serve(features: Any) -> Any:
        for _ in range(times):
            features = block(features)
        return tf.nn.softmax(features)

    module.block, module.serve = block, serve
    return module, {"serving_default": serve}


def frozen(tf: Any, draw: random.Random) -> tuple[Any, Any]:
    """Weights that are constants of the graph."""
    module = tf.Module()
    numbers = random.Random(draw.random())
    width, units = draw.choice((8, 20)), draw.choice((12, 48))
    first = tf.constant([[numbers.uniform(-1, 1) for _ in range(units)] for _ in range(width)])
    second = tf.constant(
        [
            [numbers.uniform(-1, 1) if numbers.random() < 0.5 else 0.0 for _ in range(units)]
            for _ in range(units)
        ]
    )
    bias = tf.constant([numbers.uniform(-1, 1) for _ in range(units)])
    tail = _variable(tf, module, "tail", units, 3)

    @tf.function(input_signature=[tf.TensorSpec((None, width), tf.float32)])
    def serve(features: Any) -> Any:
        value = tf.nn.relu(tf.matmul(features, first) + bias)
        return tf.matmul(tf.tanh(tf.matmul(value, second)), tail)

    module.serve = serve
    return module, {"serving_default": serve}


def branches(tf: Any, draw: random.Random) -> tuple[Any, Any]:
    """Two inputs, several ways from each to the outputs."""
    module = tf.Module()
    width = draw.choice((12, 24))
    left, right = _variable(tf, module, "left", width, 16), _variable(tf, module, "right", 6, 16)
    tail = _variable(tf, module, "tail", 32, 4)
    joined = draw.choice((tf.add, tf.multiply, tf.subtract, tf.maximum))

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, width), tf.float32, name="a"),
            tf.TensorSpec((None, 6), tf.float32, name="b"),
        ]
    )
    def serve(a: Any, b: Any) -> Any:
        one, two = tf.nn.relu(tf.matmul(a, left)), tf.nn.relu(tf.matmul(b, right))
        whole = tf.concat((joined(one, two), one), 1)
        return {"scores": tf.matmul(whole, tail), "embedding": tf.tanh(whole)}

    module.serve = serve
    return module, {"serving_default": serve}


MODULES: dict[str, tuple[Builder, int]] = {
    "module-dense": (dense, 8),
    "module-images": (images, 8),
    "module-nested": (nested, 4),
    "module-frozen": (frozen, 4),
    "module-branches": (branches, 4),
}
