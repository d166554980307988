"""Builds small artifacts by hand: every byte is known by construction."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelinspect.core.artifact import Artifact, Diagnostic, FormatName, Member
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact
from modelinspect.core.span import Span
from modelinspect.core.tensors import DTYPES, Extent, RawPayload, Role, Storage, Stream, Tensor, dense_size
from modelinspect.measure.facts import Measurements, TensorMeasure, unmeasured
from modelinspect.sources.files import MemoryFiles


@dataclass
class Build:
    """An artifact that grows region by region, one after another in each member.

    >>> build = Build()
    >>> build.region("header", 8, RegionKind.CONTAINER)
    >>> build.tensor("dense/kernel", (2, 2), data=np.zeros((2, 2), "<f4").tobytes(), zeros=4)
    """

    location: str = "made.h5"
    format: FormatName = FormatName.KERAS_HDF5
    facts: dict[str, Fact] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _data: dict[str, bytearray] = field(default_factory=dict)
    _claims: list[tuple[str, int, int, RegionKind, tuple[str, ...], int]] = field(default_factory=list)
    _tensors: list[Tensor] = field(default_factory=list)
    _measures: list[TensorMeasure] = field(default_factory=list)

    def region(
        self,
        path: str,
        size: int,
        kind: RegionKind,
        *,
        data: bytes | None = None,
        member: str | None = None,
        tensor: int = -1,
    ) -> int:
        """Append a region, of zeros where no bytes are given, and return its offset."""
        held = self._data.setdefault(member or self.location, bytearray())
        offset = len(held)
        held += data if data is not None else bytes(size)
        self._claims.append(
            (member or self.location, offset, size, kind, tuple(path.split(" / ")) if path else (), tensor)
        )
        return offset

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        dtype: str = "float32",
        role: Role = Role.WEIGHT,
        storage: Storage = Storage.DENSE,
        zeros: int | None = 0,
        negative: int = 0,
        data: bytes | None = None,
        pieces: tuple[int, ...] | None = None,
        layer: str | None = None,
        path: str = "",
        member: str | None = None,
        kind: RegionKind = RegionKind.TENSOR_DATA,
    ) -> TensorId:
        """Append a tensor: one region, or one of each of the sizes ``pieces``; ``zeros`` None stands for
        unmeasured.
        """
        size = dense_size(DTYPES[dtype], shape)
        index = len(self._tensors)
        extents, start = [], 0
        for piece in pieces or (size,):
            part = None if data is None else data[start : start + piece]
            offset = self.region(f"{name} / data", piece, kind, data=part, member=member, tensor=index)
            extents.append(
                Extent(
                    member or self.location,
                    Span(offset, piece),
                    "raw" if storage is Storage.DENSE else str(storage),
                )
            )
            start += piece
        payload = RawPayload(Stream(member or self.location), tuple(extent.span for extent in extents))
        self._tensors.append(
            Tensor(name, DTYPES[dtype], shape, role, storage, tuple(extents), size, layer, payload, path=path)
        )
        count = self._tensors[-1].element_count
        self._measures.append(
            unmeasured("not counted", count) if zeros is None else TensorMeasure(count, zeros, negative)
        )
        return TensorId(index)

    def artifact(self) -> Artifact:
        """Return the artifact."""
        builders = {name: ByteMapBuilder(name, len(data)) for name, data in sorted(self._data.items())}
        for member, offset, size, kind, path, tensor in self._claims:
            builders[member].claim(offset, size, kind, builders[member].path(*path), TensorId(tensor))
        members = tuple(Member(name, builder.build().map) for name, builder in builders.items())
        found = tuple(self.diagnostics)
        return Artifact(
            self.location, self.format, members, tuple(self._tensors), dict(self.facts), found, len(found)
        )

    def measurements(self) -> Measurements:
        """Return what measuring it would find."""
        return Measurements(tuple(self._measures))

    def files(self) -> MemoryFiles:
        """Return its bytes."""
        return MemoryFiles({name: bytes(data) for name, data in self._data.items()}, location=self.location)


def pruned_network(location: str = "wrapped.h5") -> Build:
    """Return a network like the one in the README: two dense layers, pruned to 80 %, still wrapped, with
    Adam's slots.
    """
    build = Build(location, facts={"keras_version": "2.21.0", "backend": "tensorflow"})
    build.region("superblock", 96, RegionKind.CONTAINER)
    build.region(
        "/ / model_config", 1_234, RegionKind.GRAPH, data=b'{"class_name": "Functional"}'.ljust(1_234)
    )
    build.region("/ / training_config", 321, RegionKind.METADATA)
    for layer, shape in (("dense", (10, 128)), ("dense_1", (128, 10))):
        count = shape[0] * shape[1]
        zeros, name = count * 8 // 10, f"{layer}/prune_low_magnitude_{layer}"
        build.region(f"/model_weights/{layer} / object header", 272, RegionKind.CONTAINER)
        build.tensor(f"{name}/kernel:0", shape, zeros=zeros, negative=zeros // 2, layer=layer)
        build.tensor(f"{name}/bias:0", shape[1:], zeros=0, layer=layer)
        build.tensor(f"{name}/mask:0", shape, role=Role.PRUNING, zeros=zeros, layer=layer)
        build.tensor(f"{name}/threshold:0", (), role=Role.PRUNING, layer=layer)
        build.region("free space", 100, RegionKind.FREE)
        for slot in "mv":
            build.tensor(
                f"optimizer_weights/Adam/{slot}/{layer}/kernel:0", shape, role=Role.OPTIMIZER, zeros=None
            )
    return build
