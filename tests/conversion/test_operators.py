"""Operators, element types and options have the numbers of schema.fbs, as TensorFlow's own generated code has
them.
"""

from __future__ import annotations

import pytest

from modelinspect.conversion import operators
from modelinspect.errors import InvariantError

NAMES = {
    "CONV": "CONV_2D",
    "MAX_POOL": "MAX_POOL_2D",
    "REVERSE": "REVERSE_V2",
    "SEQUENCE_LSTM": "UNIDIRECTIONAL_SEQUENCE_LSTM",
}


@pytest.mark.tensorflow
def test_numbers_are_those_of_the_generated_code() -> None:
    oracle = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    for name in ("ADD", "CONV", "DENSIFY", "GELU", "MAX_POOL", "REVERSE", "SEQUENCE_LSTM", "WHILE"):
        assert getattr(operators, name) == getattr(oracle.BuiltinOperator, NAMES.get(name, name)), name
    for name in ("BOOL", "FLOAT16", "FLOAT32", "INT8", "INT16", "INT32", "INT64", "UINT8"):
        assert getattr(operators, name) == getattr(oracle.TensorType, name), name
    for code in range(256):
        node, number = operators.options(code, {})
        assert number == (0 if node is None else getattr(oracle.BuiltinOptions, node.type)), code


def test_a_name_or_field_that_the_schema_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError):
        operators.codes("BuiltinOperator", "ADD NO_SUCH")
    with pytest.raises(InvariantError, match="AddOptions has no field stride_w"):
        operators.options(operators.ADD, {"stride_w": 1})
