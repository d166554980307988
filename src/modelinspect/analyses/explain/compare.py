"""Explain the size of one artifact or the difference of two: shares of both sides, cause by cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from modelinspect.analyses.diff import comparison_notes, content, damage, side_entry
from modelinspect.analyses.explain.answer import answer
from modelinspect.analyses.explain.compressed import Squeezed
from modelinspect.analyses.explain.operators import OperatorStructures, differ_in_operators, have_scales
from modelinspect.analyses.explain.partition import Share, partition
from modelinspect.analyses.explain.pruning import pruned_kernels
from modelinspect.analyses.explain.texts import CauseText, Shown, cause_text
from modelinspect.analyses.summary import zero_counts
from modelinspect.core.bytemap import TensorId
from modelinspect.core.names import ATTRIBUTES, VARIABLE_VALUE
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import ElementKind, Helpers, Role, Tensor
from modelinspect.errors import InvariantError
from modelinspect.ledger.attribution import attribute
from modelinspect.networks.copies import duplicate_cause, duplicates
from modelinspect.networks.kernels import frozen_masks
from modelinspect.networks.matching import Pair, match_tensors
from modelinspect.networks.optimizer_state import average_names
from modelinspect.networks.subject import Comparison, Subject
from modelinspect.networks.writers import helpers_of
from modelinspect.reports.categories import Category
from modelinspect.reports.causes import Cause
from modelinspect.reports.diff import Content, category_deltas
from modelinspect.reports.explain import CauseEntry, Evidence, ExplainReport
from modelinspect.rules.registry import find_all

_EVIDENCE_KEPT = 50


def explain(before: Subject | None, after: Subject, squeezed: Squeezed | None = None) -> ExplainReport:
    """Explain the difference of two artifacts, or the size of one where ``before`` is None; ``squeezed`` is
    what compressing reported.
    """
    after_sizes = _category_sizes(after)
    pairs: tuple[Pair, ...] = ()
    if before is None:
        shares, delta = _alone(after), after.artifact.size
        categories = {str(category): size for category, size in after_sizes.items()}
        comparison = None
    else:
        before_sizes = _category_sizes(before)
        delta = after.artifact.size - before.artifact.size
        pairs = match_tensors(before, after)
        shares = _differences(before, after, pairs)
        categories = category_deltas(before_sizes, after_sizes)
        comparison = _comparison(before, before_sizes, after, pairs)
    causes = _entries(shares, before, after)
    if sum(entry.delta for entry in causes) != delta:
        raise InvariantError(
            f"the causes sum to {sum(entry.delta for entry in causes):,} and not to {delta:,} bytes"
        )
    context = replace(after, sizes=after_sizes, comparison=comparison)
    found = squeezed or Squeezed()
    return ExplainReport(
        before=None if before is None else side_entry(before),
        after=side_entry(after),
        measured=after.measurements is not None and (before is None or before.measurements is not None),
        delta=delta,
        categories=categories,
        causes=causes,
        findings=find_all(context),
        notes=() if before is None else comparison_notes(before, after, pairs),
        diagnostics=damage(*(side for side in (before, after) if side is not None)),
        pruning=pruned_kernels(context),
        summary=answer(context, delta, causes, found),
        compressed=found.compressed,
        options=found.options,
    )


@dataclass(frozen=True, slots=True)
class _Difference:
    """A cause's part of the difference at one place."""

    cause: Cause
    key: str
    size: int
    tensor: bool


def _category_sizes(side: Subject) -> dict[Category, int]:
    return attribute(side.artifact, zero_counts(side.measurements)).category_sizes()


def _comparison(
    before: Subject, sizes: Mapping[Category, int], after: Subject, pairs: Iterable[Pair]
) -> Comparison:
    """Count the weights that both sides have, and those of them with equal elements; one that only one side
    has is not equal.
    """
    equal = compared = 0
    for pair in pairs:
        roles = [
            side.tensor(one).role
            for side, one in ((before, pair.before), (after, pair.after))
            if one is not None
        ]
        if not any(role in (Role.WEIGHT, Role.STATISTIC) for role in roles):
            continue
        compared += 1
        if pair.before is not None and pair.after is not None:
            equal += content(before, after, pair.before, pair.after) in (Content.EQUAL, Content.TRANSPOSED)
    return Comparison(replace(before, sizes=sizes), equal, compared)


def _alone(side: Subject) -> list[_Difference]:
    return [_difference(side, share, 1, {}) for share in partition(side, labels(side))]


