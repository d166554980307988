"""What differs between two artifacts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from modelinspect.analyses.summary import zero_counts
from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import NO_TENSOR, TensorId
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.errors import InvariantError
from modelinspect.ledger.attribution import Ledger, attribute
from modelinspect.networks.matching import Pair, match_tensors
from modelinspect.networks.names import bare_layer
from modelinspect.networks.subject import Subject
from modelinspect.reports.diff import (
    Content,
    DiffReport,
    LayerDelta,
    SideEntry,
    Status,
    TensorDelta,
    category_deltas,
)
from modelinspect.reports.entries import DiagnosticEntry, diagnostic_entry


def diff(before: Subject, after: Subject) -> DiffReport:
    """Compare two artifacts; with the sides exchanged, every sign is turned and nothing else."""
    old, new = (attribute(side.artifact, zero_counts(side.measurements)) for side in (before, after))
    pairs = match_tensors(before, after)
    delta = after.artifact.size - before.artifact.size
    categories = category_deltas(old.category_sizes(), new.category_sizes())
    layers = _layers(before, old, after, new, pairs)
    if sum(categories.values()) != delta or sum(layer.delta for layer in layers) != delta:
        raise InvariantError(f"the categories or layers do not sum to the difference of {delta:,} bytes")
    return DiffReport(
        before=side_entry(before),
        after=side_entry(after),
        measured=before.measurements is not None and after.measurements is not None,
        delta=delta,
        categories=categories,
        layers=layers,
        tensors=tuple(_tensor(before, after, pair) for pair in pairs),
        notes=comparison_notes(before, after, pairs),
        diagnostics=damage(before, after),
    )


def side_entry(side: Subject) -> SideEntry:
    """Describe one of the two artifacts."""
    return SideEntry(
        location=side.artifact.location, format=str(side.artifact.format), size=side.artifact.size
    )


def comparison_notes(before: Subject, after: Subject, pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Say what a reader of a comparison should know first: what was not looked at, what has no counterpart at
    all.
    """
    notes: list[str] = []
    if before.measurements is None or after.measurements is None:
        notes.append("Contents were not compared: nothing was measured.")
    empty = [side.artifact.location for side in (before, after) if not side.artifact.tensors]
    if len(empty) == 1:
        notes.append(f"{empty[0]} has no tensors; the sizes are compared all the same.")
    elif not empty and not any(pair.before is not None and pair.after is not None for pair in pairs):
        notes.append("The artifacts have no tensor in common; their sizes are compared all the same.")
    return tuple(notes)


def damage(*sides: Subject) -> tuple[DiagnosticEntry, ...]:
    """Return what is broken in artifacts: a comparison covers only what is there."""
    found = (diagnostic for side in sides for diagnostic in side.artifact.diagnostics)
    return tuple(
        diagnostic_entry(diagnostic) for diagnostic in found if diagnostic.severity is Severity.ERROR
    )


def content(before: Subject, after: Subject, one: TensorId, other: TensorId) -> Content:
    """Return whether the elements of two tensors are equal."""
    if before.measurements is None or after.measurements is None:
        return Content.UNKNOWN
    mine, theirs = before.measurements[one], after.measurements[other]
    if (
        mine.digest is not None
        and mine.digest == theirs.digest
        and before.tensor(one).shape == after.tensor(other).shape
    ):
        return Content.EQUAL
    if mine.fingerprint is None or theirs.fingerprint is None:
        return Content.UNKNOWN if mine.digest is None or theirs.digest is None else Content.DIFFERENT
    if mine.fingerprint != theirs.fingerprint:
        return Content.DIFFERENT
    return Content.TRANSPOSED if before.tensor(one).shape != after.tensor(other).shape else Content.EQUAL


def _layers(
    before: Subject, old: Ledger, after: Subject, new: Ledger, pairs: Iterable[Pair]
) -> tuple[LayerDelta, ...]:
    sizes: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
    for side, (ledger, layers) in enumerate(
        zip((old, new), shared_layers(before, after, pairs), strict=True)
    ):
        totals = np.zeros(len(layers) + 1, dtype=np.int64)
        np.add.at(totals, np.where(ledger.tensors == NO_TENSOR, len(layers), ledger.tensors), ledger.sizes)
        for layer, size in zip((*layers, None), totals.tolist(), strict=True):
            if size:
                sizes[layer][side] += size
    ordered = sorted(sizes.items(), key=lambda item: (item[0] is None, item[0] or ""))
    return tuple(
        LayerDelta(layer=layer, before=one, after=other, delta=other - one) for layer, (one, other) in ordered
    )


