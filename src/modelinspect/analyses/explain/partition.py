"""Put every byte of one artifact down to a cause; what the weights themselves take is left to the comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

import numpy as np

from modelinspect.analyses.attribution import Ledger
from modelinspect.analyses.explain.operators import OperatorStructures
from modelinspect.analyses.explain.paths import path_cause
from modelinspect.analyses.rollup import structure
from modelinspect.core.artifact import FormatName, Member
from modelinspect.core.bytemap import KINDS, NO_TENSOR, ByteMap, Columns, RegionKind, TensorId
from modelinspect.core.names import FINGERPRINT_PB, KERAS_METADATA_PB
from modelinspect.core.paths import PathId, PathTable
from modelinspect.core.tensors import Storage
from modelinspect.networks.subject import Subject
from modelinspect.reports.causes import Cause

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEPTH = 6
"""How many parts of a path say its cause; what is deeper has the cause of what it is in."""


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes put down to a cause; below zero where it saves bytes.

    ``cause`` is None for the logical bytes of a tensor of the model: the comparison says what changed them. ``key``
    names the tensor or structure in the same words on both sides.
    """

    cause: Cause | None
    key: str
    size: int
    tensor: TensorId | None = None


def partition(
    side: Subject,
    ledger: Ledger,
    labels: Mapping[TensorId, Cause],
    unpaired: Collection[TensorId] = (),
    operators: OperatorStructures | None = None,
) -> list[Share]:
    """Return shares that sum to the artifact's size.

    ``unpaired`` are tensors that the other side does not have: structures that exist only for them go with them. ``operators`` knows
    the structures that exist for operators, where those are counted.
    """
    in_tensor = (ledger.kinds == RegionKind.TENSOR_DATA.code) & (ledger.tensors != NO_TENSOR)
    stored = np.zeros(len(side.artifact.tensors), dtype=np.int64)
    np.add.at(stored, ledger.tensors[in_tensor], ledger.sizes[in_tensor])
    shares: list[Share] = []
    for index, size in enumerate(stored.tolist()):
        if size or side.tensor(TensorId(index)).storage is Storage.COMPRESSED:
            shares += _tensor_shares(side, TensorId(index), size, labels)
    added = {one: Cause.STRUCTURE_CHANGE for one in unpaired if one not in labels}
    owners = _Owners(side, ledger, {**labels, **added}, operators)
    for member in side.artifact.members:
        shares += _member_shares(side.artifact.format, member, owners)
    return shares


def _tensor_shares(side: Subject, index: TensorId, size: int, labels: Mapping[TensorId, Cause]) -> Iterator[Share]:
    tensor = side.tensor(index)
    key = side.canonical_name(index)
    label = labels.get(index)
    if label is not None and tensor.storage is not Storage.COMPRESSED:
        yield Share(label, key, size, index)
        return
    # Dense elements of which some are not there (a missing shard) are not saving of the container's.
    logical = min(size, tensor.logical_size) if tensor.storage is Storage.DENSE else tensor.logical_size
    yield Share(label, key, logical, index)
    extra = size - logical
    if extra:
        yield Share(_storage_cause(tensor.storage), key, extra, index)


def _storage_cause(storage: Storage) -> Cause:
    """Return what makes stored bytes differ from dense ones."""
    match storage:
        case Storage.SPARSE:
            return Cause.SPARSE_ENCODING
        case Storage.COMPRESSED:
            return Cause.COMPRESSION
        case Storage.INLINE:
            return Cause.CONSTANT_FOLDING
        case Storage.DENSE:
            return Cause.CONTAINER_OVERHEAD
        case _:
            assert_never(storage)


def _member_shares(format: FormatName, member: Member, owners: _Owners) -> Iterator[Share]:
    """Yield the shares of a member's structures; what is compressed counts as it decodes, less what the compressor saves."""
    columns = member.map.columns
    chosen = _structures(columns)
    inside = np.zeros(len(columns.offsets), dtype=np.bool_)
    for logical in member.logical:
        first, last = np.searchsorted(columns.offsets, (logical.span.offset, logical.span.end))
        inside[first:last] = True
    yield from _structure_shares(format, member.map, (member.name,), chosen & ~inside, owners)
    stored = int(columns.sizes[chosen & inside].sum())
    for logical in member.logical:
        decoded = _structures(logical.map.columns)
        yield from _structure_shares(format, logical.map, logical.path or (member.name,), decoded, owners, logical.path)
        stored -= int(logical.map.columns.sizes[decoded].sum())
    if stored:
        yield Share(Cause.COMPRESSION, "everything but tensors", stored)


