"""Walks HDF5 bytes with a policy that says little, and keeps what the walk said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import ByteMap, RegionKind, TensorId
from modelinspect.core.claims import BuiltMap
from modelinspect.core.limits import Limits
from modelinspect.encodings.hdf5 import walk_hdf5
from modelinspect.encodings.hdf5.model import Attribute, Dataset, Hdf5File
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.sources.base import MemorySource


class PlainPolicy:
    """Attributes are metadata; datasets are tensors in the order of their paths in the walk."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.surveyed = 0

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        return RegionKind.METADATA

    def survey(self, file: Hdf5File) -> None:
        self.surveyed += 1

    def dataset(self, dataset: Dataset) -> TensorId:
        self.paths.append(dataset.path)
        return TensorId(len(self.paths) - 1)


@dataclass
class Walked:
    """A walked file: its facts, its map, and the trouble."""

    file: Hdf5File
    built: BuiltMap
    walk: Walk
    policy: PlainPolicy
    reports: list[FormatError] = field(default_factory=list)

    @property
    def map(self) -> ByteMap:
        return self.built.map

    def sizes(self) -> dict[RegionKind, int]:
        return self.map.kind_sizes()

    @property
    def clean(self) -> bool:
        return (
            not self.reports and not self.built.collision_count and not self.sizes()[RegionKind.UNATTRIBUTED]
        )

    def attributes(self) -> Iterator[tuple[str, Attribute]]:
        for thing in (*self.file.groups, *self.file.datasets, *self.file.datatypes):
            for attribute in thing.attributes.values():
                yield thing.path, attribute


def walk_bytes(data: bytes, limits: Limits | None = None) -> Walked:
    """Walk a file that is in memory. Raises `FormatError`."""
    limits = limits or Limits()
    source = MemorySource(data, "test.h5")
    claims = ByteMapBuilder("test.h5", len(data), limits)
    policy = PlainPolicy()
    reports: list[FormatError] = []
    walk = Walk(source, claims, limits, reports.append)
    file = walk_hdf5(walk, policy)
    return Walked(file, claims.build(), walk, policy, reports)
