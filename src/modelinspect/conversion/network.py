"""A network while it is converted: values, constants and operators, each with the locations that give tensors
their names.

A location is the names of the operators of TensorFlow that a value comes from; operators that are fused join
theirs (FusedLoc in MLIR), and the tensor's name is all of them (OpOrArgLocNameMapper).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.operators import BOOL, FLOAT32, INT32
from modelinspect.conversion.tree import Node
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Tensor
from modelinspect.measure.kept import Factors, Held, Layout

Location = tuple[str, ...]
Shape = tuple[int, ...]
UNKNOWN: Location = ()
"""The location of constants that the converter made itself: they are named ``arith.constant``."""
MARK = "@"
"""What no name of a node has in it: it is before the number of a call, and all of a name that is lost."""
LATE = -1
"""The origin of constants that are made so late that, of equal ones, the first keeps its location."""
Array = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Kernel:
    """The weights of a matrix product or a convolution, which are not held: where they are, how they lie, and
    what is multiplied into them.

    ``columns`` are those of the tensor that it is made of, where it is not all of it.
    """

    tensor: Held
    layout: Layout
    factors: Factors = field(default_factory=Factors)
    columns: tuple[int, int] | None = None

    def times(self, factors: Factors) -> Kernel:
        """Return the kernel with more factors."""
        return Kernel(self.tensor, self.layout, self.factors.times(factors), self.columns)


@dataclass(slots=True, eq=False)
class Constant:
    """Elements that are stored: those of short vectors in ``values``, of kernels after ``kernel``.

    ``owner`` identifies the variable that they are read from: of two constants of one variable, the location
    of the first stays.
    """

    size: int
    values: NDArray[np.generic] | None = None
    kernel: Kernel | None = None
    key: object = None
    owner: object = None

    def is_all(self, number: float) -> bool:
        """Return whether every element is known to be a number."""
        return self.values is not None and bool((self.values == number).all())


@dataclass(slots=True, eq=False)
class Value:
    """What an operator takes or makes: its whole shape (-1: the batch), its type, its location.

    ``is_variable`` means that it keeps what an operator writes into it, and starts with zeros; ``origin``
    which function it was in that became part of the network, if it is one of several. ``stage`` and ``made``
    tell when the converter makes a constant (`modelinspect.conversion.passes.order`): in which stage, and in
    which turn of a pass, after how many others; -1 and 0 where that is not decided.
    """

    shape: tuple[int, ...]
    location: Location
    kind: int = FLOAT32
    constant: Constant | None = None
    is_variable: bool = False
    origin: int = 0
    stage: int = -1
    made: tuple[int, int] = (0, 0)

    @property
    def vector(self) -> Array | None:
        """The elements of a constant that are known."""
        return (
            None
            if self.constant is None or self.constant.values is None
            else self.constant.values.astype(np.float32)
        )


@dataclass(slots=True, eq=False)
class Op:
    """An operator: its code in schema.fbs, its inputs (None: left out), what it makes, and its options with
    their number in the union.

    ``is_scaled`` means that a convolution's kernel took in factors before anything else was done.
    ``turn`` is the last turn of a pass that changed it, ``is_unsettled`` that what it took is computed in the
    next one.
    ``is_reshape`` means that tracing wrote it as a reshape, and not as another change of the shape; in the
    passes, of another reshape. ``is_traced`` means that the graph itself has an exchange of axes.
    ``networks`` are what a loop runs: the last inputs, ``captured`` of them, are constants that these take,
    and not the operator itself.
    """

    code: int
    inputs: list[Value | None]
    outputs: list[Value]
    options: Node | None = None
    number: int = 0
    version: int = 1
    is_scaled: bool = False
    networks: tuple[Network, ...] = ()
    captured: int = 0
    is_reshape: bool = False
    is_traced: bool = False
    turn: int = 0
    is_unsettled: bool = False

    @property
    def output(self) -> Value:
        """What it makes, the first of it."""
        return self.outputs[0]

    @property
    def activation(self) -> int:
        """The activation that is fused into it; 0: none."""
        return 0 if self.options is None else self.options.number("fused_activation_function")


@dataclass(slots=True)
class Network:
    """A network that grows: its operators in the order in which they run.

    ``ghosts`` are constants of operators that are computed away; constants that equal one lose their
    location. ``lasting`` are constants that become options late, and loops take those that they have too.
    ``beginning`` are the constants that are where the function begins, in order.
    ``captures`` are a loop's constants of the network around it. ``is_rough`` means that an operator is
    guessed, so the shapes of what follows it may not fit. ``named`` are values with a constant whose location
    they took in: it is empty there where the constant loses it. ``unbiased`` are the locations that matrix
    products had before anything was fused, which is where a bias is that they do not have.
    """

    ops: list[Op] = field(default_factory=list)
    name: str = "main"
    ghosts: list[Value] = field(default_factory=list)
    lasting: list[Value] = field(default_factory=list)
    captures: list[Value] = field(default_factory=list)
    is_rough: bool = False
    named: list[tuple[Value, Value, Location]] = field(default_factory=list)
    inputs: list[tuple[str, Value]] = field(default_factory=list)
    outputs: list[tuple[str, Value]] = field(default_factory=list)
    beginning: list[Value] = field(default_factory=list)
    unbiased: dict[int, Location] = field(default_factory=dict)

    def add(
        self,
        code: int,
        inputs: Sequence[Value | None],
        output: Value,
        options: Node | None = None,
        number: int = 0,
    ) -> Value:
        """Add an operator and return what it makes."""
        self.ops.append(Op(code, list(inputs), [output], options, number))
        return output

    def users(self) -> dict[int, list[Op]]:
        """Return the operators that take each value, by the identity of the value; what the network gives out
        is taken by none of them.
        """
        found: dict[int, list[Op]] = {}
        for op in self.ops:
            for value in op.inputs:
                if value is not None:
                    found.setdefault(id(value), []).append(op)
        return found


def shares_kernels(network: Network) -> bool:
    """Return whether several operators take one kernel: the names of their constants are known nearly, not
    exactly.
    """
    constants = [
        value.constant
        for op in network.ops
        for value in op.inputs
        if value is not None and value.constant is not None
    ]
    kernels = [constant.key for constant in constants if constant.kernel is not None]
    return len(kernels) != len(set(kernels))


def floats(values: Array, location: Location) -> Value:
    """Return a constant of floats."""
    array = np.array(values, dtype="<f4")
    return Value(array.shape, location, FLOAT32, Constant(array.nbytes, array, key=array.tobytes()))


def integers(values: int | Sequence[int], location: Location) -> Value:
    """Return a constant of 32-bit integers."""
    array = np.array(values, dtype="<i4")
    return Value(array.shape, location, INT32, Constant(array.nbytes, array, key=array.tobytes()))


def booleans(values: NDArray[np.bool_], location: Location) -> Value:
    """Return a constant of truth values."""
    array = np.asarray(values, dtype=np.bool_)
    return Value(array.shape, location, BOOL, Constant(array.nbytes, array, key=array.tobytes()))


def kernel(tensor: Held, layout: Layout, shape: tuple[int, ...], location: Location) -> Value:
    """Return the constant of a kernel, ``shape`` being the one that TFLite gives it."""
    key: object = id(tensor) if isinstance(tensor, Tensor) else (layout, tensor.tobytes())
    if layout.inputs == 0:  # a matrix that is turned has other bytes than where it is taken as it is
        key = (key, layout.inputs)
    return Value(shape, location, FLOAT32, Constant(4 * prod(shape), None, Kernel(tensor, layout), key=key))


def fused(*locations: Location) -> Location:
    """Join locations; what is there already is not repeated, and what is unknown adds nothing."""
    return tuple(dict.fromkeys(name for location in locations for name in location))