def _differences(before: Subject, after: Subject, pairs: Iterable[Pair]) -> list[_Difference]:
    both = [(pair.before, pair.after) for pair in pairs if pair.before is not None and pair.after is not None]
    structures = (_operator_structures(before, after), _operator_structures(after, before))
    alone = [[TensorId(one) for pair in pairs if (one := pair.before) is not None and pair.after is None]]
    alone.append([TensorId(one) for pair in pairs if (one := pair.after) is not None and pair.before is None])
    mine = partition(before, labels(before, {one for one, _ in both}), alone[0], structures[0])
    theirs = partition(after, labels(after, {other for _, other in both}), alone[1], structures[1])
    logical_before = {share.tensor: share for share in mine if share.cause is None}
    logical_after = {share.tensor: share for share in theirs if share.cause is None}
    found: list[_Difference] = []
    named = {
        other: _plainer(before.canonical_name(one), after.canonical_name(other)) for one, other in both
    }  # a counterpart is one place
    for one, other in both:
        if one in logical_before and other in logical_after:
            size = logical_after.pop(other).size - logical_before.pop(one).size
            tensor = after.tensor(other)
            cause = _logical_cause(before.tensor(one), tensor)
            if cause is Cause.STRUCTURE_CHANGE and _is_packed(before, before.tensor(one), after, tensor):
                cause = Cause.QUANTIZATION
            found.append(_Difference(cause, named[other], size, True))
    left = [*logical_before.values(), *(share for share in mine if share.cause is not None)]
    named_before = {one: named[other] for one, other in both}
    found += [_difference(before, share, -1, named_before) for share in left]
    left = [*logical_after.values(), *(share for share in theirs if share.cause is not None)]
    return found + [_difference(after, share, 1, named) for share in left]


def _operator_structures(side: Subject, other: Subject) -> OperatorStructures | None:
    """Return the structures of operators where both sides are TFLite models with other numbers of them."""
    return (
        OperatorStructures(side, scales=have_scales(side, other))
        if differ_in_operators(side, other)
        else None
    )


def _plainer(one: str, other: str) -> str:
    """Return the name of two that says more to people: not what a converter fused or invented, no number of a
    store, the shorter.
    """
    return min(
        one,
        other,
        key=lambda name: (";" in name, name.startswith(_INVENTED), name[-1:].isdigit(), len(name), name),
    )


_INVENTED = ("StatefulPartitionedCall", "arith.constant")


def _difference(side: Subject, share: Share, sign: int, names: Mapping[TensorId, str]) -> _Difference:
    cause = share.cause
    key = share.key if share.tensor is None else names.get(share.tensor, share.key)
    if cause is None:
        constant = share.tensor is not None and side.tensor(share.tensor).role is Role.CONSTANT
        cause = Cause.CONSTANT_FOLDING if constant else Cause.STRUCTURE_CHANGE
    return _Difference(cause, key, sign * share.size, share.tensor is not None)


def _logical_cause(one: Tensor, other: Tensor) -> Cause:
    """Return what changes the dense size of a tensor that both sides have."""
    if (
        one.element_count != other.element_count or one.dtype == other.dtype
    ):  # the latter where bytes of one are missing
        return Cause.CONSTANT_FOLDING if one.role is other.role is Role.CONSTANT else Cause.STRUCTURE_CHANGE
    return Cause.QUANTIZATION if _is_quantized(one) != _is_quantized(other) else Cause.DTYPE_CHANGE


def _is_packed(before: Subject, one: Tensor, after: Subject, other: Tensor) -> bool:
    """Return whether one of two kernels holds two elements of 4 bits in each byte, as Keras stores them along
    an axis.
    """
    for side, packed, whole in ((before, one, other), (after, other, one)):
        if packed.dtype.bits != 8 or len(packed.shape) != len(whole.shape):
            continue
        fact = side.artifact.facts.get("quantized_layers")
        mode = fact.get(packed.layer) if isinstance(fact, Mapping) and packed.layer is not None else None
        known = (
            "4" in mode.partition("/")[0] if isinstance(mode, str) else whole.dtype.kind is ElementKind.FLOAT
        )
        lengths = [
            (mine, theirs) for mine, theirs in zip(packed.shape, whole.shape, strict=True) if mine != theirs
        ]
        if known and len(lengths) == 1 and lengths[0][0] == (lengths[0][1] + 1) // 2:
            return True
    return False


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.quantization is not None or (
        tensor.dtype.kind in (ElementKind.INT, ElementKind.UINT) and tensor.dtype.bits <= 16
    )


