"""Fuse operators as the converter does: constants into kernels and biases, activations into what makes their
input.

Sources: tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td and optimize_pass.cc. Each rule gives
what it makes the locations of what it took.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelinspect.conversion.network import Network, Op, floats, fused
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
from modelinspect.conversion.passes.early import rewrite_early
from modelinspect.conversion.passes.exchanges import (
    compute_before_exchange,
    compute_before_moving,
    move_exchanges,
)
from modelinspect.conversion.passes.move import FUSED
from modelinspect.conversion.passes.norms import JOINED, join_sums
from modelinspect.conversion.passes.order import begin, gather, prepare, settle
from modelinspect.conversion.passes.padding import take_padding
from modelinspect.conversion.passes.products import Products
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
from modelinspect.core.records import dataclass

_SWEEPS = 8
_TAKES_ACTIVATION = frozenset((ADD, SUB, MUL, DIV, AVERAGE_POOL, MAX_POOL, CONV, DEPTHWISE, FULLY_CONNECTED))
_CONVOLUTIONS = (CONV, DEPTHWISE)


def fuse(network: Network) -> None:
    """Change a network until no rule applies, and those that its loops run."""
    for inner in [each for op in network.ops for each in op.networks]:
        fuse(inner)
    network.unbiased = {
        id(op): op.inputs[1].location for op in network.ops if op.code == FULLY_CONNECTED and op.inputs[1]
    }
    begin(network)
    rewrite_early(network)
    share_integers(network)
    share(network, kinds=(0,))
    share_operators(network)
    move_exchanges(network)
    capture(network)
    lend_zeros(network)
    share_factors(network)
    for rules in (_FIRST, _EXCHANGES, _ACTIVATIONS, _EARLY, _LATE):
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
class _Sweep(Products):
    """One walk over all operators; ``shared`` are the values that several took when it began."""

    shared: frozenset[int] = frozenset()

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
        maker, factors = self.followed(op, MUL, (CONV, ADD))
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
        maker, terms = self.followed(op, ADD, (TRANSPOSE_CONV,))
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
        self.copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def scale_convolution(self, op: Op) -> bool:
        """Let a convolution's kernel and bias take in the factors that follow, or divisors."""
        codes = (*_CONVOLUTIONS, TRANSPOSE_CONV)
        maker, factors = self.followed(op, op.code, codes) if op.code in (MUL, DIV) else (None, None)
        constant = op.inputs[1] if len(op.inputs) > 1 else None
        if maker is None or factors is None or constant is None:
            return False
        if op.code == DIV:
            with np.errstate(all="ignore"):
                factors = (np.float32(1) / factors).astype(np.float32)
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
            and (not constant.shape or not bias.constant.is_all(0.0))
        ):
            maker.inputs[place] = floats(bias.vector * factors, location)
        self.copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True

    def bias_convolution(self, op: Op) -> bool:
        """Let a convolution's bias take in the sum that follows, or a difference."""
        maker, terms = self.followed(op, op.code, _CONVOLUTIONS) if op.code in (ADD, SUB) else (None, None)
        constant = op.inputs[1] if len(op.inputs) > 1 else None
        if maker is None or terms is None or constant is None:
            return False
        bias = maker.inputs[2]
        if bias is None or bias.vector is None:
            return False
        location = fused(op.output.location, maker.output.location, constant.location)
        maker.inputs[2] = floats(bias.vector + (terms if op.code == ADD else -terms), location)
        self.copy_activation(op, maker)
        self.take_in(maker, op, location)
        return True


_Rule = Callable[[_Sweep, Op], bool]
_FIRST: tuple[_Rule, ...] = (
    *(join_hard_swish, *JOINED),
    _Sweep.join_transposes,
    _Sweep.multiply_transposed,
    _Sweep.drop_identity,
    _Sweep.drop_again,
    _Sweep.scale_directly,
    _Sweep.take_shape,
    _Sweep.drop_own_shape,
)
_EXCHANGES: tuple[_Rule, ...] = (compute_before_exchange, _Sweep.join_transposes, _Sweep.multiply_transposed)
_ACTIVATIONS: tuple[_Rule, ...] = (_Sweep.drop_identity, _Sweep.take_activation)
_EARLY: tuple[_Rule, ...] = (
    *(_Sweep.drop_identity, join_sums),
    _Sweep.reshape_instead,
    _Sweep.bias_before_reshape,
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
