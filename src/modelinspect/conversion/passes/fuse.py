"""Fuse operators as the converter does: constants into kernels and biases, activations into what makes their
input.

Sources: tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td and optimize_pass.cc. Each rule gives
what it makes the locations of what it took.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelinspect.conversion.network import Constant, Network, Op, Value, floats, fused
from modelinspect.conversion.operators import (
    ADD,
    AVERAGE_POOL,
    CONV,
    DEPTHWISE,
    DIV,
    FULLY_CONNECTED,
    MAX_POOL,
    MUL,
    SUB,
    TRANSPOSE_CONV,
)
from modelinspect.conversion.passes.biases import bias_of, changed, key_after
from modelinspect.conversion.passes.early import rewrite_early
from modelinspect.conversion.passes.exchanges import (
    compute_before_exchange,
    compute_before_moving,
    move_exchanges,
)
from modelinspect.conversion.passes.move import FUSED, Moves
from modelinspect.conversion.passes.norms import JOINED, join_sums
from modelinspect.conversion.passes.order import begin, gather, prepare, settle
from modelinspect.conversion.passes.padding import take_padding
from modelinspect.conversion.passes.scale import scale_convolutions, scale_kernel
from modelinspect.conversion.passes.share import (
    capture,
    lend_zeros,
    share,
    share_factors,
    share_integers,
    share_operators,
)
from modelinspect.conversion.passes.swish import clip_below, clip_to_six, join_hard_swish
from modelinspect.conversion.passes.turns import Turns
from modelinspect.conversion.passes.unused import drop_dead
from modelinspect.core.records import dataclass, field
from modelinspect.measure.kept import Factors

_SWEEPS = 8
_TAKES_ACTIVATION = frozenset((ADD, SUB, MUL, DIV, AVERAGE_POOL, MAX_POOL, CONV, DEPTHWISE, FULLY_CONNECTED))
_CONVOLUTIONS = (CONV, DEPTHWISE)


def fuse(network: Network) -> None:
    """Change a network until no rule applies, and those that its loops run."""
    for inner in [each for op in network.ops for each in op.networks]:
        fuse(inner)
    begin(network)
    rewrite_early(network)
    share_integers(network)
    share(network, kinds=(0,))
    share_operators(network)
    move_exchanges(network)
    capture(network)
    lend_zeros(network)
    share_factors(network)
    for rules in (_FIRST, _ACTIVATIONS, _EARLY, _LATE):
        kept = frozenset(id(value) for value in network.beginning)
        for number in range(_SWEEPS):
            if not _Sweep(network, turns=Turns(kept, number)).run(rules):
                break
        if rules is _FIRST:
            prepare(network)
        settle(network, is_last=rules is _LATE)
    share(network)
    gather(network, are_equal_one=True)
    scale_convolutions(network)


def _is_fused_normalization(op: Op) -> bool:
    """Return whether a product is of a normalization that is one operator until late, so only the first is
    taken in early.
    """
    return any(name.endswith("/FusedBatchNormV3") for name in op.output.location)


@dataclass(slots=True)
class _Sweep(Moves):
    """One walk over all operators; ``shared`` are the values that several took when it began."""

    shared: frozenset[int] = frozenset()
    turns: Turns = field(default_factory=Turns)

    def run(self, rules: tuple[Callable[[_Sweep, Op], bool], ...]) -> bool:
        """Apply rules to every operator; return whether any applied."""
        for op in self.network.ops:
            for value in op.outputs:
                self.makers[id(value)] = op
            self.uses.update(id(value) for value in op.inputs if value is not None)
            for given in op.inputs:
                self.takers.setdefault(id(given), []).append(op)
        self.uses.update(id(value) for _, value in self.network.outputs)
        self.shared = frozenset(value for value, count in self.uses.items() if count > 1)
        changed = False
        for op in reversed(self.network.ops) if rules is _LATE else self.network.ops:
            while id(op) not in self.gone and self._change(op, rules):
                changed = True
        drop_dead(self.network, self.gone)
        return changed

    def _change(self, op: Op, rules: tuple[Callable[[_Sweep, Op], bool], ...]) -> bool:
        """Apply the first rule that applies; tell when what it makes is made."""
        before = self.makers.get(id(op.inputs[0])) if op.inputs else None
        code, is_active = op.code, bool(op.activation)
        if not any(rule(self, op) for rule in rules):
            return False
        self.turns.record(op, before, code, is_active=is_active)
        return True

    def take_activation(self, op: Op) -> bool:
        """Let an operator apply the ReLU that follows it."""
        if op.code not in FUSED:
            return False
        maker = self.maker(op.inputs[0])
        if maker is None or maker.code not in _TAKES_ACTIVATION or maker.activation or maker.options is None:
            return False
        maker.options.set(fused_activation_function=FUSED[op.code])
        own, other = maker.output.location, op.output.location
        self.take_in(maker, op, fused(own, other) if maker.code == FULLY_CONNECTED else fused(other, own))
        return True

    def scale_directly(self, op: Op) -> bool:
        """Let a convolution's kernel take in the factors that follow it, or its bias, before anything else is
        done (prepare_tf.cc).
        """
        if op.code != MUL or len(op.inputs) != 2:
            return False
        maker, factors = self._followed(op, MUL, (CONV, ADD))
        constant = op.inputs[1]
        if maker is None or factors is None or constant is None:
            return False
        if maker.code == CONV:
            if maker.is_scaled and _is_fused_normalization(op):
                return False
            maker.is_scaled = True
            scale_kernel(maker, factors)
            self.take_in(maker, op, maker.output.location)
            return True
        convolution, terms = self.maker(maker.inputs[0]), maker.inputs[1]
        if convolution is None or convolution.code != CONV or terms is None or terms.vector is None:
            return False
        if convolution.is_scaled and _is_fused_normalization(op):
            return False
        convolution.is_scaled = True
        scale_kernel(convolution, factors)
        location = fused(op.output.location, terms.location, maker.output.location, constant.location)
        maker.inputs[1] = floats(terms.vector.reshape(-1) * factors, location)
        self.take_in(maker, op, location)
        return True

    def bias_transposed(self, op: Op) -> bool:
        """Let a convolution backwards take in the sum that follows, as a fourth input."""
        maker, terms = self._followed(op, ADD, (TRANSPOSE_CONV,))
        constant = op.inputs[1] if len(op.inputs) > 1 else None
        if maker is None or terms is None or constant is None or len(maker.inputs) not in (3, 4):
            return False
        bias = maker.inputs[3] if len(maker.inputs) == 4 else None
        if bias is not None and bias.vector is None:
            return False
        location = fused(op.output.location, maker.output.location, constant.location)
        total = terms if bias is None or bias.vector is None else bias.vector + terms
        maker.inputs[3:] = [floats(total, location)]
        maker.version = 4 if op.activation else 3
        self._copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def scale_convolution(self, op: Op) -> bool:
        """Let a convolution's kernel and bias take in the factors that follow."""
        maker, factors = self._followed(op, MUL, (*_CONVOLUTIONS, TRANSPOSE_CONV))
        constant = op.inputs[1] if len(op.inputs) > 1 else None
        if maker is None or factors is None or constant is None:
            return False
        place = 3 if maker.code == TRANSPOSE_CONV else 2
        weight, bias = maker.inputs[1], maker.inputs[place] if len(maker.inputs) > place else None
        if weight is None or (bias is not None and bias.vector is None) or (bias is None and place == 2):
            return False
        location = fused(op.output.location, maker.output.location, constant.location)
        scale_kernel(maker, factors, location)
        if (
            bias is not None
            and bias.constant is not None
            and bias.vector is not None
            and not bias.constant.is_all(0.0)
        ):
            maker.inputs[place] = floats(bias.vector * factors, location)
        self._copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def bias_convolution(self, op: Op) -> bool:
        """Let a convolution's bias take in the sum that follows."""
        maker, terms = self._followed(op, ADD, _CONVOLUTIONS)
        constant = op.inputs[1] if len(op.inputs) > 1 else None
        if maker is None or terms is None or constant is None:
            return False
        bias = maker.inputs[2]
        if bias is None or bias.vector is None:
            return False
        location = fused(op.output.location, maker.output.location, constant.location)
        maker.inputs[2] = floats(bias.vector + terms, location)
        self._copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def _followed(self, op: Op, code: int, makers: tuple[int, ...]) -> tuple[Op | None, np.ndarray | None]:
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

    def _copy_activation(self, op: Op, maker: Op) -> None:
        if op.activation and maker.options is not None:
            maker.options.set(fused_activation_function=op.activation)

    def bias_product(self, op: Op) -> bool:
        """Let a matrix product's bias take in the sum that follows."""
        maker, terms = self._followed(op, ADD, (FULLY_CONNECTED,))
        if maker is None or terms is None:
            return False
        bias = maker.inputs[2]
        if bias is not None and bias.constant is None:
            return False
        total = terms if bias is None else changed(bias, lambda held: held + terms)
        maker.inputs[2] = bias_of(total, len(terms), op.output.location, key_after(bias, "sum", terms))
        location = fused(maker.output.location, op.output.location)
        self._copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def scale_product(self, op: Op) -> bool:
        """Let a matrix product's kernel take in the factors that follow."""
        maker, factors = self._followed(op, MUL, (FULLY_CONNECTED,))
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
        self._copy_activation(op, maker)
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


