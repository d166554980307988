"""What a format has to say about an HDF5 file: kinds of attributes, and what each dataset is; without a
format, datasets are named by their paths.
"""

from __future__ import annotations

from typing import Protocol

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ElementKind, Role
from modelinspect.encodings.hdf5.model import Dataset, Hdf5File
from modelinspect.encodings.walk import Walk
from modelinspect.formats.hdf5.elements import elements


@dataclass(frozen=True, slots=True)
class Description:
    """What a dataset is: the tensor's name, its role, its layer, and its path, the name where nothing else is
    given.
    """

    name: str
    role: Role
    layer: str | None = None
    path: str = ""


class Naming(Protocol):
    """What one format knows of the objects of an HDF5 file."""

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        """Return the kind of an attribute's data."""

    def survey(self, file: Hdf5File, walk: Walk) -> None:
        """Look at the whole file, once, before `describe` is called."""

    def describe(self, dataset: Dataset) -> Description:
        """Say what a dataset is; names that occur twice are distinguished by the caller."""


class GenericNaming:
    """Describes datasets by their paths; those of numbers count as weights."""

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        """Call every attribute metadata."""
        return RegionKind.METADATA

    def survey(self, file: Hdf5File, walk: Walk) -> None:
        """Learn nothing."""

    def describe(self, dataset: Dataset) -> Description:
        """Name a dataset by its path, its layer by its group's."""
        path = dataset.path.strip("/")
        kind = elements(dataset.datatype).dtype.kind
        role = Role.OTHER if kind in (ElementKind.STRING, ElementKind.OPAQUE) else Role.WEIGHT
        return Description(path, role, path.rpartition("/")[0] or None)
