"""Turn one call of a layer into operators: what every layer's rule needs, with the names that TensorFlow's
graph would have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.keras.mask import Mask
from modelinspect.conversion.network import UNKNOWN, Array, Location, Network, Shape, Value, floats, integers
from modelinspect.conversion.operators import FLOAT32, options
from modelinspect.core.records import dataclass, field
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.networks.keras_variables import Parameter, items

if TYPE_CHECKING:
    from modelinspect.conversion.graph.lowering import Lowering


class UnknownLayerError(Exception):
    """The rules do not know how this layer converts, or the setting of it that the message names."""


@dataclass(slots=True)
class Scopes:
    """Gives names as TensorFlow's graph does: one that is taken gets a number (Graph.unique_name)."""

    taken: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """Take a name and return what it becomes."""
        key = name.lower()
        count = self.taken.get(key, 0)
        self.taken[key] = count + 1
        if not count:
            return name
        made = key
        while made in self.taken:
            made = f"{key}_{count}"
            count += 1
        self.taken[made] = 1
        return f"{name}_{count - 1}"


@dataclass(slots=True)
class Call:
    """One use of a layer: its configuration, its variables, the scope of its operators, and what it is given.

    ``steps`` means that it is used at every step of a sequence. ``lowering`` makes operators of the nodes
    that layers write. ``arguments`` are the keyword arguments of this call, and ``node`` is the call as
    the configuration stores it. ``takes_masks`` means that a layer of the model may take a mask, ``masks``
    are those of values, by their identity. ``is_wired`` means that the configuration tells the masks that a
    layer of Keras 3 takes, as those of functional models do; ``masks_first`` are embeddings whose mask is
    computed before them.
    """

    network: Network
    scopes: Scopes
    keras: int
    layer: LayerConfig
    kind: str
    parameters: Sequence[Parameter]
    scope: str
    inputs: list[Value]
    lowering: Lowering
    arguments: Mapping[str, object] = field(default_factory=dict)
    node: object = None
    takes_masks: bool = True
    masks: dict[int, Mask] = field(default_factory=dict)
    is_wired: bool = False
    masks_first: frozenset[str] = frozenset()

    @property
    def given(self) -> Value:
        """The first input."""
        return self.inputs[0]

    @property
    def settings(self) -> Mapping[str, object]:
        """The layer's settings."""
        return self.layer.settings

    def parameter(self, name: str, rank: int | None = None) -> Parameter | None:
        """Return a variable by its name; where names are not stored, by its rank."""
        for each in self.parameters:
            if each.name == name:
                return each
        return (
            None
            if rank is None
            else next(
                (each for each in self.parameters if each.name.isdecimal() and len(each.shape) == rank), None
            )
        )

    def need(self, name: str) -> Parameter:
        """Return a variable that must be there."""
        found = self.parameter(name)
        if found is None:
            raise UnknownLayerError(f"no {name}")
        return found

    def at(self, *names: str) -> Location:
        """Return the location of operators of this layer."""
        return tuple(f"{self.scope}/{name}" if self.scope else name for name in names)

    def op(
        self,
        code: int,
        inputs: Sequence[Value | None],
        shape: Shape,
        name: str,
        settings: Mapping[str, int | float | bool] | None = None,
        kind: int = FLOAT32,
    ) -> Value:
        """Add an operator; return what it makes."""
        location = (self.scopes.unique(self.at(name)[0]),) if name else UNKNOWN
        node, number = options(code, settings or {})
        self.lowering.operations.add("")
        made = self.network.add(code, inputs, Value(shape, location, kind), node, number)
        if self.lowering.network is self.network:
            self.lowering.makers[id(made)] = self.network.ops[-1]
        return made

    def floats(self, values: Array | float, *names: str) -> Value:
        """Return a constant of floats."""
        value = floats(np.asarray(values, dtype=np.float32), self.at(*names))
        variable = next(
            (each for each in self.parameters if each.values is not None and each.values is values), None
        )
        if value.constant is not None and variable is not None:
            value.constant.owner = id(variable.tensor)
        return value

    def integers(self, values: int | Sequence[int], *names: str) -> Value:
        """Return a constant of whole numbers, which loses its name where an equal one is computed away."""
        made = integers(values, self.at(*names))
        if self.lowering.network is self.network:
            self.lowering.add_written(made)
        return made

    def number(self, key: str, default: int) -> int:
        """Return a setting that is a whole number."""
        value = self.settings.get(key, default)
        return value if isinstance(value, int) else default

    def real(self, key: str, default: float) -> float:
        """Return a setting that is a number."""
        value = self.settings.get(key)
        return float(value) if isinstance(value, int | float) else default

    def text(self, key: str, default: str = "") -> str:
        """Return a setting that is a word."""
        value = self.settings.get(key)
        return value if isinstance(value, str) else default

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a setting that is true or false."""
        value = self.settings.get(key)
        return value if isinstance(value, bool) else default

    def pair(self, key: str, default: int = 1) -> tuple[int, int]:
        """Return a setting that is one number or two."""
        value = self.settings.get(key, default)
        many = items(value)
        if many is not None and len(many) >= 2 and isinstance(many[0], int) and isinstance(many[1], int):
            return many[0], many[1]
        return (value, value) if isinstance(value, int) else (default, default)

    def single(self, key: str, default: int = 1) -> int:
        """Return a setting that is one number, or a list of one."""
        value = self.settings.get(key, default)
        many = items(value)
        if many and isinstance(many[0], int):
            return many[0]
        return value if isinstance(value, int) else default


Rule = Callable[[Call], Value]


def known(shape: Shape) -> Shape:
    """Return a shape whose lengths beside the batch are known. Raises `UnknownLayerError`."""
    if any(length < 0 for length in shape[1:]):
        raise UnknownLayerError("lengths that are not known")
    return shape


def vector(values: NDArray[np.float32] | None) -> Array:
    """Return elements that were read. Raises `UnknownLayerError`."""
    if values is None:
        raise UnknownLayerError("variables that cannot be read")
    return values


__all__ = ["Call", "Parameter", "Rule", "Scopes", "Shape", "UnknownLayerError", "items", "known", "vector"]
