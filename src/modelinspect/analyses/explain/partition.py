"""Put every byte of one artifact down to a cause; what the weights themselves take is left to the
comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

import numpy as np

from modelinspect.analyses.explain.operators import OperatorStructures
from modelinspect.analyses.explain.paths import Word, path_cause, word_code, words_of
from modelinspect.core.artifact import Artifact, FormatName, Member
from modelinspect.core.bytemap import KINDS, NO_TENSOR, ByteMap, Columns, RegionKind, TensorId
from modelinspect.core.names import FINGERPRINT_PB, KERAS_METADATA_PB
from modelinspect.core.paths import ROOT, PathId
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Storage
from modelinspect.ledger.rollup import PathTree, path_tree, structure, structures_of
from modelinspect.networks.subject import Subject
from modelinspect.reports.causes import Cause

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEPTH = 6
"""How many parts of a path say its cause; what is deeper has the cause of what it is in."""


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes put down to a cause; below zero where it saves bytes.

    ``cause`` is None for the logical bytes of a tensor of the model: the comparison says what changed them.
    ``key`` names the tensor or structure in the same words on both sides.
    """

    cause: Cause | None
    key: str
    size: int
    tensor: TensorId | None = None


def partition(
    side: Subject,
    labels: Mapping[TensorId, Cause],
    unpaired: Collection[TensorId] = (),
    operators: OperatorStructures | None = None,
) -> list[Share]:
    """Return shares that sum to the artifact's size.

    ``unpaired`` are tensors that the other side does not have: structures that exist only for them go with
    them. ``operators`` knows the structures that exist for operators, where those are counted.
    """
    held = _held(side.artifact)
    stored = np.zeros(len(side.artifact.tensors), dtype=np.int64)
    np.add.at(stored, held[:, 2], held[:, 3])
    shares: list[Share] = []
    for index, size in enumerate(stored.tolist()):
        if size or side.tensor(TensorId(index)).storage is Storage.COMPRESSED:
            shares += _tensor_shares(side, TensorId(index), size, labels)
    added = {one: Cause.STRUCTURE_CHANGE for one in unpaired if one not in labels}
    owners = _Owners(side, held, {**labels, **added}, operators)
    for member in side.artifact.members:
        shares += _member_shares(side.artifact.format, member, owners)
    return shares


def _held(artifact: Artifact) -> NDArray[np.int64]:
    """Return a row for each region that holds elements of a tensor: member, path, tensor and size."""
    rows = [np.empty((0, 4), dtype=np.int64)]
    for number, member in enumerate(artifact.members):
        columns = member.map.columns
        found = np.flatnonzero(~_structures(columns))
        values = (
            np.full(len(found), number),
            columns.paths[found],
            columns.tensors[found],
            columns.sizes[found],
        )
        rows.append(np.stack(values, axis=1, dtype=np.int64))
    return np.concatenate(rows)


def _tensor_shares(
    side: Subject, index: TensorId, size: int, labels: Mapping[TensorId, Cause]
) -> Iterator[Share]:
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
    """Yield the shares of a member's structures; what is compressed counts as it decodes, less what the
    compressor saves.
    """
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
        yield from _structure_shares(
            format, logical.map, logical.path or (member.name,), decoded, owners, logical.path
        )
        stored -= int(logical.map.columns.sizes[decoded].sum())
    if stored:
        yield Share(Cause.COMPRESSION, "everything but tensors", stored)


