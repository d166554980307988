"""What a format has to say about an HDF5 file: kinds of attributes, and what each dataset is."""

from __future__ import annotations

from typing import Protocol

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role
from modelinspect.encodings.hdf5.model import Dataset, Hdf5File
from modelinspect.encodings.walk import Walk


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
