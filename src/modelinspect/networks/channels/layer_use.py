"""One use of a layer of a Keras model: its settings, its variables, and the channels that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.networks.channels.builder import Builder, UnfollowedError
from modelinspect.networks.channels.wires import Wire
from modelinspect.networks.keras_variables import Parameter, items


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a layer."""

    builder: Builder
    layer: LayerConfig
    kind: str
    parameters: Sequence[Parameter]
    tensors: Mapping[int, TensorId]
    inputs: list[Wire]
    path: str

    @property
    def given(self) -> Wire:
        return self.inputs[0]

    @property
    def settings(self) -> Mapping[str, object]:
        return self.layer.settings

    @property
    def has_channels_first(self) -> bool:
        return (
            self.settings.get("data_format") == "channels_first" or self.settings.get("dim_ordering") == "th"
        )

    @property
    def padded(self) -> bool:
        return self.settings.get("padding", self.settings.get("border_mode", "valid")) != "valid"

    def find(self, name: str) -> TensorId | None:
        """Return a variable."""
        return next(
            (
                self.tensors[id(each.tensor)]
                for each in self.parameters
                if each.name == name and id(each.tensor) in self.tensors
            ),
            None,
        )

    def need(self, name: str) -> TensorId:
        """Return a variable that must be there."""
        found = self.find(name)
        if found is None:
            raise UnfollowedError(f"and its {name} is not found")
        return found

    def shape(self, tensor: TensorId) -> tuple[int, ...]:
        return self.builder.artifact.tensors[tensor].shape

    def number(self, key: str, default: float) -> float:
        value = self.settings.get(key, default)
        if not isinstance(value, int | float):
            raise UnfollowedError
        return float(value)

    def is_last(self, axis: object) -> bool:
        """Return whether an axis is the channels'."""
        many = items(axis)
        if many is not None:
            return len(many) == 1 and self.is_last(many[0])
        return isinstance(axis, int) and (axis == -1 or (self.given.rank > 0 and axis == self.given.rank - 1))
