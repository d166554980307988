"""In which turn of the converter's optimizing pass a constant is made, which decides where it is.

A turn of MLIR's greedy rewriter goes from the last operator to the first. An operator that it changed is seen
again in the same turn only when what it takes changes; and a pattern that asks for one user of a value fails
while an operator that was replaced is still there. So a convolution takes in one follower in a turn, and
what an activation was joined with a turn later.
"""

from __future__ import annotations

from modelinspect.conversion.network import Op
from modelinspect.conversion.operators import (
    ADD,
    CONV,
    DEPTHWISE,
    FULLY_CONNECTED,
    PAD,
    TRANSPOSE_CONV,
)
from modelinspect.core.records import dataclass

_CONVOLUTIONS = (CONV, DEPTHWISE, TRANSPOSE_CONV)
_JOINED = 2
"""The first turn in which an operator takes in what an activation was joined with."""


@dataclass(slots=True)
class Turns:
    """Tells constants that rules make from those of before, ``kept``, and when they are made; ``sweep``
    counts the walks over all operators before this one.
    """

    kept: frozenset[int] = frozenset()
    sweep: int = 0
    count: int = 0

    def record(self, op: Op, before: Op | None, code: int, *, is_active: bool) -> None:
        """Record what a rule made that changed an operator of a code, or what made its input before."""
        took_padding = before is not None and before.code == PAD and op.code in _CONVOLUTIONS
        if took_padding and op.turn == _JOINED and op.activation:
            # it changed in the first turn, so what follows it was seen again in that one
            op.turn = 1
            for value in op.inputs:
                if value is not None:
                    value.made = (min(value.made[0], 1), value.made[1])
        self._record(op, None, is_active=False)
        if before is not None:
            self._record(before, code, is_active=is_active)

    def _record(self, op: Op, code: int | None, *, is_active: bool) -> None:
        """Record what an operator takes; ``code`` is that of the follower it took in, if it did."""
        fresh = [
            value
            for value in op.inputs
            if value is not None
            and value.constant is not None
            and not value.made[0]
            and id(value) not in self.kept
        ]
        if not fresh:
            return
        is_first = not op.turn
        if is_first:
            op.turn = self.sweep + 1
            if code == ADD or (code is not None and op.code in _CONVOLUTIONS):
                op.turn += is_active
        elif op.code in _CONVOLUTIONS or (op.is_unsettled and code is not None):
            op.turn += 1
        if op.code == FULLY_CONNECTED:
            # its first bias is computed of constants, and is one itself only in the next turn
            op.is_unsettled = is_first and code == ADD if code is not None else op.is_unsettled
        for value in fresh:
            self.count += 1
            value.made = (op.turn, self.sweep * 1_000_000 + self.count)