def shared_layers(
    before: Subject, after: Subject, pairs: Iterable[Pair]
) -> tuple[list[str | None], list[str | None]]:
    """Return the layer of every tensor of both sides, called the same on both: without wrappers, and models
    around it on a single side.

    A tensor without a layer, as TFLite has them, is of its counterpart's.
    """
    both = [(pair.before, pair.after) for pair in pairs if pair.before is not None and pair.after is not None]
    pairs_of_tensors = [(before.tensor(one), after.tensor(other)) for one, other in both]
    joined = _Joined()
    known = [(one, other) for one, other in pairs_of_tensors if one.layer and other.layer]
    for one, other in known:
        if len(one.shape) > 1:
            joined.join(bare_layer(one.layer or ""), bare_layer(other.layer or ""))
    with_kernels = joined.names()
    for one, other in known:  # what has no kernels: normalization, and biases of only it
        if not {bare_layer(one.layer or ""), bare_layer(other.layer or "")} & with_kernels:
            joined.join(bare_layer(one.layer or ""), bare_layer(other.layer or ""))
    sides: tuple[list[str | None], list[str | None]] = ([], [])
    for found, side in zip(sides, (before, after), strict=True):
        found += [
            joined.name(bare_layer(tensor.layer)) if tensor.layer else None
            for tensor in side.artifact.tensors
        ]
    for one_id, other_id in both:
        layer, other_layer = sides[0][one_id], sides[1][other_id]
        sides[0][one_id], sides[1][other_id] = layer or other_layer, other_layer or layer
    return sides


class _Joined:
    """Names that mean one layer; the shortest of them stands for all."""

    def __init__(self) -> None:
        self._groups: dict[str, set[str]] = {}

    def join(self, one: str, other: str) -> None:
        """Make two names, and all that mean the same, one."""
        group = self._groups.get(one, {one}) | self._groups.get(other, {other})
        for name in group:
            self._groups[name] = group

    def name(self, name: str) -> str:
        """Return what a name is shown as."""
        return min(self._groups.get(name, {name}), key=lambda one: (len(one), one))

    def names(self) -> set[str]:
        """Return every name that was joined with one, itself included."""
        return set(self._groups)


def _tensor(before: Subject, after: Subject, pair: Pair) -> TensorDelta:
    one = None if pair.before is None else before.tensor(pair.before)
    other = None if pair.after is None else after.tensor(pair.after)
    found = one or other
    if found is None:
        raise InvariantError("a pair of tensors has neither side")
    known = Content.UNKNOWN
    if pair.before is not None and pair.after is not None:
        known = content(before, after, pair.before, pair.after)
    return TensorDelta(
        before=one.name if one else None,
        after=other.name if other else None,
        status=_status(one, other, known),
        stored_delta=(other.stored_size if other else 0) - (one.stored_size if one else 0),
        role=str(found.role),
        layer=found.layer,
        content=known,
        matched_by=pair.by,
        before_form=form(one) if one else None,
        after_form=form(other) if other else None,
        zero_delta=_zero_delta(before, after, pair),
    )


def form(tensor: Tensor) -> str:
    """Return a tensor's element type, shape and storage, where it is not simply dense, in a few
    characters.
    """
    shape = "×".join(map(str, tensor.shape)) or "scalar"
    storage = "" if tensor.storage in ("dense", "inline") else f" {tensor.storage}"
    return f"{tensor.dtype} {shape}{storage}"


def _status(one: Tensor | None, other: Tensor | None, known: Content) -> Status:
    if one is None:
        return Status.ADDED
    if other is None:
        return Status.REMOVED
    alike = (one.dtype, one.shape, one.storage, one.stored_size) == (
        other.dtype,
        other.shape,
        other.storage,
        other.stored_size,
    )
    is_compressed = Storage.COMPRESSED in (one.storage, other.storage)
    if is_compressed and known is Content.EQUAL:  # only a compressor changed it
        alike = (one.dtype, one.shape) == (other.dtype, other.shape)
    if not alike or known in (Content.DIFFERENT, Content.TRANSPOSED):
        return Status.CHANGED
    if one.name == other.name:
        return Status.SAME
    return Status.RENAMED


def _zero_delta(before: Subject, after: Subject, pair: Pair) -> int | None:
    counts: list[int] = []
    for side, tensor in ((before, pair.before), (after, pair.after)):
        if tensor is None:
            counts.append(0)
        elif side.measurements is None or (zeros := side.measurements[tensor].zero_count) is None:
            return None
        else:
            counts.append(zeros)
    return counts[1] - counts[0]
