"""Let matrix products take in what is computed with constants before and after them.

Sources: tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td and optimize_pass.cc.
"""

from __future__ import annotations

import numpy as np

from modelinspect.conversion.network import Constant, Op, Value, fused
from modelinspect.conversion.operators import ADD, FULLY_CONNECTED, MUL, RESHAPE, SUB
from modelinspect.conversion.passes.biases import bias_of, changed, key_after
from modelinspect.conversion.passes.exchanges import ELEMENT_WISE
from modelinspect.conversion.passes.move import PAIRED, Moves
from modelinspect.conversion.passes.scale import scale_kernel
from modelinspect.conversion.passes.turns import Turns
from modelinspect.core.records import dataclass, field
from modelinspect.measure.kept import Factors


@dataclass(slots=True)
class Products(Moves):
    """Rules of matrix products; ``turns`` tell when what they make is made."""

    turns: Turns = field(default_factory=Turns)

    def followed(self, op: Op, code: int, makers: tuple[int, ...]) -> tuple[Op | None, np.ndarray | None]:
        """Return the operator before one that works on its channels with a constant, and the constant's
        elements for each channel.
        """
        if op.code != code or len(op.inputs) != 2:
            return None, None
        maker, constant = self.maker(op.inputs[0]), op.inputs[1]
        if (
            maker is None
            or maker.code not in makers
            or maker.activation
            or constant is None
            or constant.vector is None
        ):
            return None, None
        channels = op.output.shape[-1]
        vector = constant.vector.reshape(-1)
        if len(constant.shape) > 1 and constant.vector.size != constant.shape[-1]:
            return None, None
        if vector.size not in (1, channels):
            return None, None
        return maker, np.broadcast_to(vector, (channels,)).astype(np.float32)

    def copy_activation(self, op: Op, maker: Op) -> None:
        if op.activation and maker.options is not None:
            maker.options.set(fused_activation_function=op.activation)

    def bias_product(self, op: Op) -> bool:
        """Let a matrix product's bias take in the sum that follows."""
        maker, terms = self.followed(op, ADD, (FULLY_CONNECTED,))
        if maker is None or terms is None:
            return False
        bias = maker.inputs[2]
        if bias is not None and bias.constant is None:
            return False
        total = terms if bias is None else changed(bias, lambda held: held + terms)
        maker.inputs[2] = bias_of(total, len(terms), op.output.location, key_after(bias, "sum", terms))
        location = fused(maker.output.location, op.output.location)
        self.copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def bias_before_reshape(self, op: Op) -> bool:
        """Let a matrix product's bias take in the sum that follows before what follows a reshape is moved to
        it: the sum has another user until the reshape is gone.
        """
        reshapes = self.takers.get(id(op.output), []) if op.code == ADD and not op.activation else []
        after = self.takers.get(id(reshapes[0].output), []) if len(reshapes) == 1 else []
        if not after or reshapes[0].code != RESHAPE or after[0].code not in (*ELEMENT_WISE, *PAIRED):
            return False
        return self.bias_product(op)

    def scale_product(self, op: Op) -> bool:
        """Let a matrix product's kernel take in the factors that follow."""
        maker, factors = self.followed(op, MUL, (FULLY_CONNECTED,))
        if maker is None or factors is None or maker.inputs[1] is None:
            return False
        bias, constant = maker.inputs[2], op.inputs[1]
        location = fused(op.output.location, maker.output.location)
        is_scalar = constant is not None and not constant.shape
        if bias is not None:
            if bias.constant is None:
                return False
            total = changed(bias, lambda held: held * factors)
            place = op.output.location if is_scalar else location
            maker.inputs[2] = bias_of(total, len(factors), place, key_after(bias, "product", factors))
        if is_scalar:
            location = fused(maker.output.location, op.output.location)
        scale_kernel(maker, factors, op.output.location)
        self.copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def product_of_sum(self, op: Op) -> bool:
        """Let a matrix product's bias take in the sum before it."""
        before = self._before_product(op, (ADD, SUB))
        if before is None:
            return False
        maker = self.makers.get(id(before.inputs[0]))
        is_bias = maker is not None and maker.code == FULLY_CONNECTED
        if is_bias and op.activation and not self.turns.sweep:
            return False  # a turn too late: the product before it has taken it in by then, as its bias
        given, terms = before.inputs
        if (
            given is None
            or terms is None
            or terms.constant is None
            or terms.vector is None
            or given.shape != before.output.shape
            or (terms.vector.size != 1 and (before.code == SUB or op.inputs[2] is None))
        ):
            return False
        location = op.output.location
        held = key_after(op.inputs[2], "", None), key_after(op.inputs[1], "sum before", terms.vector)
        op.inputs[2] = bias_of(None, op.output.shape[-1], location, held)
        op.output.location = fused(before.output.location, location)
        self.give(op, given)
        self.leave(op, before)
        return True

    def _before_product(self, op: Op, codes: tuple[int, ...]) -> Op | None:
        """Return what makes a matrix product's input, other operators may take it too."""
        before = self.makers.get(id(op.inputs[0])) if op.code == FULLY_CONNECTED else None
        if before is None or before.code not in codes or before.activation or id(before) in self.gone:
            return None
        return before

    def product_of_scaled(self, op: Op) -> bool:
        """Let a matrix product's kernel take in the factors before it."""
        before = self._before_product(op, (MUL,))
        if before is None:
            return False
        given, factors = before.inputs
        is_scalar = factors is not None and not factors.shape
        weight = op.inputs[1]
        if (
            given is None
            or factors is None
            or factors.vector is None
            or weight is None
            or given.shape != before.output.shape
            or (is_scalar and self.is_product(given))  # which takes it in first
        ):
            return False
        if (
            len(factors.shape) > 1
            or factors.vector.size not in (1, weight.shape[-1])
            or weight.constant is None
            or weight.constant.kernel is None
        ):
            return False
        source = weight.constant.kernel
        scale = np.broadcast_to(factors.vector.reshape(-1), (weight.shape[-1],)).astype(np.float32)
        scaled = source.times(Factors(rows=scale) if source.layout.inputs == 0 else Factors(cols=scale))
        location = op.output.location if is_scalar else fused(before.output.location, op.output.location)
        op.inputs[1] = Value(
            weight.shape,
            location,
            weight.kind,
            Constant(weight.constant.size, None, scaled, key=key_after(weight, "product before", scale)),
        )
        op.output.location = location
        self.give(op, given)
        self.leave(op, before)
        return True