_Rule = Callable[[_Sweep, Op], bool]
_FIRST: tuple[_Rule, ...] = (
    *(join_hard_swish, *JOINED),
    _Sweep.join_transposes,
    _Sweep.multiply_transposed,
    compute_before_exchange,
    _Sweep.drop_identity,
    _Sweep.drop_again,
    _Sweep.scale_directly,
    _Sweep.take_shape,
    _Sweep.drop_own_shape,
)
_ACTIVATIONS: tuple[_Rule, ...] = (_Sweep.drop_identity, _Sweep.take_activation)
_EARLY: tuple[_Rule, ...] = (
    *(_Sweep.drop_identity, join_sums),
    _Sweep.reshape_instead,
    compute_before_moving,
    _Sweep.move_before_reshape,
    _Sweep.move_pair_before_reshapes,
    _Sweep.take_activation,
)
_LATE: tuple[_Rule, ...] = (
    _Sweep.drop_identity,
    clip_below,
    clip_to_six,
    compute_before_moving,
    _Sweep.move_before_reshape,
    _Sweep.move_pair_before_reshapes,
    _Sweep.join_reshapes,
    _Sweep.drop_before_product,
    _Sweep.keep_axes,
    take_padding,
    _Sweep.scale_convolution,
    _Sweep.bias_convolution,
    _Sweep.bias_transposed,
    _Sweep.bias_product,
    _Sweep.scale_product,
    _Sweep.product_of_sum,
    _Sweep.product_of_scaled,
    _Sweep.take_activation,
)
