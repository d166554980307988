"""Sparse int8 weights of operators with float input: XNNPACK refuses them, or computes other outputs than
TFLite's own kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.fixtures import fixture_names, fixture_path

from modelinspect import api

RULE = "sparse-hybrid"
SPARSE = [
    name
    for name in fixture_names()
    if name.endswith(".tflite") and "sparse_tensors" in api.open(fixture_path(name)).facts
]
CLOSE = 0.06
"""XNNPACK rounds activations of int8 models otherwise: up to this share of the largest output is no
difference.
"""


def outputs(name: str, *, xnnpack: bool) -> Any:
    """Return what a model computes of fixed inputs, by the delegate that is on by default or by TFLite's own
    kernels.
    """
    tf = pytest.importorskip("tensorflow")
    kinds = tf.lite.experimental.OpResolverType
    kind = kinds.AUTO if xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(
        str(fixture_path(name)), experimental_op_resolver_type=kind, num_threads=1
    )
    interpreter.allocate_tensors()
    rows = []
    random = np.random.default_rng(1)
    for _ in range(8):
        for detail in interpreter.get_input_details():
            is_float = detail["dtype"] is np.float32
            values = (
                random.normal(size=detail["shape"]) if is_float else random.integers(0, 10, detail["shape"])
            )
            interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).astype("f8"))
    return np.stack(rows)


def runs_with_xnnpack(name: str) -> bool:
    """Return whether XNNPACK loads a model and computes what TFLite's own kernels do."""
    plain = outputs(name, xnnpack=False)
    try:
        by_delegate = outputs(name, xnnpack=True)
    except RuntimeError:
        return False
    return bool(np.abs(by_delegate - plain).max() <= CLOSE * np.abs(plain).max())


def rules_of(name: str) -> set[str]:
    return {finding.rule for finding in api.explain(fixture_path(name), compressors=False).findings}


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", SPARSE)
def test_the_finding_is_raised_for_exactly_the_sparse_files_that_xnnpack_does_not_run_right(
    name: str,
) -> None:
    assert (RULE in rules_of(name)) is not runs_with_xnnpack(name)


@pytest.mark.tensorflow
def test_without_xnnpack_the_sparse_file_computes_what_the_dense_one_does_and_with_it_something_else() -> (
    None
):
    sparse, dense = (f"pruned_blocks/block-16x1/stripped/dynamic-int8{end}.tflite" for end in ("-sparse", ""))
    assert RULE not in rules_of(dense)
    assert np.allclose(outputs(sparse, xnnpack=False), outputs(dense, xnnpack=False), atol=1e-5)
    assert np.abs(outputs(sparse, xnnpack=True) - outputs(dense, xnnpack=True)).max() > 0.01
