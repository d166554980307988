"""Turn kinds, roles, storage and measured zeros into categories: every byte of an artifact in one row of a
ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import KINDS, NO_TENSOR, RegionKind
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role, Storage, TextPayload
from modelinspect.errors import InvariantError
from modelinspect.reports.categories import CATEGORIES, Category

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT_PRODUCT = 2**62


@dataclass(frozen=True, slots=True)
class Ledger:
    """Rows in columns of one length; their sizes sum to the artifact's size, to the byte.

    A row is a region, or the part of a region that is zero by value. ``members`` are indices into the
    artifact's members, ``kinds`` and ``categories`` are codes, ``paths`` are ids of the member's path table,
    ``tensors`` are ids.
    """

    artifact: Artifact
    members: NDArray[np.int32]
    sizes: NDArray[np.int64]
    kinds: NDArray[np.int8]
    categories: NDArray[np.int8]
    paths: NDArray[np.int32]
    tensors: NDArray[np.int32]

    def __post_init__(self) -> None:
        total = int(self.sizes.sum())
        if total != self.artifact.size:
            raise InvariantError(
                f"the rows of {self.artifact.location} sum to {total:,} bytes of {self.artifact.size:,}"
            )

    def category_sizes(self) -> dict[Category, int]:
        """Return the bytes of all categories; they sum to the artifact's size."""
        totals = np.zeros(len(CATEGORIES), dtype=np.int64)
        np.add.at(totals, self.categories, self.sizes)
        return {category: int(totals[category.code]) for category in CATEGORIES}


def attribute(artifact: Artifact, zeros: Mapping[int, int] | None = None) -> Ledger:
    """Make the ledger.

    ``zeros`` are the counted zero elements by tensor id; what is not in it counts as not zero.
    """
    rows, zero_sizes = label(artifact, zeros)
    split = np.flatnonzero(zero_sizes)
    if not len(split):
        return rows
    sizes = rows.sizes - zero_sizes
    kept = sizes > 0
    return Ledger(
        artifact,
        np.concatenate((rows.members[kept], rows.members[split])),
        np.concatenate((sizes[kept], zero_sizes[split])),
        np.concatenate((rows.kinds[kept], rows.kinds[split])),
        np.concatenate(
            (rows.categories[kept], np.full(len(split), Category.ZERO_WEIGHTS.code, dtype=np.int8))
        ),
        np.concatenate((rows.paths[kept], rows.paths[split])),
        np.concatenate((rows.tensors[kept], rows.tensors[split])),
    )


def label(artifact: Artifact, zeros: Mapping[int, int] | None = None) -> tuple[Ledger, NDArray[np.int64]]:
    """Return one row for each region, in the order of members and offsets, and how many of its bytes are zero
    weights.

    The rows' categories are those of the bytes that are not zero; their sizes are those of the regions.
    """
    rows = _regions(artifact)
    zero_sizes = np.zeros(len(rows.sizes), dtype=np.int64)
    codes = {(role, storage): _tensor_category(role, storage).code for role in Role for storage in Storage}
    of_tensors = np.array(
        [codes[tensor.role, tensor.storage] for tensor in artifact.tensors] or [0], dtype=np.int8
    )
    rows.categories[:] = np.array([_kind_category(kind).code for kind in KINDS], dtype=np.int8)[rows.kinds]
    in_tensor = (rows.kinds == RegionKind.TENSOR_DATA.code) & (rows.tensors != NO_TENSOR)
    rows.categories[in_tensor] = of_tensors[rows.tensors[in_tensor]]
    if zeros:
        held = np.flatnonzero(in_tensor & (rows.categories == Category.DENSE_WEIGHTS.code))
        zero_sizes[held] = _share_out(artifact, zeros, rows.sizes[held], rows.tensors[held])
    return rows, zero_sizes


