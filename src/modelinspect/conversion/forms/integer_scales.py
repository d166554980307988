"""Find out which tensors the int8 quantizer gives a scale, and where two scales of one tensor meet.

Calibration gives every tensor of floats a range. Some of the ranges are dropped, because an operator has one
scale for all that it takes and makes, or a range that is known; the scales of the others are passed on along
such operators. Which ranges these are does not depend on their values.

Sources: tensorflow/compiler/mlir/lite/quantization/common/quantization_lib: quantization_utils.cc
(RemoveRedundantStatsOps), tfl_quantization_driver.cc.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelinspect.conversion.forms.integer_kernels import RULES, Scales
from modelinspect.conversion.operators import L2_NORMALIZATION, LOG_SOFTMAX, LOGISTIC, SOFTMAX, TANH
from modelinspect.core.records import dataclass, field

Scale = int | str
"""The tensor whose range it comes from, or the name of a fixed range."""
_FIXED: dict[int, Scale] = {
    L2_NORMALIZATION: "1/128",
    LOGISTIC: "1/256",
    LOG_SOFTMAX: "16/256",
    SOFTMAX: "1/256",
    TANH: "1/128",
}


@dataclass(frozen=True, slots=True)
class Step:
    """An operator: its code, and the indices of the floats that it takes and makes; ``count`` counts all
    inputs.
    """

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    count: int

    @property
    def is_same(self) -> bool:
        rule = RULES.get(self.code)
        return rule is not None and bool(rule.scales & Scales.SAME)

    @property
    def is_quantizable(self) -> bool:
        rule = RULES.get(self.code)
        return rule is not None and rule.int8 is not None


@dataclass(slots=True)
class ScaleFlow:
    """The scales of a graph.

    ``ranged`` are tensors that keep the range of their calibration, ``passed`` those that get a scale from
    others. ``again`` has for each tensor with several scales the operators that take each other scale; all of
    them where there is none.
    """

    steps: Sequence[Step]
    inputs: Sequence[int]
    constants: frozenset[int]
    ranged: set[int] = field(default_factory=set)
    passed: set[int] = field(default_factory=set)
    again: dict[int, list[list[int]]] = field(default_factory=dict)
    _scales: dict[int, Scale] = field(default_factory=dict)
    makers: dict[int, int] = field(default_factory=dict)
    users: dict[int, list[int]] = field(default_factory=dict)
    _done: set[int] = field(default_factory=set)
    _more: dict[int, dict[Scale, list[int]]] = field(default_factory=dict)

    def run(self) -> None:
        """Fill the sets."""
        for number, step in enumerate(self.steps):
            self.makers.update(dict.fromkeys(step.outputs, number))
            for index in step.inputs:
                self.users.setdefault(index, []).append(number)
        self._drop()
        self._scales = {index: index for index in self.ranged}
        self._pass()
        self.passed = {
            index
            for index in self._scales
            if index not in self.ranged
            and (
                index in self.inputs
                or (index in self.makers and self.steps[self.makers[index]].is_quantizable)
            )
        }
        self.again = {index: list(users.values()) for index, users in self._more.items()}

    def scale_of(self, index: int, number: int) -> object:
        """Return the scale at which an operator takes a tensor."""
        for scale, users in self._more.get(index, {}).items():
            if number in users:
                return scale
        return self._scales.get(index, (index, number))

    def _drop(self) -> None:
        """Keep the ranges that are not redundant."""
        computed = set(self.inputs).union(*(step.outputs for step in self.steps))
        dropped: set[int] = set()
        for step in self.steps:
            single = step.is_same and len(step.inputs) == 1 and step.inputs[0] not in self.constants
            if step.code in _FIXED or single:
                dropped.update(step.outputs)
        waiting = [index for index in computed if index not in dropped]
        seen: set[int] = set()
        while waiting:
            index = waiting.pop()
            if index in seen or index not in self.makers:
                continue
            seen.add(index)
            step = self.steps[self.makers[index]]
            if step.is_same:
                taken = [each for each in step.inputs if each not in self.constants]
                dropped.update(taken)
                waiting += taken
        self.ranged = computed - dropped

    def _pass(self) -> None:
        """Pass scales on, the last operator first."""
        waiting = [number for number, step in enumerate(self.steps) if step.is_same or step.is_quantizable]
        while waiting:
            number = waiting.pop()
            if number in self._done:
                continue
            self._done.add(number)
            step = self.steps[number]
            if step.is_same:
                scale = self._common(step)
                if scale is None:
                    self._done.discard(number)
                    continue
                for index in step.inputs:
                    self._set_input(number, index, scale, waiting)
                for index in step.outputs:
                    self._set_output(index, scale, waiting)
            if step.code in _FIXED and step.outputs:
                self._set_output(step.outputs[0], _FIXED[step.code], waiting)

    def _common(self, step: Step) -> Scale | None:
        """Return the scale that an operator brings all that it takes and makes to."""
        kept_in = [index for index in step.inputs if index in self.ranged]
        kept_out = [index for index in step.outputs if index in self.ranged]
        set_in = [index for index in step.inputs if index in self._scales and index not in self.ranged]
        set_out = [index for index in step.outputs if index in self._scales and index not in self.ranged]
        for places, is_single in (
            (kept_in, step.count == 1),
            (kept_out, len(step.outputs) == 1),
            (kept_in + kept_out, True),
            (set_in, step.count == 1),
            (set_out, len(step.outputs) == 1),
            (set_in + set_out, True),
        ):
            if places and is_single:
                return self._scales[places[0]]
        return None

    def _set_input(self, number: int, index: int, scale: Scale, waiting: list[int]) -> None:
        if index in self.constants:  # each operator has its own copy
            return
        known = self._scales.setdefault(index, scale)
        if known != scale:
            self._more.setdefault(index, {}).setdefault(scale, []).append(number)
        elif index in self.makers and self.makers[index] not in self._done:
            waiting.append(self.makers[index])

    def _set_output(self, index: int, scale: Scale, waiting: list[int]) -> None:
        if index not in self._scales:
            self._scales[index] = scale
            waiting += [number for number in self.users.get(index, ()) if number not in self._done]
        elif self._scales[index] != scale:
            self._more.setdefault(index, {})[scale] = []
