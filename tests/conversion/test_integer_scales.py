"""Where the int8 quantizer gives a tensor several scales follows from the graph alone.

The expected results are those of TensorFlow 2.21 for the same graphs.
"""

from __future__ import annotations

from modelinspect.conversion.forms.integer_scales import ScaleFlow, Step
from modelinspect.conversion.operators import CONCATENATION, ELU, LOGISTIC, MUL, RESHAPE, TANH

NOTHING: frozenset[int] = frozenset()


def _flow(*steps: Step, inputs: tuple[int, ...] = (0,), constants: frozenset[int] = NOTHING) -> ScaleFlow:
    flow = ScaleFlow(steps, inputs, constants)
    flow.run()
    return flow


def test_a_fixed_range_is_quantized_again_before_a_join() -> None:
    flow = _flow(
        Step(TANH, (0,), (1,), 1), Step(LOGISTIC, (0,), (2,), 1), Step(CONCATENATION, (1, 2), (3,), 2)
    )
    assert flow.again == {1: [[]], 2: [[]]}
    assert flow.ranged == {0, 3}


def test_a_fixed_range_passes_through_what_moves_elements() -> None:
    flow = _flow(Step(LOGISTIC, (0,), (1,), 1), Step(RESHAPE, (1,), (2,), 2), Step(MUL, (2, 0), (3,), 2))
    assert flow.again == {}
    assert flow.passed == {1, 2}


def test_an_input_that_is_joined_takes_the_scale_of_the_join() -> None:
    flow = _flow(Step(TANH, (0,), (1,), 1), Step(CONCATENATION, (0, 1), (2,), 2))
    assert 0 in flow.passed
    assert flow.again == {1: [[]]}


def test_what_two_joins_take_is_quantized_again_for_the_first() -> None:
    flow = _flow(
        Step(MUL, (0, 9), (1,), 2),
        Step(MUL, (0, 9), (2,), 2),
        Step(CONCATENATION, (1, 2), (3,), 2),
        Step(CONCATENATION, (1, 0), (4,), 2),
        constants=frozenset((9,)),
    )
    assert flow.again[1] == [[2]]


def test_what_a_float_operator_makes_for_a_join_has_no_scale() -> None:
    flow = _flow(Step(ELU, (0,), (1,), 1), Step(CONCATENATION, (1, 0), (2,), 2))
    assert 1 not in flow.ranged | flow.passed
