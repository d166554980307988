"""Name the datasets of an HDF5 file that no known writer of models made."""

from __future__ import annotations

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import ElementKind, Role
from modelinspect.encodings.hdf5.model import Dataset, Hdf5File
from modelinspect.encodings.walk import Walk
from modelinspect.formats.hdf5.elements import elements
from modelinspect.formats.hdf5.naming import Description


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
