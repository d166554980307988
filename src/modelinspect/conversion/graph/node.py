"""One node of TensorFlow's graph while it becomes operators: what it takes, its attributes, and what it
makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.graph.reader import Step
from modelinspect.conversion.network import Constant, Location, Network, Op, Shape, Value, kernel
from modelinspect.conversion.operators import BOOL, FLOAT32, INT32, INT64, UINT8, options
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import Tensor
from modelinspect.formats.graph.data_types import data_type
from modelinspect.measure.blocks import Reading
from modelinspect.measure.kept import Layout, slabs

MOST_ELEMENTS = 1 << 20
"""Constants of more elements are not computed with."""
KINDS = {"float32": FLOAT32, "int32": INT32, "int64": INT64, "uint8": UINT8, "bool": BOOL}
_TYPES = {FLOAT32: "<f4", INT32: "<i4", INT64: "<i8", UINT8: "|u1", BOOL: "?"}
Key = tuple[int, Shape, bytes]
Elements = NDArray[np.generic]


_SHORT = 1 << 12
"""Tables of more elements are not looked at for zeros: biases of attention have as many as its heads take."""
MOST_WORK = 1 << 26
"""So many elements of constants are computed with in all."""


class UnknownNodeError(Exception):
    """The rules do not know how this node converts."""


@dataclass(slots=True)
class Budget:
    """How many elements of constants may still be read or computed."""

    left: int = MOST_WORK

    def spend(self, count: int) -> None:
        """Take elements off. Raises `UnknownNodeError` where there are none left."""
        self.left -= count
        if self.left < 0:
            raise UnknownNodeError("computes with more constants than any network has")


@dataclass(slots=True, eq=False)
class Held:
    """A constant before an operator takes it: its elements, or the tensor that they are read from."""

    shape: Shape
    kind: int
    location: Location
    tensor: Tensor | None = None
    elements: Elements | None = None
    is_written: bool = False
    """Tells that the graph itself has it as a constant, which is neither computed nor a variable."""
    taken: Value | None = None
    budget: Budget | None = None
    turned_of: Tensor | None = None
    """The matrix in the file whose rows are its columns."""
    recipe: bytes = b""
    """What it is computed from, if variables are among it: of equal ones the first keeps its location."""

    def array(self, reading: Reading) -> Elements:
        """Return the elements. Raises `UnknownNodeError` where they are too many."""
        if self.elements is None:
            count = prod(self.shape)
            if self.tensor is None or count > MOST_ELEMENTS or self.tensor.element_count != count:
                raise UnknownNodeError("computes with too large a constant")
            if self.budget is not None:
                self.budget.spend(count)
            runs = [run.reshape(-1) for run in slabs(self.tensor, reading, Layout(1, count))]
            whole = np.concatenate(runs) if runs else np.zeros(0, np.float32)
            self.elements = whole.astype(_TYPES[self.kind])
        return self.elements.reshape(self.shape)

    def source(self) -> Tensor | NDArray[np.float32]:
        """Return where a kernel of floats has its elements. Raises `UnknownNodeError`."""
        if self.tensor is not None:
            return self.tensor
        if self.elements is None or self.kind != FLOAT32:
            raise UnknownNodeError("a kernel whose elements are not known")
        return np.ascontiguousarray(self.elements, np.float32)

    def value(self, reading: Reading) -> Value:
        """Return it as an operator takes it: short ones with their elements."""
        if self.taken is None:
            self.taken = self._value(reading)
        return self.taken

    def _value(self, reading: Reading) -> Value:
        if self.kind not in _TYPES:
            raise UnknownNodeError("takes a constant of another type")
        if (
            self.elements is None
            and self.tensor is not None
            and len(self.tensor.shape) > 1
            and prod(self.shape) != max(self.shape, default=1)
            and not self._is_zeros(reading)
        ):
            layout = Layout(prod(self.shape[:-1]), self.shape[-1], None)
            value = kernel(self.tensor, layout, self.shape, self.location)
            if value.constant is not None:
                value.constant.owner = id(self.tensor)
            return value
        array = np.ascontiguousarray(self.array(reading).astype(_TYPES[self.kind]))
        owner = self.recipe or (None if self.tensor is None else id(self.tensor))
        return Value(
            self.shape,
            self.location,
            self.kind,
            Constant(array.nbytes, array, key=array.tobytes(), owner=owner),
        )

    def _is_zeros(self, reading: Reading) -> bool:
        """Return whether a short constant is all zeros: sums with it are dropped."""
        if self.kind != FLOAT32 or self.tensor is None or prod(self.shape) > _SHORT:
            return False
        return not replace(self, taken=None).array(reading).any()

    def key(self, reading: Reading) -> Key:
        """Return what it has in common with constants that are one with it to the converter."""
        return self.kind, self.shape, self.array(reading).astype(_TYPES[self.kind]).tobytes()


Item = Value | Held


@dataclass(slots=True)
class Node:
    """One node: ``inputs`` are values that are computed, or constants; ``gone`` are the constants that are
    computed away.

    ``makers`` are the operators by what they make, ``written`` the constants of the graph itself.
    """

    network: Network
    reading: Reading
    step: Step
    inputs: list[Item]
    gone: dict[Key, set[int]]
    budget: Budget
    makers: dict[int, Op]
    written: list[Held]

    @property
    def location(self) -> Location:
        """Where what it makes comes from."""
        return (self.step.location,)

    @property
    def given(self) -> Value:
        """The first input, which must be computed."""
        return self.computed(0)

    def computed(self, place: int) -> Value:
        """Return an input that is computed. Raises `UnknownNodeError`."""
        item = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(item, Value):
            raise UnknownNodeError("takes a constant where others take what is computed")
        return item

    def held(self, place: int) -> Held:
        """Return an input that is constant. Raises `UnknownNodeError`."""
        item = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(item, Held):
            raise UnknownNodeError("takes what is computed where others take a constant")
        return item

    def whole_numbers(self, place: int) -> list[int]:
        """Return the elements of an input that is a short constant of whole numbers; it is one that is
        computed away.
        """
        held = self.held(place)
        if prod(held.shape) > 64 or held.kind not in (INT32, INT64):
            raise UnknownNodeError("takes no short list of whole numbers")
        self.forget(held)
        return [int(number) for number in held.array(self.reading).reshape(-1)]

    def forget(self, held: Held) -> None:
        """Report a constant that is computed away: those of the graph that equal it lose their location."""
        is_number = held.kind in (INT32, INT64, BOOL) or (held.kind == FLOAT32 and not held.shape)
        if held.is_written and is_number and prod(held.shape) <= 64:
            self.gone.setdefault(held.key(self.reading), set()).add(id(held))

    def keep_late(self, held: Held) -> None:
        """Report a constant that becomes an option late: loops take it too, and equal ones lose names."""
        self.forget(held)
        self.network.lasting.append(replace(held, taken=None).value(self.reading))

    def value(self, place: int) -> Value:
        """Return an input as an operator takes it."""
        item = self.inputs[place] if place < len(self.inputs) else None
        if item is None:
            raise UnknownNodeError("takes less than others")
        return item if isinstance(item, Value) else item.value(self.reading)

    def op(
        self,
        code: int,
        inputs: Sequence[Value | None],
        shape: Shape,
        settings: Mapping[str, int | float | bool] | None = None,
        kind: int = FLOAT32,
    ) -> Value:
        """Add an operator; return what it makes."""
        node, number = options(code, settings or {})
        output = self.network.add(code, inputs, Value(shape, self.location, kind), node, number)
        self.makers[id(output)] = self.network.ops[-1]
        return output

    def several(
        self,
        code: int,
        inputs: Sequence[Value],
        shapes: Sequence[Shape],
        settings: dict[str, int | float | bool],
        kinds: Sequence[int],
    ) -> Value:
        """Add an operator of several outputs; return the first."""
        first = self.op(code, inputs, shapes[0], settings, kinds[0])
        op = self.network.ops[-1]
        rest = [Value(shape, self.location, kind) for shape, kind in zip(shapes[1:], kinds[1:], strict=True)]
        op.outputs = [first, *rest]
        self.makers.update((id(value), op) for value in rest)
        return first

    def constant(self, values: Any, kind: int = INT32) -> Value:
        """Return a constant that is where the node does."""
        array = np.asarray(values)
        return Held(array.shape, kind, self.location, None, array).value(self.reading)

    def told_shape(self) -> Shape | None:
        """Return the shape that the graph describes what it makes, None where it does not."""
        if "_output_shapes" not in self.step.attributes:
            return None
        shapes = self.step.attributes["_output_shapes"].list.shape
        if not shapes or shapes[0].unknown_rank:
            return None
        return tuple(int(dim.size) for dim in shapes[0].dim)

    def integers(self, key: str) -> list[int]:
        """Return an attribute that lists whole numbers."""
        return (
            [int(number) for number in self.step.attributes[key].list.i]
            if key in self.step.attributes
            else []
        )

    def number(self, key: str, default: int = 0) -> int:
        """Return an attribute that is a whole number."""
        return int(self.step.attributes[key].i) if key in self.step.attributes else default

    def element_type(self, key: str, default: int) -> int:
        """Return an attribute that is an element type. Raises `UnknownNodeError` for one without a rule."""
        if key not in self.step.attributes:
            return default
        name = data_type(self.step.attributes[key].type).name
        if name not in KINDS:
            raise UnknownNodeError("of another type")
        return KINDS[name]

    def real(self, key: str, default: float) -> float:
        """Return an attribute that is a number."""
        return float(self.step.attributes[key].f) if key in self.step.attributes else default

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return an attribute that is true or false."""
        return bool(self.step.attributes[key].b) if key in self.step.attributes else default

    def text(self, key: str, default: str = "") -> str:
        """Return an attribute that is a word."""
        return (
            self.step.attributes[key].s.decode(errors="replace") if key in self.step.attributes else default
        )


Rule = Callable[[Node], Item]
