"""What a mask of steps is to those that take it."""

from __future__ import annotations

from collections.abc import Callable

from modelinspect.conversion.network import Value
from modelinspect.core.records import dataclass, field


@dataclass(slots=True)
class Mask:
    """The steps that a layer masks; the nodes of it are written once a layer takes it.

    ``write`` writes them as the tensor has them at a call, ``wire`` as a model of Keras 3 is wired with them.
    """

    write: Callable[[], Value]
    wire: Callable[[], Value]
    _wired: list[Value] = field(default_factory=list)

    def wired(self) -> Value:
        """Return the mask that a model of Keras 3 is wired with, which it computes once."""
        if not self._wired:
            self._wired.append(self.wire())
        return self._wired[0]
