"""An artifact with all that was measured of it: what every analysis, rule and prediction looks at."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import TensorId
from modelinspect.core.limits import Limits
from modelinspect.core.names import KEY_END
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.errors import InvariantError
from modelinspect.measure.blocks import Reading
from modelinspect.measure.facts import Measurements, TensorMeasure
from modelinspect.measure.free import HiddenReport
from modelinspect.networks.kernels import frozen_masks, is_kernel
from modelinspect.networks.names import canonical_name, is_bias
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import percent
from modelinspect.sources.files import FileSet

if TYPE_CHECKING:
    from modelinspect.networks.channels.removal import Removal

MODEL_ROLES = frozenset((Role.WEIGHT, Role.STATISTIC, Role.CONSTANT, Role.OTHER))
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Subject:
    """An artifact, and what is known of it beyond its structure.

    ``measurements`` are None where no weights were read, ``hidden`` where free space was not looked at,
    ``sizes`` are the bytes of each category, ``removal`` is what the network can do without (None where
    nothing is dead, or where it is unknown how its layers are connected), ``open_files`` are there while the
    artifact is open, and ``comparison`` where it is compared with one before it.
    """

    artifact: Artifact
    measurements: Measurements | None = None
    sizes: Mapping[Category, int] = field(default_factory=dict)
    hidden: HiddenReport | None = None
    removal: Removal | None = None
    open_files: FileSet | None = None
    limits: Limits = field(default_factory=Limits)
    comparison: Comparison | None = None
    _made: dict[Callable[[Any], object], object] = field(default_factory=dict, repr=False)
    _names: dict[TensorId, str] = field(default_factory=dict, repr=False)

    @property
    def files(self) -> FileSet:
        """The artifact's open files. Raises `InvariantError` where they are closed."""
        if self.open_files is None:
            raise InvariantError("the artifact's files are closed")
        return self.open_files

    @cached_property
    def reading(self) -> Reading:
        """What readers of elements need."""
        return Reading(self.files, self.limits, bytearray())

    def once(self, make: Callable[[Subject], _T]) -> _T:
        """Return what a function makes of the subject, and make it only once."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("_T", self._made[make])

    @property
    def size(self) -> int:
        """The artifact's size in bytes."""
        return self.artifact.size

    @property
    def is_file(self) -> bool:
        """Whether the artifact is one file."""
        return len(self.artifact.members) == 1 and self.files.primary is not None

    @property
    def is_in_archive(self) -> bool:
        """Whether the artifact is inside an archive (gzip, zip, tar)."""
        return "wrapped_in" in self.artifact.facts

    @property
    def file_name(self) -> str:
        """The name of the artifact's file or folder, without the folders above it."""
        return self.artifact.location.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def shell_name(self) -> str:
        """The same as a shell reads it."""
        return shlex.quote(self.file_name)

    def tensor(self, tensor: TensorId) -> Tensor:
        """Return a tensor of the artifact."""
        return self.artifact.tensors[tensor]

    def canonical_name(self, tensor: TensorId) -> str:
        """Return a tensor's name without its writer's decoration."""
        name = self._names.get(tensor)
        if name is None:
            name = self._names[tensor] = canonical_name(self.artifact.tensors[tensor])
        return name

    def fingerprint(self, tensor: TensorId) -> str | None:
        """Return the fingerprint of the elements, None where there is none that distinguishes tensors."""
        if self.measurements is None:
            return None
        measure = self.measurements[tensor]
        if (
            measure.fingerprint is None
            or not measure.element_count
            or measure.zero_count == measure.element_count
        ):
            return None
        return measure.fingerprint

    def share(self, size: int) -> str:
        """Return bytes as a percentage of the artifact."""
        return percent(size, self.artifact.size)

    def measured(self) -> Iterator[tuple[Tensor, TensorMeasure]]:
        """Yield the tensors of the model itself whose zeros were counted."""
        if self.measurements is not None:
            for index, tensor in enumerate(self.artifact.tensors):
                if tensor.role in MODEL_ROLES and self.measurements[TensorId(index)].measured:
                    yield tensor, self.measurements[TensorId(index)]

    def kernels(self) -> Iterator[tuple[Tensor, TensorMeasure]]:
        """Yield those that are kernels: matrices and more axes of numbers that a network multiplies by.

        Not masks that were frozen into a graph, constants that are stored as one element, biases, or whole
        numbers that say how something is computed (paddings, axes, bit widths).
        """
        masks = {id(self.artifact.tensors[index]) for index in frozen_masks(self.artifact, self.measurements)}
        for tensor, measure in self.measured():
            is_splat = tensor.storage is Storage.INLINE and tensor.stored_size < tensor.logical_size
            if (
                is_kernel(tensor)
                and id(tensor) not in masks
                and not is_splat
                and not is_bias(self.name(tensor))
            ):
                yield tensor, measure

    def name(self, tensor: Tensor) -> str:
        """Return what people call a tensor."""
        return tensor.name.removesuffix(KEY_END)

    def of_role(self, role: Role) -> list[Tensor]:
        """Return the tensors of a role."""
        return [tensor for tensor in self.artifact.tensors if tensor.role is role]

    def kernel_zeros(self) -> tuple[int, int]:
        """Return the zeros and all elements of the model's measured kernels."""
        kernels = [(tensor, measure) for tensor, measure in self.kernels() if tensor.role is not Role.OTHER]
        return sum(measure.zero_count or 0 for _, measure in kernels), sum(
            tensor.element_count for tensor, _ in kernels
        )

    def weights(self) -> Iterator[tuple[TensorId, Tensor]]:
        """Yield the tensors of the model itself, without what is neither weight nor constant."""
        for index, tensor in enumerate(self.artifact.tensors):
            if tensor.role in (Role.WEIGHT, Role.STATISTIC, Role.CONSTANT):
                yield TensorId(index), tensor


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is known of an artifact that is compared with one before it.

    ``equal`` of the ``compared`` tensors of the model, which both sides have, have the same elements.
    """

    before: Subject
    equal: int
    compared: int

    def locations(self, after: Subject) -> dict[str, str]:
        """Return where both artifacts are, as a shell reads it."""
        return {
            "before": shlex.quote(self.before.artifact.location),
            "after": shlex.quote(after.artifact.location),
        }