def _structures(columns: Columns) -> NDArray[np.bool_]:
    """Return which regions hold no tensor's elements."""
    chosen: NDArray[np.bool_] = (columns.kinds != RegionKind.TENSOR_DATA.code) | (
        columns.tensors == NO_TENSOR
    )
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

    ``root`` names what has no separate path; ``above`` is where a compressed run is, which tensors' owners
    are known by.
    """
    table, columns = map.path_table, map.columns
    tree = path_tree(table)
    structures, texts = structures_of(table, tree)
    ancestors, words = tree.ancestors(_DEPTH), _words(tree)
    decides = np.array([owners.may_own(kind) for kind in KINDS])
    alone: dict[int, int] = defaultdict(int)
    """Sizes by path and kind, where the path itself decides."""
    alike: dict[int, int] = defaultdict(int)
    """Sizes by structure, kind and words, where nothing else does."""
    for begin in range(0, len(chosen), _ROWS):
        rows = np.flatnonzero(chosen[begin : begin + _ROWS]) + begin
        paths, kinds, sizes = (
            ancestors[columns.paths[rows]],
            columns.kinds[rows].astype(np.int64),
            columns.sizes[rows],
        )
        single = (paths == ROOT) | decides[kinds]
        _add(alone, paths[single] * np.int64(len(KINDS)) + kinds[single], sizes[single])
        _add(
            alike,
            ((structures[paths] * np.int64(len(KINDS)) + kinds) * _WORDS + words[paths])[~single],
            sizes[~single],
        )
    for code, size in sorted(alone.items()):
        path, number = divmod(code, len(KINDS))
        kind, parts = KINDS[number], table.parts(PathId(path)) or root
        group = owners.operators.group(kind, parts) if owners.operators is not None else None
        if group is not None:
            yield Share(Cause.MORE_OPERATORS, group, size)
            continue
        owner = owners.of((*above, *parts)) if kind in _OWNED else None
        yield Share(
            owner or path_cause(format, kind, words_of(parts)),
            _key(root, structure(parts), is_root=parts == root),
            size,
        )
    for code, size in sorted(alike.items()):
        code, word = divmod(code, _WORDS)
        place, number = divmod(code, len(KINDS))
        yield Share(
            path_cause(format, KINDS[number], Word(word)), _key(root, texts[place], is_root=False), size
        )


def _add(totals: dict[int, int], codes: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
    """Add sizes to the totals of their codes."""
    found, places = np.unique(codes, return_inverse=True)
    sums = np.zeros(len(found), dtype=np.int64)
    np.add.at(sums, places, sizes)
    for code, size in zip(found.tolist(), sums.tolist(), strict=True):
        totals[code] += size


def _words(tree: PathTree) -> NDArray[np.int16]:
    """Return for each path the `Word` codes that its parts say together."""
    words = np.array([word_code(name) for name in tree.names], dtype=np.int16)[tree.name_codes]
    for level in tree.levels():
        words[level] |= words[tree.parents[level]]
    return words


def _key(root: tuple[str, ...], text: str, *, is_root: bool) -> str:
    return f"{root[0]} / {text}" if root[0] in _SAID and not is_root else text


_WORDS = 1 << len(Word)
_ROWS = 1 << 18
"""Regions whose causes are found at once: they bound the memory."""
_SAID = frozenset((KERAS_METADATA_PB, FINGERPRINT_PB))
"""Members whose structures have names that say little without theirs."""

_OWNED = frozenset((RegionKind.CONTAINER, RegionKind.METADATA, RegionKind.FREE, RegionKind.QUANTIZATION))


class _Owners:
    """The structures that exist only for labelled tensors, such as the groups of an optimizer or of a layer
    that was added.
    """

    def __init__(
        self,
        side: Subject,
        held: NDArray[np.int64],
        labels: Mapping[TensorId, Cause],
        operators: OperatorStructures | None = None,
    ) -> None:
        self.operators = operators
        self.of = lru_cache(maxsize=4096)(self._of)
        if not labels:
            self._below: dict[tuple[str, ...], Cause | None] = {}
            self._mixed: set[tuple[str, ...]] = set()
            self._names: dict[str, Cause] = {}
            return
        below: dict[tuple[str, ...], set[Cause | None]] = defaultdict(set)
        for member, path, tensor in dict.fromkeys(map(tuple, held[:, :3].tolist())):
            steps = _steps(side.artifact.members[member].map.path_table.parts(PathId(path)))
            for length in range(1, len(steps) + 1):
                below[steps[:length]].add(labels.get(TensorId(tensor)))
        for causes in below.values():
            if causes == {Cause.OPTIMIZER_STATE, Cause.EMA_SHADOW}:  # the averages are among the slots
                causes.remove(Cause.EMA_SHADOW)
        self._below = {steps: next(iter(causes)) for steps, causes in below.items() if len(causes) == 1}
        self._mixed = {steps for steps, causes in below.items() if len(causes) > 1}
        self._names = {side.tensor(tensor).path: cause for tensor, cause in labels.items()}

    def may_own(self, kind: RegionKind) -> bool:
        """Return whether structures of a kind may be there for single tensors or for operators, so each path
        decides.
        """
        return (self.operators is not None and kind is not RegionKind.FREE) or (
            bool(self._names) and kind in _OWNED
        )

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
