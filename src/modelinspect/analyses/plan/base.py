"""Says what an option is and what computing one may look at."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Role, Tensor
from modelinspect.measure.blocks import Reading
from modelinspect.measure.facts import Measurements
from modelinspect.sources.files import FileSet

Progress = Callable[[int, int], None]

MOST_ERROR = 0.02
"""The largest stated error, as a fraction of the size, with which an estimate is told."""


class Basis(StrEnum):
    """How a size is known."""

    MEASURED = "measured"
    EXACT = "exact"
    ESTIMATE = "estimate"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Option:
    """A way to make an artifact smaller; ``error`` is what an estimate is off by at the most, as a fraction."""

    option: str
    size: int
    basis: Basis
    lossless: bool
    loads_as: str
    command: str
    notes: str = ""
    error: float | None = None
    download_size: int | None = None


@dataclass
class Planning:
    """The artifact whose files are open, and what families of options leave for others: warnings, and what they could not tell.

    ``reached`` is the smallest size that a family before measured; ``downloads`` asks what forms are once they are gzipped;
    ``prefixes`` has what the bytes before an offset of a large file deflate to.
    """

    artifact: Artifact
    files: FileSet
    limits: Limits
    measurements: Measurements | None
    progress: Progress | None = None
    wanted: frozenset[str] = frozenset()
    warnings: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    reached: int | None = None
    downloads: bool = True
    prefixes: dict[int, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The artifact's size."""
        return self.artifact.size

    def wants(self, *options: str) -> bool:
        """Tell whether any of these options is asked for."""
        return not self.wanted or any(option in self.wanted for option in options)

    @cached_property
    def reading(self) -> Reading:
        """What readers of elements need."""
        return Reading(self.files, self.limits, bytearray())

    @property
    def is_file(self) -> bool:
        """Tell whether the artifact is one file."""
        return len(self.artifact.members) == 1 and self.files.primary is not None

    @property
    def is_wrapped(self) -> bool:
        """Tell whether the artifact stands within an archive (gzip, zip, tar)."""
        return "wrapped_in" in self.artifact.facts

    @property
    def name(self) -> str:
        """The name of the artifact's file or folder, without the way to it."""
        return self.artifact.location.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def file(self) -> str:
        """The artifact's name as a shell reads it."""
        return shlex.quote(self.name)

    def weights(self) -> Iterator[tuple[TensorId, Tensor]]:
        """Yield the tensors of the model itself."""
        for index, tensor in enumerate(self.artifact.tensors):
            if tensor.role in (Role.WEIGHT, Role.STATISTIC, Role.CONSTANT):
                yield TensorId(index), tensor

    def of_role(self, role: Role) -> list[Tensor]:
        """Return the tensors of a role."""
        return [tensor for tensor in self.artifact.tensors if tensor.role is role]


@dataclass(frozen=True, slots=True)
class Family:
    """Options that are computed together; ``reads_weights`` tells that they cannot be computed from the structure alone."""

    options: tuple[str, ...]
    find: Callable[[Planning], Iterator[Option]]
    reads_weights: bool = True
    formats: frozenset[FormatName] = frozenset(FormatName)