def _structures(columns: Columns) -> NDArray[np.bool_]:
    """Return which regions hold no tensor's elements."""
    chosen: NDArray[np.bool_] = (columns.kinds != RegionKind.TENSOR_DATA.code) | (columns.tensors == NO_TENSOR)
    return chosen


def _structure_shares(
    format: FormatName,
    map: ByteMap,
    root: tuple[str, ...],
    chosen: NDArray[np.bool_],
    owners: _Owners,
    above: tuple[str, ...] = (),
) -> Iterator[Share]:
    """Yield a share for each structure: bytes of one kind below one path.

    ``root`` names what has no separate path; ``above`` is where a compressed run is, which tensors' owners are known by.
    """
    table = map.path_table
    rows = np.flatnonzero(chosen)
    prefixes = _ancestors(table, _DEPTH)[map.columns.paths[rows]]
    codes = prefixes.astype(np.int64) * len(KINDS) + map.columns.kinds[rows]
    unique, inverse = np.unique(codes, return_inverse=True)
    sizes = np.zeros(len(unique), dtype=np.int64)
    np.add.at(sizes, inverse, map.columns.sizes[rows])
    for code, size in zip(unique.tolist(), sizes.tolist(), strict=True):
        kind = KINDS[code % len(KINDS)]
        parts = table.parts(PathId(code // len(KINDS))) or root
        group = owners.operators.group(kind, parts) if owners.operators is not None else None
        if group is not None:
            yield Share(Cause.MORE_OPERATORS, group, size)
            continue
        owner = owners.of((*above, *parts)) if kind in _OWNED else None
        key = f"{root[0]} / {structure(parts)}" if root[0] in _SAID and parts != root else structure(parts)
        yield Share(owner or path_cause(format, kind, parts), key, size)


_SAID = frozenset((KERAS_METADATA_PB, FINGERPRINT_PB))
"""Members whose structures have names that say little without theirs."""

_OWNED = frozenset((RegionKind.CONTAINER, RegionKind.METADATA, RegionKind.FREE, RegionKind.QUANTIZATION))


def _ancestors(table: PathTable, depth: int) -> NDArray[np.int64]:
    """Return for each path its ancestor of at most ``depth`` parts."""
    parents = np.array(table.parents, dtype=np.int64)
    depths = np.zeros(len(parents), dtype=np.int64)
    climbing = np.arange(len(parents), dtype=np.int64)
    while climbing.any():
        depths += climbing != 0
        climbing = parents[climbing]
    ancestors = np.arange(len(parents), dtype=np.int64)
    while (deep := depths[ancestors] > depth).any():
        ancestors[deep] = parents[ancestors[deep]]
    return ancestors


class _Owners:
    """The structures that exist only for labelled tensors, such as the groups of an optimizer or of a layer that was added."""

    def __init__(
        self, side: Subject, ledger: Ledger, labels: Mapping[TensorId, Cause], operators: OperatorStructures | None = None
    ) -> None:
        self.operators = operators
        below: dict[tuple[str, ...], set[Cause | None]] = defaultdict(set)
        rows = np.flatnonzero((ledger.kinds == RegionKind.TENSOR_DATA.code) & (ledger.tensors != NO_TENSOR))
        places = np.unique(np.stack([ledger.members[rows], ledger.paths[rows], ledger.tensors[rows]]), axis=1)
        for member, path, tensor in places.T.tolist():
            steps = _steps(side.artifact.members[member].map.path_table.parts(PathId(path)))
            for length in range(1, len(steps) + 1):
                below[steps[:length]].add(labels.get(TensorId(tensor)))
        for causes in below.values():
            if causes == {Cause.OPTIMIZER_STATE, Cause.EMA_SHADOW}:  # the averages are among the slots
                causes.remove(Cause.EMA_SHADOW)
        self._below = {steps: next(iter(causes)) for steps, causes in below.items() if len(causes) == 1}
        self._mixed = {steps for steps, causes in below.items() if len(causes) > 1}
        self._names = {side.tensor(tensor).path: cause for tensor, cause in labels.items()}
        self.of = lru_cache(maxsize=4096)(self._of)

    def _of(self, parts: tuple[str, ...]) -> Cause | None:
        """Return the cause that a structure is there for, None where it serves the model."""
        for part in parts:
            if part in self._names:
                return self._names[part]
        steps = _steps(parts)
        for length in range(len(steps), 0, -1):
            if steps[:length] in self._mixed:
                return None
            if steps[:length] in self._below:
                return self._below[steps[:length]]
        return None


def _steps(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(step for part in parts for step in part.split("/") if step)