def _regions(artifact: Artifact) -> Ledger:
    """Return one row for each region, in the order of members and offsets, all of category 0."""
    maps = [member.map.columns for member in artifact.members]
    lengths = [len(columns.offsets) for columns in maps]
    return Ledger(
        artifact,
        _members(lengths),
        _joined([columns.sizes for columns in maps], np.int64),
        _joined([columns.kinds for columns in maps], np.int8),
        np.zeros(sum(lengths), dtype=np.int8),
        _joined([columns.paths for columns in maps], np.int32),
        _joined([columns.tensors for columns in maps], np.int32),
    )


def _members(lengths: list[int]) -> NDArray[np.int32]:
    """Return the number of each row's member; that of the only one takes no memory for each row."""
    if len(lengths) == 1:
        return np.broadcast_to(np.int32(0), lengths[0])
    return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)


def _joined(columns: list[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    """Return columns one after another; one by itself is not copied, as nobody writes to it."""
    return columns[0] if len(columns) == 1 else np.concatenate([np.zeros(0, dtype=dtype), *columns])


def _tensor_category(role: Role, storage: Storage) -> Category:
    match role:
        case Role.OPTIMIZER:
            return Category.OPTIMIZER_STATE
        case Role.PRUNING:
            return Category.PRUNING_STATE
        case Role.QUANTIZATION:
            return Category.QUANTIZATION
        case Role.WEIGHT | Role.STATISTIC | Role.CONSTANT | Role.OTHER:
            match storage:
                case Storage.DENSE | Storage.INLINE:
                    return Category.DENSE_WEIGHTS
                case Storage.COMPRESSED:
                    return Category.COMPRESSED_WEIGHTS
                case Storage.SPARSE:
                    return Category.SPARSE_VALUES
                case _:
                    assert_never(storage)
        case _:
            assert_never(role)


def _kind_category(kind: RegionKind) -> Category:
    match kind:
        case RegionKind.GRAPH:
            return Category.GRAPH
        case RegionKind.METADATA:
            return Category.METADATA
        case RegionKind.TENSOR_DATA:
            return Category.DENSE_WEIGHTS
        case RegionKind.SPARSE_INDEX:
            return Category.SPARSE_INDEX
        case RegionKind.QUANTIZATION:
            return Category.QUANTIZATION
        case RegionKind.ASSET:
            return Category.ASSETS
        case RegionKind.DEBUG:
            return Category.DEBUG
        case RegionKind.CONTAINER:
            return Category.CONTAINER
        case RegionKind.FREE:
            return Category.FREE
        case RegionKind.UNATTRIBUTED:
            return Category.UNATTRIBUTED
        case RegionKind.COMPILED:
            return Category.COMPILED
        case _:
            assert_never(kind)


def _share_out(
    artifact: Artifact, zeros: Mapping[int, int], sizes: NDArray[np.int64], tensors: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Return each region's zero bytes: a tensor's over its regions by their sizes, so they sum to the
    tensor's.
    """
    order = np.argsort(tensors, kind="stable")
    sizes, tensors = sizes[order], tensors[order]
    shares = np.zeros(len(sizes), dtype=np.int64)
    borders = (np.flatnonzero(tensors[1:] != tensors[:-1]) + 1).tolist()
    edges = [0, *borders, len(tensors)] if len(tensors) else []
    for start, end in pairwise(edges):
        tensor = int(tensors[start])
        count = zeros.get(tensor, 0)
        if not count:
            continue
        reached = np.cumsum(sizes[start:end])
        total = int(reached[-1])
        one = artifact.tensors[tensor]
        if isinstance(
            one.payload, TextPayload
        ):  # elements take what it takes to write them: as many bytes of text as their share
            zero_bytes = total * count // max(one.element_count, count)
        else:
            zero_bytes = min(count * one.dtype.bits // 8, total)
        if zero_bytes * total < _EXACT_PRODUCT:
            upto = reached * zero_bytes // total
        else:
            upto = np.array([zero_bytes * place // total for place in reached.tolist()], dtype=np.int64)
        shares[start:end] = np.diff(upto, prepend=0)
    back = np.empty_like(shares)
    back[order] = shares
    return back
