"""Labels every byte of a member exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, NewType, Self

from modelinspect.core.paths import PathId, PathTable
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.errors import InvariantError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TensorId = NewType("TensorId", int)
NO_TENSOR = TensorId(-1)


class RegionKind(StrEnum):
    """What a parser saw; `analyses.attribution` turns it into a category."""

    code: int

    GRAPH = "graph"
    METADATA = "metadata"
    TENSOR_DATA = "tensor-data"
    SPARSE_INDEX = "sparse-index"
    QUANTIZATION = "quantization"
    ASSET = "asset"
    DEBUG = "debug"
    CONTAINER = "container"
    FREE = "free"
    UNATTRIBUTED = "unattributed"
    COMPILED = "compiled"

    def __new__(cls, value: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.code = len(cls.__members__)
        return member


KINDS: tuple[RegionKind, ...] = tuple(RegionKind)
"""Every kind, at the place that its code names."""


@dataclass(frozen=True, slots=True)
class Region:
    """A labelled run of bytes.

    ``path`` names the structure that the bytes belong to, outermost part first, in the terms of the format's
    own specification. ``tensor`` is an index into the artifact's tensors.
    """

    span: Span
    kind: RegionKind
    path: tuple[str, ...]
    tensor: TensorId | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The regions of a map as arrays of one length, sorted by offset."""

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    kinds: NDArray[np.int8]
    paths: NDArray[np.int32]
    tensors: NDArray[np.int32]


class ByteMap:
    """Regions that tile ``[0, size)``: sorted, no gap, no overlap, none empty.

    Kept in columns, so a map of a million regions is cheap; `Region` objects are made when asked for.
    """

    __slots__ = ("columns", "path_table", "size")

    def __init__(self, size: int, columns: Columns, path_table: PathTable) -> None:
        _require_tiling(size, columns)
        for name in ("offsets", "sizes", "kinds", "paths", "tensors"):
            getattr(columns, name).flags.writeable = False
        self.size = size
        self.columns = columns
        self.path_table = path_table

    def __len__(self) -> int:
        return len(self.columns.offsets)

    def __iter__(self) -> Iterator[Region]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Region:
        columns = self.columns
        tensor = int(columns.tensors[index])
        return Region(
            Span(int(columns.offsets[index]), int(columns.sizes[index])),
            KINDS[columns.kinds[index]],
            self.path_table.parts(PathId(int(columns.paths[index]))),
            None if tensor == NO_TENSOR else TensorId(tensor),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ByteMap):
            return NotImplemented
        return (
            self.size == other.size
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    def __hash__(self) -> int:
        return hash((self.size, len(self)))

    def __repr__(self) -> str:
        return f"ByteMap(size={self.size}, regions={len(self)})"

    def __getstate__(self) -> tuple[int, Columns, PathTable]:
        return self.size, self.columns, self.path_table

    def __setstate__(self, state: tuple[int, Columns, PathTable]) -> None:
        ByteMap.__init__(self, *state)

    def index_at(self, offset: int) -> int:
        """Return the index of the region that holds the byte at ``offset``.

        Raises `IndexError` outside the map.
        """
        if not 0 <= offset < self.size:
            raise IndexError(f"byte {offset} is outside [0, {self.size})")
        return int(self.columns.offsets.searchsorted(offset, side="right")) - 1

    def at(self, offset: int) -> Region:
        """Return the region that holds the byte at ``offset``. Raises `IndexError` outside the map."""
        return self[self.index_at(offset)]

    def kind_sizes(self) -> dict[RegionKind, int]:
        """Return the bytes of each kind; they sum to the map's size."""
        import numpy as np

        totals = np.zeros(len(KINDS), dtype=np.int64)
        np.add.at(totals, self.columns.kinds, self.columns.sizes)
        return {kind: int(totals[kind.code]) for kind in KINDS}


def _require_tiling(size: int, columns: Columns) -> None:
    offsets, sizes = columns.offsets, columns.sizes
    if not all(
        len(column) == len(offsets) for column in (sizes, columns.kinds, columns.paths, columns.tensors)
    ):
        raise InvariantError("the columns of a byte map differ in length")
    if len(offsets) == 0:
        if size:
            raise InvariantError(f"no region covers the {size} bytes of the member")
        return
    ends = offsets + sizes
    if offsets[0] != 0 or ends[-1] != size:
        raise InvariantError(f"the regions cover [{offsets[0]}, {ends[-1]}) of a member of {size} bytes")
    if (sizes <= 0).any():
        raise InvariantError("a region is empty")
    if (offsets[1:] != ends[:-1]).any():
        index = int((offsets[1:] != ends[:-1]).argmax())
        raise InvariantError(
            f"region {index} ends at byte {ends[index]} and the next begins at {offsets[index + 1]}"
        )
