"""Drop operators that do nothing, and move, join and replace those that only change an array's shape.

Source: tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td. Each rule gives what it makes the
locations of what it took.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from modelinspect.conversion.network import Location, Network, Op, Value, floats, fused, integers
from modelinspect.conversion.operators import (
    ADD,
    BATCH_MATMUL,
    DIV,
    FULLY_CONNECTED,
    MAXIMUM,
    MINIMUM,
    MUL,
    PACK,
    RELU,
    RELU6,
    RELU_N1_TO_1,
    RESHAPE,
    SHAPE,
    STRIDED_SLICE,
    SUB,
    TRANSPOSE,
)
from modelinspect.core.records import dataclass, field

FUSED = {RELU: 1, RELU_N1_TO_1: 2, RELU6: 3}
"""The activations that another operator can apply, and their numbers in ActivationFunctionType."""
_MOST_AXES = 4
"""The axes that operators of two tensors can broadcast over."""
PAIRED = frozenset((ADD, DIV, MAXIMUM, MINIMUM, MUL, SUB))
"""What works on pairs of elements and is moved before two equal reshapes."""


@dataclass(slots=True)
class Moves:
    """Rules that need no weights; what is taken into another operator is ``gone``."""

    network: Network
    makers: dict[int, Op] = field(default_factory=dict)
    uses: Counter[int] = field(default_factory=Counter)
    gone: set[int] = field(default_factory=set)
    takers: dict[int, list[Op]] = field(default_factory=dict)

    def maker(self, value: Value | None) -> Op | None:
        """Return what makes a value that nothing else takes."""
        return self.makers.get(id(value)) if value is not None and self.uses[id(value)] == 1 else None

    def give(self, op: Op, value: Value | None) -> None:
        """Let an operator take another first input."""
        op.inputs[0] = value
        self.takers.setdefault(id(value), []).append(op)

    def leave(self, op: Op, before: Op) -> None:
        """Drop an operator whose inputs another takes now instead of its output, unless others take that."""
        self.uses[id(before.output)] -= 1
        if not self.uses[id(before.output)]:
            self.gone.add(id(before))
            return
        for value in before.inputs:
            self.uses[id(value)] += 1
            self.takers.setdefault(id(value), []).append(op)

    def take_in(self, first: Op, second: Op, location: Location) -> None:
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
        self.replace(op, given)
        return True

    def drop_again(self, op: Op) -> bool:
        """Drop a ReLU of the same ReLU."""
        maker = self.makers.get(id(op.inputs[0])) if op.code in FUSED else None
        if maker is None or maker.code != op.code or op.inputs[0] is None:
            return False
        self.replace(op, op.inputs[0])
        return True

    def replace(self, op: Op, given: Value) -> None:
        """Give the users of an operator its input instead of its output."""
        self.gone.add(id(op))
        self.uses[id(given)] += self.uses[id(op.output)] - 1
        for each in self.takers.get(id(op.output), ()):
            each.inputs = [given if value is op.output else value for value in each.inputs]
            self.takers.setdefault(id(given), []).append(each)
        self.network.outputs = [
            (name, given if value is op.output else value) for name, value in self.network.outputs
        ]

    def is_product(self, value: Value) -> bool:
        """Return whether a matrix product makes a value, before or after its bias is added."""
        maker = self.maker(value)
        if maker is not None and maker.code == ADD and maker.inputs[1] is not None:
            maker = self.maker(maker.inputs[0]) if maker.inputs[1].constant is not None else None
        return maker is not None and maker.code == FULLY_CONNECTED and not maker.activation

    def drop_before_product(self, op: Op) -> bool:
        """Let a product take what is only given fewer axes before it, if all lengths are known."""
        reshape = self.maker(op.inputs[0]) if op.code == FULLY_CONNECTED else None
        given = reshape.inputs[0] if reshape is not None and reshape.code == RESHAPE else None
        weight = op.inputs[1] if reshape is not None else None
        if given is None or reshape is None or weight is None or min(given.shape, default=-1) < 0:
            return False
        if op.options is None or op.options.number("keep_num_dims") or len(op.output.shape) != 2:
            return False
        if given.shape[-1] != weight.shape[-1] or len(given.shape) < len(reshape.output.shape):
            return False
        self.give(op, given)
        self.gone.add(id(reshape))
        return True

    def keep_axes(self, op: Op) -> bool:
        """Let a product keep the axes of what it takes where its result is reshaped, if all are known."""
        product = self.maker(op.inputs[0]) if op.code == RESHAPE else None
        given = product.inputs[0] if product is not None and product.code == FULLY_CONNECTED else None
        if product is None or given is None or product.options is None or len(given.shape) < 3:
            return False
        shape = (*given.shape[:-1], product.output.shape[-1])
        if min(given.shape) < 0 or len(product.output.shape) > 2 or prod(shape) != prod(op.output.shape):
            return False
        product.options.set(keep_num_dims=True)
        if shape == op.output.shape:
            self.take_in(product, op, op.output.location)
        else:
            product.output.shape = shape
        return True

    def move_before_reshape(self, op: Op) -> bool:
        """Compute with a constant of every channel, or with one number, before a reshape."""
        reshape = self.maker(op.inputs[0])
        if (
            reshape is None
            or reshape.code != RESHAPE
            or reshape.inputs[0] is None
            or reshape.inputs[1] is None
        ):
            return False
        before, after, other = reshape.inputs[0], reshape.output, op.inputs[1] if len(op.inputs) > 1 else None
        if op.code not in PAIRED or other is None or reshape.inputs[1].constant is None:
            return False
        if max(len(before.shape), len(after.shape)) > _MOST_AXES:
            return False
        is_number = other.constant is not None and not other.shape
        if op.code == ADD and (flat := _joined(other, before, after)) is not None:
            other, is_number = flat, self.is_product(before)
        if not is_number and before.shape[-1:] != after.shape[-1:]:
            return False
        if other.constant is None or len(other.shape) > 1 or op.output.shape != after.shape:
            return False
        location = fused(op.output.location, reshape.inputs[1].location, after.location)
        # a constant that equals others has an empty name here
        location = fused(location, other.location or ("",) if op.code == MUL else other.location)
        inner, outer = Value(before.shape, location), op.output
        outer.location = location
        changed = Op(op.code, [before, other], [inner], op.options, op.number)
        moved = Op(RESHAPE, [inner, reshape.inputs[1]], [outer], reshape.options, reshape.number)
        for old, new in ((reshape, changed), (op, moved)):
            old.code, old.inputs, old.outputs = new.code, new.inputs, new.outputs
            old.options, old.number = new.options, new.number
        self.makers[id(inner)], self.makers[id(outer)] = reshape, op
        self.uses[id(inner)] = 1
        self.takers.setdefault(id(before), []).append(reshape)
        self.takers[id(inner)] = [op]
        return True

    def move_pair_before_reshapes(self, op: Op) -> bool:
        """Do what is done with the elements of two tensors before both are reshaped in the same way."""
        if op.code not in PAIRED or len(op.inputs) != 2 or op.inputs[0] is op.inputs[1]:
            return False
        first, second = (self.maker(value) for value in op.inputs)
        if first is None or second is None or first.code != RESHAPE or second.code != RESHAPE:
            return False
        one, other, target, same = first.inputs[0], second.inputs[0], first.inputs[1], second.inputs[1]
        if (
            one is None
            or other is None
            or target is None
            or same is None
            or target.constant is None
            or same.constant is None
        ):
            return False
        if (
            one.shape != other.shape
            or target.constant.key != same.constant.key
            or op.output.shape != first.output.shape
        ):
            return False
        location = fused(
            op.output.location, target.location, first.output.location, same.location, second.output.location
        )
        inner, outer = Value(one.shape, location), op.output
        outer.location = location
        early = next(each for each in self.network.ops if each is first or each is second)
        late = second if early is first else first  # both inputs are there once the later reshape is reached
        shaping = first.options, first.number, first.version
        self.gone.add(id(early))
        late.code, late.inputs, late.outputs = op.code, [one, other], [inner]
        late.options, late.number, late.version = op.options, op.number, op.version
        op.code, op.inputs = RESHAPE, [inner, target]
        op.options, op.number, op.version = shaping
        self.makers[id(inner)] = late
        self.uses[id(inner)] = 1
        self.takers.setdefault(id(one), []).append(late)
        self.takers.setdefault(id(other), []).append(late)
        self.takers[id(inner)] = [op]
        return True

    def join_reshapes(self, op: Op) -> bool:
        """Reshape once where it was done twice."""
        if op.code != RESHAPE or op.inputs[0] is None:
            return False
        if op.inputs[0].shape == op.output.shape and op.output.shape[0] > 0:
            self.replace(op, op.inputs[0])
            return True
        inner = self.makers.get(id(op.inputs[0]))
        if inner is None or inner.code != RESHAPE or id(inner) in self.gone:
            return False
        given = inner.inputs[0]
        if (
            given is not None and given.shape == op.output.shape and given.shape[0] > 0
        ):  # of an unknown batch the shapes do not say
            self.replace(op, given)
            self.uses[id(given)] -= self.uses[id(inner.output)] == 1
        else:
            self.give(op, given)
            if op.is_reshape:
                op.output.location = fused(op.output.location, inner.output.location)
        self.uses[id(inner.output)] -= 1
        if not self.uses[id(inner.output)]:
            self.gone.add(id(inner))
        elif inner.inputs[0] is not None:
            self.uses[id(inner.inputs[0])] += 1
        return True

    def join_transposes(self, op: Op) -> bool:
        """Exchange axes once where it was done twice, or not at all where the second takes back the first."""
        inner = self.makers.get(id(op.inputs[0])) if op.code == TRANSPOSE else None
        if inner is None or inner.code != TRANSPOSE or id(inner) in self.gone or inner.inputs[0] is None:
            return False
        first, second = axes_of(inner), axes_of(op)
        if first is None or second is None or len(first) != len(second):
            return False
        order = [first[axis] for axis in second]
        if order != sorted(first):
            taken = (op.output, inner.inputs[1], inner.output, op.inputs[1])
            op.output.location = fused(*(value.location for value in taken if value is not None))
            op.inputs = [inner.inputs[0], integers(order, op.output.location)]
            self.leave(op, inner)
            return True
        self.replace(op, inner.inputs[0])
        self.uses[id(inner.output)] -= 1
        if not self.uses[id(inner.output)]:
            self.gone.add(id(inner))
            self.uses[id(inner.inputs[0])] -= 1
        return True

    def multiply_transposed(self, op: Op) -> bool:
        """Let a product of tensors exchange the last two axes of what it takes."""
        if op.code != BATCH_MATMUL or op.options is None:
            return False
        for place, name in ((1, "adj_y"), (0, "adj_x")):
            inner = self.maker(op.inputs[place])
            order = axes_of(inner) if inner is not None and inner.code == TRANSPOSE else None
            if inner is None or order is None or inner.inputs[1] is None:
                continue
            rank = len(order)
            if order != [*range(rank - 2), rank - 1, rank - 2]:
                continue
            op.output.location = fused(op.output.location, inner.inputs[1].location, inner.output.location)
            op.options.set(**{name: not op.options.values.get(name, False)})
            op.inputs[place] = inner.inputs[0]
            self.takers.setdefault(id(inner.inputs[0]), []).append(op)
            self.gone.add(id(inner))
            return True
        return False

    def take_shape(self, op: Op) -> bool:
        """Take the shape of a tensor where it is packed again from its first length and what is known of the
        others.
        """
        first = self.makers.get(id(op.inputs[0])) if op.code == PACK and op.inputs else None
        shape = (
            self.makers.get(id(first.inputs[0]))
            if first is not None and first.code == STRIDED_SLICE
            else None
        )
        given = shape.inputs[0] if shape is not None and shape.code == SHAPE else None
        if first is None or shape is None or given is None or len(given.shape) != len(op.inputs):
            return False
        begin, end = (value.vector if value is not None else None for value in first.inputs[1:3])
        if begin is None or end is None or begin.tolist() != [0] or end.tolist() != [1]:
            return False
        lengths = [value.vector if value is not None else None for value in op.inputs[1:]]
        if any(each is None or each.size != 1 for each in lengths):
            return False
        if [int(each.reshape(-1)[0]) for each in lengths if each is not None] != list(given.shape[1:]):
            return False
        self.replace(op, shape.output)
        self.uses[id(first.output)] -= 1
        if not self.uses[id(first.output)]:
            self.gone.add(id(first))
            self.uses[id(shape.output)] -= 1
        return True

    def drop_own_shape(self, op: Op) -> bool:
        """Drop a reshape to the shape that its input has (canonicalize.td, ReshapeToSelfShape)."""
        shape = self.makers.get(id(op.inputs[1])) if op.code == RESHAPE and len(op.inputs) > 1 else None
        if (
            shape is None
            or shape.code != SHAPE
            or op.inputs[0] is None
            or shape.inputs[0] is not op.inputs[0]
        ):
            return False
        self.replace(op, op.inputs[0])
        self.uses[id(shape.output)] -= 1
        return True

    def reshape_instead(self, op: Op) -> bool:
        """Reshape where an exchange of axes only moves those of size one."""
        order, given = (axes_of(op), op.inputs[0]) if op.code == TRANSPOSE else (None, None)
        if order is None or given is None or op.inputs[1] is None or min(given.shape) <= 0:
            return False
        moved = [axis for axis in order if given.shape[axis] != 1]
        if moved != sorted(moved):
            return False
        location = fused(op.output.location, op.inputs[1].location)
        op.output.location = location
        op.code, op.options, op.number = RESHAPE, None, 0
        op.inputs[1] = integers(op.output.shape, location)
        op.inputs[1].origin = op.output.origin
        return True


def _joined(other: Value, before: Value, after: Value) -> Value | None:
    """Return the constant that is added to the last axes of a reshaped tensor as one for the axis that these
    were before, if all lengths are known.
    """
    numbers, axes = other.vector, len(other.shape)
    if numbers is None or axes < 2 or min(before.shape + after.shape) < 0:
        return None
    if other.shape != after.shape[-axes:] or before.shape != (*after.shape[:-axes], numbers.size):
        return None
    return floats(numbers.reshape(-1), other.location)


def axes_of(op: Op) -> list[int] | None:
    """Return the order of axes that a transposition makes."""
    order = op.inputs[1].vector if len(op.inputs) > 1 and op.inputs[1] is not None else None
    given = op.inputs[0]
    if order is None or given is None or sorted(order.tolist()) != list(range(len(given.shape))):
        return None
    return [int(axis) for axis in order]
