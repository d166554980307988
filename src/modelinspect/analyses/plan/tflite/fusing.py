"""Fuses operators as the converter does: constants into kernels and biases, activations into what makes their input.

Sources: tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td and optimize_pass.cc. Each rule gives what it
makes the locations of what it took.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from modelinspect.analyses.plan.tflite.forms import CONV, DEPTHWISE, FULLY_CONNECTED, TRANSPOSE_CONV
from modelinspect.analyses.plan.tflite.graph import Constant, Location, Network, Op, Value, floats, fused
from modelinspect.analyses.plan.tflite.operators import ADD, DIV, MUL, PAD, RELU, RELU6, RESHAPE, SUB, same_padding

_SWEEPS = 8
_FUSED = {RELU: 1, RELU6: 3}
_TAKES_ACTIVATION = frozenset((ADD, SUB, MUL, DIV, CONV, DEPTHWISE, FULLY_CONNECTED))
_CONVOLUTIONS = (CONV, DEPTHWISE)
_NOTHING: Location = ("",)
"""What a constant that several operators share is called within the name of something fused."""


def fuse(network: Network) -> None:
    """Change a network until no rule applies."""
    _share_integers(network)
    _share(network, kinds=(0,))
    for rules in (_FIRST, _ACTIVATIONS, _EARLY, _LATE):
        for _ in range(_SWEEPS):
            if not _Sweep(network).run(rules):
                break
    _share(network)


def _is_fused_normalization(op: Op) -> bool:
    """Tell whether a product is of a normalization that is one operator until late, so that only the first is taken in early."""
    return any(name.endswith("/FusedBatchNormV3") for name in op.output.location)


def _share_integers(network: Network) -> None:
    """Lose the location of whole numbers that several operators have."""
    ghosts = {_key(value) for value in network.ghosts}
    for op in network.ops:
        for value in op.inputs:
            if value is not None and value.constant is not None and _key(value) in ghosts:
                value.location = ()
    _share(network, location=_NOTHING, kinds=(2,))
    for op in network.ops:
        for value in op.inputs:
            if value is not None and value.location == _NOTHING and op.code != PAD:
                value.location = ()


def _key(value: Value) -> tuple[object, ...]:
    """Return what two constants have in common that are one to the converter."""
    return (value.constant.key if value.constant is not None else None, value.shape, value.kind)


def _share(network: Network, location: Location = (), kinds: tuple[int, ...] = (0, 2)) -> None:
    """Give operators with equal constants one constant, whose location is not known."""
    first: dict[object, Value] = {}
    for op in network.ops:
        for place, value in enumerate(op.inputs):
            if value is None or value.constant is None or value.constant.key is None or value.kind not in kinds:
                continue
            same = first.setdefault(_key(value), value)
            if same is not value:
                if same.location != value.location:
                    same.location = location
                op.inputs[place] = same


@dataclass(slots=True)
class _Sweep:
    """One walk over all operators; what is taken into another operator is ``gone``."""

    network: Network
    makers: dict[int, Op] = field(default_factory=dict)
    uses: Counter[int] = field(default_factory=Counter)
    gone: set[int] = field(default_factory=set)
    takers: dict[int, list[Op]] = field(default_factory=dict)

    def run(self, rules: tuple[str, ...]) -> bool:
        """Apply rules to every operator; tell whether any applied."""
        for op in self.network.ops:
            for value in op.outputs:
                self.makers[id(value)] = op
            self.uses.update(id(value) for value in op.inputs if value is not None)
            for given in op.inputs:
                self.takers.setdefault(id(given), []).append(op)
        self.uses.update(id(value) for _, value in self.network.outputs)
        changed = False
        for op in reversed(self.network.ops) if rules is _LATE else self.network.ops:
            while id(op) not in self.gone and any(getattr(self, rule)(op) for rule in rules):
                changed = True
        self.network.ops = [op for op in self.network.ops if id(op) not in self.gone]
        return changed

    def _maker(self, value: Value | None) -> Op | None:
        """Return what makes a value that nothing else takes."""
        return self.makers.get(id(value)) if value is not None and self.uses[id(value)] == 1 else None

    def _give(self, op: Op, value: Value | None) -> None:
        """Let an operator take another first input."""
        op.inputs[0] = value
        self.takers.setdefault(id(value), []).append(op)

    def _take_in(self, first: Op, second: Op, location: Location) -> None:
        """Let an operator make what another one made of its output."""
        first.outputs = [second.output]
        second.output.location = location
        self.makers[id(second.output)] = first
        self.gone.add(id(second))

    def drop_identity(self, op: Op) -> bool:
        """Drop sums with zero and products with one."""
        if op.code not in (ADD, SUB, MUL, DIV) or len(op.inputs) != 2 or op.activation:
            return False
        given, other = op.inputs
        if given is None or other is None or other.constant is None or given.shape != op.output.shape:
            return False
        if not other.constant.is_all(0.0 if op.code in (ADD, SUB) else 1.0):
            return False
        self._replace(op, given)
        return True

    def drop_again(self, op: Op) -> bool:
        """Drop a ReLU of the same ReLU."""
        maker = self.makers.get(id(op.inputs[0])) if op.code in _FUSED else None
        if maker is None or maker.code != op.code or op.inputs[0] is None:
            return False
        self._replace(op, op.inputs[0])
        return True

    def _replace(self, op: Op, given: Value) -> None:
        """Give the users of an operator its input instead of its output."""
        self.gone.add(id(op))
        self.uses[id(given)] += self.uses[id(op.output)] - 1
        for each in self.takers.get(id(op.output), ()):
            each.inputs = [given if value is op.output else value for value in each.inputs]
            self.takers.setdefault(id(given), []).append(each)
        self.network.outputs = [(name, given if value is op.output else value) for name, value in self.network.outputs]

    def move_before_reshape(self, op: Op) -> bool:
        """Do what is done to every element, or to every channel, before a reshape."""
        reshape = self._maker(op.inputs[0])
        if reshape is None or reshape.code != RESHAPE or reshape.inputs[0] is None or reshape.inputs[1] is None:
            return False
        before, after, other = reshape.inputs[0], reshape.output, op.inputs[1] if len(op.inputs) > 1 else None
        if reshape.inputs[1].constant is None or before.shape[-1:] != after.shape[-1:]:
            return False
        if op.code in (ADD, SUB, MUL, DIV):
            if other is None or other.constant is None or len(other.shape) > 1 or op.output.shape != after.shape:
                return False
        elif op.code not in _FUSED:
            return False
        location = fused(op.output.location, after.location, other.location if other is not None else ())
        inner, outer = Value(before.shape, location), op.output
        outer.location = location
        changed = Op(op.code, [before, *op.inputs[1:]], [inner], op.options, op.number)
        target = reshape.inputs[1]
        if op.code in _FUSED:  # this rule makes the shape anew
            target = Value(target.shape, location, target.kind, target.constant)
        moved = Op(RESHAPE, [inner, target], [outer], reshape.options, reshape.number)
        for old, new in ((reshape, changed), (op, moved)):
            old.code, old.inputs, old.outputs, old.options, old.number = new.code, new.inputs, new.outputs, new.options, new.number
        self.makers[id(inner)], self.makers[id(outer)] = reshape, op
        self.uses[id(inner)] = 1
        self.takers.setdefault(id(before), []).append(reshape)
        self.takers[id(inner)] = [op]
        return True

    def join_reshapes(self, op: Op) -> bool:
        """Reshape once where it was done twice."""
        if op.code != RESHAPE:
            return False
        inner = self.makers.get(id(op.inputs[0]))
        if inner is None or inner.code != RESHAPE or id(inner) in self.gone:
            return False
        given = inner.inputs[0]
        if given is not None and given.shape == op.output.shape and given.shape[0] > 0:  # of an unknown batch the shapes do not tell
            self._replace(op, given)
            self.uses[id(given)] -= self.uses[id(inner.output)] == 1
        else:
            self._give(op, given)
        self.uses[id(inner.output)] -= 1
        if not self.uses[id(inner.output)]:
            self.gone.add(id(inner))
        elif inner.inputs[0] is not None:
            self.uses[id(inner.inputs[0])] += 1
        return True

    def take_activation(self, op: Op) -> bool:
        """Let an operator apply the ReLU that follows it."""
        if op.code not in _FUSED:
            return False
        maker = self._maker(op.inputs[0])
        if maker is None or maker.code not in _TAKES_ACTIVATION or maker.activation or maker.options is None:
            return False
        maker.options.values["fused_activation_function"] = _FUSED[op.code]
        own, other = maker.output.location, op.output.location
        self._take_in(maker, op, fused(own, other) if maker.code == FULLY_CONNECTED else fused(other, own))
        return True

    def scale_directly(self, op: Op) -> bool:
        """Let a convolution's kernel take in the factors that follow it, or its bias, before anything else is done (prepare_tf.cc)."""
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
            self._take_in(maker, op, maker.output.location)
            return True
        convolution, terms = self._maker(maker.inputs[0]), maker.inputs[1]
        if convolution is None or convolution.code != CONV or terms is None or terms.vector is None:
            return False
        if convolution.is_scaled and _is_fused_normalization(op):
            return False
        convolution.is_scaled = True
        location = fused(op.output.location, terms.location, maker.output.location, constant.location)
        maker.inputs[1] = floats(terms.vector.reshape(-1) * factors, location)
        self._take_in(maker, op, location)
        return True

    def bias_transposed(self, op: Op) -> bool:
        """Let a convolution backwards take in the sum that follows, as a fourth input."""
        maker, terms = self._followed(op, ADD, (TRANSPOSE_CONV,))
        constant = op.inputs[1] if len(op.inputs) > 1 else None
        if maker is None or terms is None or constant is None or len(maker.inputs) != 3:
            return False
        location = fused(op.output.location, maker.output.location, constant.location)
        maker.inputs.append(floats(terms, location))
        maker.version = 4 if op.activation else 3
        self._copy_activation(op, maker)
        self._take_in(maker, op, location)
        return True

    def scale_convolution(self, op: Op) -> bool:
        """Let a convolution's kernel and bias take in the factors that follow."""
        maker, factors = self._followed(op, MUL, _CONVOLUTIONS)
        constant = op.inputs[1] if len(op.inputs) > 1 else None
        if maker is None or factors is None or constant is None:
            return False
        weight, bias = maker.inputs[1], maker.inputs[2]
        if weight is None or bias is None or bias.vector is None:
            return False
        location = fused(op.output.location, maker.output.location, constant.location)
        maker.inputs[1] = Value(weight.shape, location, weight.kind, weight.constant)
        if bias.constant is not None and not bias.constant.is_all(0.0):
            maker.inputs[2] = floats(bias.vector * factors, location)
        self._copy_activation(op, maker)
        self._take_in(maker, op, location)
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
        self._take_in(maker, op, location)
        return True

    def _followed(self, op: Op, code: int, makers: tuple[int, ...]) -> tuple[Op | None, np.ndarray | None]:
        """Return the operator before one that works on its channels with a constant, and the constant's elements for each channel."""
        if op.code != code or len(op.inputs) != 2:
            return None, None
        maker, constant = self._maker(op.inputs[0]), op.inputs[1]
        if maker is None or maker.code not in makers or maker.activation or constant is None or constant.vector is None:
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
            maker.options.values["fused_activation_function"] = op.activation

    def bias_product(self, op: Op) -> bool:
        """Let a matrix product's bias take in the sum that follows."""
        maker, terms = self._followed(op, ADD, (FULLY_CONNECTED,))
        if maker is None or terms is None:
            return False
        bias = maker.inputs[2]
        if bias is not None and bias.vector is None:
            return False
        total = terms if bias is None or bias.vector is None else bias.vector + terms
        maker.inputs[2] = floats(total, op.output.location)
        location = fused(maker.output.location, op.output.location)
        self._copy_activation(op, maker)
        self._take_in(maker, op, location)
        return True

    def scale_product(self, op: Op) -> bool:
        """Let a matrix product's kernel take in the factors that follow."""
        maker, factors = self._followed(op, MUL, (FULLY_CONNECTED,))
        if maker is None or factors is None or maker.inputs[1] is None:
            return False
        weight, bias = maker.inputs[1], maker.inputs[2]
        if bias is not None:
            if bias.vector is None:
                return False
            maker.inputs[2] = floats(bias.vector * factors, fused(op.output.location, maker.output.location))
        location = fused(op.output.location, maker.output.location)
        maker.inputs[1] = Value(weight.shape, location, weight.kind, weight.constant)
        self._copy_activation(op, maker)
        self._take_in(maker, op, location)
        return True

    def product_of_sum(self, op: Op) -> bool:
        """Let a matrix product's bias take in the sum before it."""
        before = self._maker(op.inputs[0]) if op.code == FULLY_CONNECTED else None
        if before is None or before.code != ADD or before.activation or op.inputs[2] is None:  # a product without a bias gets none so
            return False
        given, terms = before.inputs
        if given is None or terms is None or terms.constant is None or terms.vector is None or given.shape != before.output.shape:
            return False
        location = op.output.location
        op.inputs[2] = Value((op.output.shape[-1],), location, 0, Constant(4 * op.output.shape[-1], None, key=id(op)))
        self._give(op, given)
        op.output.location = fused(before.output.location, location)
        self.gone.add(id(before))
        return True

    def product_of_scaled(self, op: Op) -> bool:
        """Let a matrix product's kernel take in the factors before it."""
        if op.code != FULLY_CONNECTED:
            return False
        before = self.makers.get(id(op.inputs[0]))
        if before is None or before.code != MUL or before.activation or id(before) in self.gone:
            return False
        given, factors = before.inputs
        is_scalar = factors is not None and not factors.shape
        if not is_scalar and self.uses[id(before.output)] != 1:
            return False
        weight = op.inputs[1]
        if given is None or factors is None or factors.vector is None or weight is None or given.shape != before.output.shape:
            return False
        if factors.vector.size not in (1, weight.shape[-1]) or weight.constant is None or weight.constant.kernel is None:
            return False
        source = weight.constant.kernel
        scale = np.broadcast_to(factors.vector.reshape(-1), (weight.shape[-1],)).astype(np.float32)
        scaled = type(source)(source.tensor, source.layout, scale if source.input_scale is None else source.input_scale * scale)
        location = op.output.location if is_scalar else fused(before.output.location, op.output.location)
        op.inputs[1] = Value(weight.shape, location, weight.kind, Constant(weight.constant.size, None, scaled, key=id(scaled)))
        self._give(op, given)
        op.output.location = location
        self.uses[id(before.output)] -= 1
        if not self.uses[id(before.output)]:
            self.gone.add(id(before))
        else:
            self.uses[id(given)] += 1
        return True

    def take_padding(self, op: Op) -> bool:
        """Let a convolution pad where the padding before it is the one that it knows."""
        pad = self._maker(op.inputs[0]) if op.code in _CONVOLUTIONS else None
        if pad is None or pad.code != PAD or pad.inputs[0] is None or pad.inputs[1] is None or op.options is None or op.inputs[1] is None:
            return False
        sides = pad.inputs[1].vector
        if (
            op.options.number("padding") != 1
            or sides is None
            or not same_padding(pad.inputs[0].shape, op.inputs[1].shape, op.options, sides)
        ):
            return False
        location = fused(op.output.location, pad.inputs[1].location, pad.output.location)
        bias = op.inputs[2]
        if bias is not None and bias.location:
            bias.location = fused(bias.location, pad.inputs[1].location, pad.output.location)
        op.options.values["padding"] = 0
        self._give(op, pad.inputs[0])
        op.output.location = location
        self.gone.add(id(pad))
        return True


_FIRST = ("drop_identity", "drop_again", "scale_directly")
_ACTIVATIONS = ("drop_identity", "take_activation")
_EARLY = ("drop_identity", "move_before_reshape", "take_activation")
_LATE = (
    "drop_identity",
    "move_before_reshape",
    "join_reshapes",
    "take_padding",
    "scale_convolution",
    "bias_convolution",
    "bias_transposed",
    "bias_product",
    "scale_product",
    "product_of_sum",
    "product_of_scaled",
    "take_activation",
)
