"""Proves the remedies for weights in StableHLO programs."""

from __future__ import annotations

from typing import Any

import numpy as np

import modelinspect as mi
from modelinspect.core.tensors import Role
from modelinspect.remedies import Remedy
from tests.remedies.proving import causes, findings, follow, proves, size

_RANDOM = np.random.default_rng(2)
KERNEL = _RANDOM.normal(size=(48, 48)).astype("f4")
X = _RANDOM.normal(size=(1, 48)).astype("f4")


def _function(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.tanh(x @ KERNEL)


def _signature() -> list[Any]:
    import tensorflow as tf

    return [tf.TensorSpec((1, 48), tf.float32, "x")]


def _saved(path: str) -> None:
    """Save the function as jax2tf converts it by default: with its gradient."""
    import tensorflow as tf
    from jax.experimental import jax2tf

    module = tf.Module()
    module.call = tf.function(jax2tf.convert(_function), autograph=False, input_signature=_signature())
    tf.saved_model.save(module, path)


def _call(path: str) -> Any:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return loaded.call(tf.constant(X)).numpy()


@proves(Remedy.CONVERT_WITHOUT_GRADIENT)
def without_its_gradient_a_program_holds_its_weights_once() -> None:
    _saved("model")
    follow(
        "model",
        "gradient-duplicate",
        Remedy.CONVERT_WITHOUT_GRADIENT,
        function=_function,
        signature=_signature(),
    )
    assert "gradient-duplicate" not in findings("smaller")
    assert size("smaller") < size("model") - KERNEL.nbytes
    assert np.allclose(_call("smaller"), _call("model"), atol=1e-6)
    delta, _ = causes("model", "smaller")["shared-duplicate"]
    assert delta == KERNEL.nbytes


@proves(Remedy.PASS_VARIABLES)
def weights_that_are_arguments_are_variables() -> None:
    _saved("model")

    def function(weights: Any, x: Any) -> Any:
        import jax.numpy as jnp

        return jnp.tanh(x @ weights["kernel"])

    follow(
        "model",
        "stablehlo-constants",
        Remedy.PASS_VARIABLES,
        function=function,
        weights={"kernel": KERNEL},
        signature=_signature(),
    )
    assert "stablehlo-constants" not in findings("smaller")
    assert "gradient-duplicate" not in findings("smaller")
    kernels = [tensor for tensor in mi.open("smaller").tensors if tensor.role is Role.WEIGHT]
    assert [(tensor.shape, tensor.extents[0].member) for tensor in kernels] == [
        ((48, 48), "variables/variables.data-00000-of-00001")
    ]
    assert size("smaller") < size("model")
    assert np.allclose(_call("smaller"), _call("model"), atol=1e-6)
