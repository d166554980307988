"""Tensors that an artifact stores more than once, and what wrote them again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.core.names import WrapperName
from modelinspect.core.tensors import Role, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.reports.causes import Cause

_WRAPPED = re.compile(rf"(?:^|/)(?:{WrapperName.PRUNE}|{WrapperName.QUANTIZE}|{WrapperName.CLUSTER})[^/]*/")


def duplicates(side: Subject) -> list[tuple[TensorId, ...]]:
    """Return groups of model tensors that are stored more than once with equal elements, each in the
    artifact's order.

    Equal means measured: the same element type, shape and digest; without measurements, what the format says.
    Tensors of a single value (biases of zeros), and vectors of two (an LSTM's bias begins as zeros and ones),
    must have one name too, and those that share their bytes are not duplicates.
    """
    return side.once(_find_duplicates)


def _find_duplicates(side: Subject) -> list[tuple[TensorId, ...]]:
    if side.measurements is None:
        return _as_listed(side.artifact.facts.get("duplicate_tensors"), side) or _wrapped_twice(side)
    groups: dict[tuple[object, ...], list[TensorId]] = defaultdict(list)
    for index, tensor in enumerate(side.artifact.tensors):
        measure = side.measurements[index]
        if (
            tensor.role not in (Role.WEIGHT, Role.STATISTIC)
            or measure.digest is None
            or not tensor.stored_size
        ):
            continue
        few = 2 if len(tensor.shape) < 2 else 1
        alike = measure.zero_count == measure.element_count or (measure.distinct_count or few + 1) <= few
        name = side.canonical_name(TensorId(index)) if alike else None
        groups[tensor.dtype.name, tensor.shape, measure.digest, name].append(TensorId(index))
    apart = (_apart(side, group) for group in groups.values())
    return [tuple(group) for group in apart if len(group) > 1]


def saved_again(side: Subject) -> frozenset[TensorId]:
    """Return the tensors that repeat a variable of the model, as an export or a wrapper layer writes it.

    Two layers with equal weights are no copies: a model that is loaded has both.
    """
    return frozenset(
        copy
        for group in duplicates(side)
        for copy in group[1:]
        if duplicate_cause(side, copy, group[0]) is not Cause.SHARED_DUPLICATE
        or _is_inner(side.tensor(copy).path, side.tensor(group[0]).path)
        or _is_inner(side.tensor(group[0]).path, side.tensor(copy).path)
    )


def weights_size(side: Subject) -> int:
    """Return the bytes that store the model's weights and statistics, without copies of them."""
    copies = saved_again(side)
    return sum(
        tensor.stored_size
        for index, tensor in enumerate(side.artifact.tensors)
        if tensor.role in (Role.WEIGHT, Role.STATISTIC) and TensorId(index) not in copies
    )


def _is_inner(one: str, other: str) -> bool:
    """Return whether a store has a tensor under the layer that another one's layer wraps (Keras:
    SpectralNormalization).
    """
    owner = one.rpartition("/vars/")[0]
    return bool(owner) and other.rpartition("/vars/")[0] == f"{owner}/layer"


def duplicate_cause(side: Subject, tensor: TensorId, kept: TensorId) -> Cause:
    """Return what wrote a tensor again that another one is equal to."""
    one, other = side.tensor(tensor), side.tensor(kept)
    if _is_wrapped(one) or _is_wrapped(other):
        return Cause.WRAPPER_DUPLICATE
    if side.artifact.format in (FormatName.SAVED_MODEL, FormatName.CHECKPOINT) and side.canonical_name(
        tensor
    ) == side.canonical_name(kept):
        return Cause.EXPORT_DUPLICATE
    return Cause.SHARED_DUPLICATE


def _as_listed(fact: object, side: Subject) -> list[tuple[TensorId, ...]]:
    """Return the groups that the format knows without reading data: a checkpoint's equal checksums."""
    if not isinstance(fact, tuple | list):
        return []
    tensors = enumerate(side.artifact.tensors)
    by_name = {
        tensor.path: TensorId(index)
        for index, tensor in tensors
        if tensor.role in (Role.WEIGHT, Role.STATISTIC)
    }
    groups: list[tuple[TensorId, ...]] = []
    for entry in fact:
        names = entry.get("tensors", ()) if isinstance(entry, Mapping) else entry
        if isinstance(names, tuple | list):
            ids = tuple(by_name[name] for name in names if isinstance(name, str) and name in by_name)
            if len(ids) > 1:
                groups.append(ids)
    return groups


def _wrapped_twice(side: Subject) -> list[tuple[TensorId, ...]]:
    """Return the weights that a Keras store has under a wrapper and again under the layer within it, which
    are one variable.
    """
    if side.artifact.format not in (FormatName.KERAS_ZIP, FormatName.WEIGHTS_HDF5):
        return []
    groups: dict[tuple[str, tuple[int, ...]], list[TensorId]] = defaultdict(list)
    for index, tensor in enumerate(side.artifact.tensors):
        if tensor.role is Role.WEIGHT and _is_wrapped(tensor):
            owner = tensor.path.rpartition("/vars/")[0].removesuffix("/layer")
            groups[owner, tensor.shape].append(TensorId(index))
    return [tuple(group) for group in groups.values() if len(group) == 2 and _inner(side, group)]


def _inner(side: Subject, group: list[TensorId]) -> bool:
    return sum("/layer/vars/" in side.tensor(tensor).path for tensor in group) == 1


def _apart(side: Subject, group: list[TensorId]) -> list[TensorId]:
    """Return the tensors of a group that have their own bytes."""
    seen: set[object] = set()
    apart: list[TensorId] = []
    for tensor in group:
        extents = side.tensor(tensor).extents
        if extents not in seen:
            seen.add(extents)
            apart.append(tensor)
    return apart


def _is_wrapped(tensor: Tensor) -> bool:
    return _WRAPPED.search(f"{tensor.path}/") is not None