def _changed(
    found: Iterable[tuple[tuple[str, bool], int]], counts: Mapping[str, list[int]], *, around: bool
) -> int:
    """Return how many tensors a cause changed; several may have one name, and ``counts`` has how many lost
    and gained bytes under each.

    Where the difference is ``around`` tensors that both sides have, it is those.
    """
    if around:
        return max((sum(of_side) for of_side in zip(*counts.values(), strict=True)), default=0)
    return sum(max(abs(counts[key][1] - counts[key][0]), 1) for (key, is_tensor), _ in found if is_tensor)


def _entries(
    differences: list[_Difference], before: Subject | None, after: Subject
) -> tuple[CauseEntry, ...]:
    """Return the causes that changed anything, the largest first."""
    totals: dict[Cause, int] = defaultdict(int)
    signs: dict[Cause, set[bool]] = defaultdict(set)
    places: dict[Cause, dict[tuple[str, bool], int]] = defaultdict(lambda: defaultdict(int))
    changed: dict[Cause, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for difference in differences:
        totals[difference.cause] += difference.size
        if difference.tensor and difference.size:
            signs[difference.cause].add(difference.size > 0)
            changed[difference.cause][difference.key][difference.size > 0] += 1
        places[difference.cause][difference.key, difference.tensor] += difference.size
    entries: list[CauseEntry] = []
    for cause, total in sorted(totals.items(), key=lambda item: (-abs(item[1]), item[0].code)):
        found = sorted(
            ((key, size) for key, size in places[cause].items() if size),
            key=lambda item: (-abs(item[1]), item[0]),
        )
        if not total:
            continue
        evidence = tuple(
            Evidence(tensor=key if is_tensor else None, place=key, bytes=size)
            for (key, is_tensor), size in found[:_EVIDENCE_KEPT]
        )
        around = 2 * abs(sum(size for (_, is_tensor), size in found if is_tensor)) < abs(total)
        shown = Shown(_changed(found, changed[cause], around=around), len(signs[cause]) == 2, around)
        fact: CauseText = cause_text(cause, total, shown, before, after)
        entries.append(
            CauseEntry(
                cause=str(cause),
                delta=total,
                message=fact.message,
                evidence=evidence,
                evidence_count=len(found),
                remedy=fact.remedy,
            )
        )
    return tuple(entries)


_METRICS = frozenset(
    (
        "metrics",
        "_metrics",
        "keras_api",
        "compiled_metrics",
        "_compile_metrics",
        "loss_tracker",
        "_loss_tracker",
        "compiled_loss",
    )
)
_COUNTERS = frozenset(("save_counter", "global_step", "train_step", "step"))


def labels(side: Subject, paired: Collection[TensorId] = ()) -> dict[TensorId, Cause]:
    """Return the cause of each tensor that is not simply part of the model.

    Of equal tensors one is the model's: the first of those in ``paired``, which have a counterpart on the
    other side, or else the first of all; the others are duplicates.
    """
    found: dict[TensorId, Cause] = {}
    averages = average_names(side.artifact)
    masks = frozen_masks(side.artifact, side.measurements)
    helpers = _helper_cause(side)
    for index, tensor in enumerate(side.artifact.tensors):
        match tensor.role:
            case Role.OPTIMIZER:
                found[TensorId(index)] = (
                    Cause.EMA_SHADOW if tensor.path in averages else Cause.OPTIMIZER_STATE
                )
            case Role.PRUNING:
                found[TensorId(index)] = helpers
            case Role.QUANTIZATION:
                found[TensorId(index)] = Cause.QUANTIZATION
            case Role.CONSTANT:
                if index in masks:
                    found[TensorId(index)] = Cause.PRUNING_STATE
            case Role.OTHER:
                cause = _bookkeeping(tensor)
                if cause is not None:
                    found[TensorId(index)] = cause
            case Role.WEIGHT | Role.STATISTIC:
                pass
    known = frozenset(paired)
    for group in duplicates(side):
        kept = next((one for one in group if one in known), group[0])
        for one in group:
            if one != kept:
                found[one] = duplicate_cause(side, one, kept)
    return found


def _helper_cause(side: Subject) -> Cause:
    """Return what the helper variables of training wrappers are there for."""
    is_quantizing = helpers_of(side.artifact) is Helpers.QUANTIZATION
    return Cause.QUANTIZATION_AWARE_TRAINING if is_quantizing else Cause.PRUNING_STATE


def _bookkeeping(tensor: Tensor) -> Cause | None:
    """Return what a variable that is not part of the model is for: metrics and counters."""
    parts = [part for part in tensor.path.split("/") if part not in (ATTRIBUTES, VARIABLE_VALUE)]
    if not _METRICS.isdisjoint(parts):
        return Cause.TRAINING_CONFIG
    return Cause.METADATA if parts and parts[-1] in _COUNTERS else None
