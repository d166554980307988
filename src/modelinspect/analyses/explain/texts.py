"""Messages of causes: what was added or removed, and what to do about it; of constants, the largest with its
shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from modelinspect.analyses.explain.operators import operators_text
from modelinspect.core.artifact import FormatName
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.networks.copies import saved_again
from modelinspect.networks.names import canonical_name
from modelinspect.networks.optimizer_state import (
    checkpoints,
    is_one,
    optimizer_text,
    optimizers_text,
    same_optimizers,
)
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Helpers, helpers_of
from modelinspect.remedies.causes import cause_remedy
from modelinspect.reports.causes import Cause
from modelinspect.reports.wording import plural


@dataclass(frozen=True, slots=True)
class CauseText:
    """A cause in words; the remedy is empty where nothing is to be done."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a cause appears: how many tensors it changed, and whether both sides have such tensors.

    ``around`` means that most of the difference is in structures around tensors, not in tensors.
    """

    tensors: int
    both: bool
    around: bool


def cause_text(cause: Cause, delta: int, shown: Shown, before: Subject | None, after: Subject) -> CauseText:
    """Say what a cause did and how to undo what it cost; ``delta`` is after less before."""
    grew = delta > 0
    holder = after if grew or before is None else before
    advice = cause_remedy(cause, holder) if grew else None
    return CauseText(
        _message(cause, grew, shown, before, after, holder), advice.text if advice is not None else ""
    )


def _message(
    cause: Cause, grew: bool, shown: Shown, before: Subject | None, after: Subject, holder: Subject
) -> str:
    state = _state(cause, shown, holder)
    if cause is Cause.OPTIMIZER_STATE and before is not None and shown.both:
        if shown.around and not same_optimizers(before, after):
            return f"{'more' if grew else 'fewer'} bytes of names, headers and groups for its variables"
        if not shown.around:
            state = optimizers_text(before, after)
    if state is not None:
        return state if before is None else _changed_state(state, grew, shown)
    match cause:
        case Cause.MORE_OPERATORS if before is not None:
            return operators_text(before, after)
        case Cause.CONSTANT_FOLDING:
            return constants_text(before, after, grew=grew)
        case Cause.TRACED_FUNCTIONS:
            return f"{cause.meaning}: {functions_text(before, after)}"
        case Cause.COMPRESSION:
            if before is None:
                return cause.meaning
            return "less data is compressed, or it compresses worse" if grew else "stored compressed"
        case Cause.QUANTIZATION if before is not None and not shown.tensors:
            return (
                f"{'more' if grew else 'fewer'} scales, zero points and fields for them; no weight changed"
                " its type"
            )
        case Cause.SPARSE_ENCODING | Cause.QUANTIZATION | Cause.DTYPE_CHANGE | Cause.STRUCTURE_CHANGE:
            return _change_message(cause, grew, shown.tensors, before, after)
        case _:
            return cause.meaning


def _state(cause: Cause, shown: Shown, holder: Subject) -> str | None:
    """Name the tensors that are there for a cause; None for causes that are about weights or structures."""
    match cause:
        case Cause.OPTIMIZER_STATE:
            return optimizer_text(holder)
        case Cause.EMA_SHADOW:
            return f"a moving average beside each of {plural(shown.tensors, 'variable')}"
        case Cause.PRUNING_STATE | Cause.QUANTIZATION_AWARE_TRAINING:
            return _HELPERS[helpers_of(holder.artifact)]
        case Cause.WRAPPER_DUPLICATE:
            wrapper = _WRAPPERS.get(helpers_of(holder.artifact), "the pruning wrapper")
            return f"{plural(shown.tensors, 'weight')} stored by {wrapper} and again by the layer within it"
        case Cause.EXPORT_DUPLICATE:
            again = (
                "written a second time under another name"
                if is_one(holder)
                else "that another checkpoint in the folder also has"
            )
            return f"{plural(shown.tensors, 'variable')} {again}"
        case Cause.SHARED_DUPLICATE:
            return f"{plural(shown.tensors, 'tensor')} equal to another stored tensor"
        case _:
            return None


_HELPERS = {
    Helpers.NONE: "masks, thresholds and steps of pruning wrappers (a mask is as large as its weight)",
    Helpers.PRUNING: "masks, thresholds and steps of pruning wrappers (a mask is as large as its weight)",
    Helpers.CLUSTERING: (
        "the centroids of clustering wrappers, and for each weight the index of its centroid (8 bytes each)"
    ),
    Helpers.QUANTIZATION: "ranges and steps of quantization-aware training",
}
_WRAPPERS = {
    Helpers.CLUSTERING: "the clustering wrapper",
    Helpers.QUANTIZATION: "the wrapper of quantization-aware training",
}


def _changed_state(state: str, grew: bool, shown: Shown) -> str:
    if not shown.both:
        return f"{'added' if grew else 'gone'}: {state}"
    if shown.around:
        return f"{'more' if grew else 'fewer'} bytes of names, headers and groups; both sides have {state}"
    return f"{'more' if grew else 'less'}: {state}"


def _change_message(cause: Cause, grew: bool, places: int, before: Subject | None, after: Subject) -> str:
    """Describe a cause that changes how weights are stored, or which there are."""
    match cause:
        case Cause.SPARSE_ENCODING:
            if before is None:
                return "what sparse storage changes: indices added, zeros left out"
            if all(
                any(tensor.storage is Storage.SPARSE for tensor in side.artifact.tensors)
                for side in (before, after)
            ):
                return (
                    f"sparse storage saves {'less' if grew else 'more'}, or its indices take"
                    f" {'more' if grew else 'less'} space"
                )
            return (
                "the indices of sparse storage take more space than the zeros did"
                if grew
                else "zeros are not stored; indices are added"
            )
        case Cause.QUANTIZATION:
            if before is None:
                return "scales, zero points and ranges"
            if grew:
                return "more scales, zero points and ranges than narrow integers save"
            return "weights stored as narrow integers; scales and zero points added"
        case Cause.DTYPE_CHANGE:
            return f"{plural(places, 'tensor')} with {'wider' if grew else 'narrower'} elements"
        case Cause.STRUCTURE_CHANGE:
            if before is None:
                return f"weights: {plural(parameters(after), 'parameter')} in {plural(places, 'tensor')}"
            if checkpoints(before) != checkpoints(after):
                return (
                    f"checkpoints of the model: {checkpoints(before):,} before, {checkpoints(after):,} after"
                )
            return _structure_text(before, after, places, grew)
        case _:
            return cause.meaning


def _structure_text(before: Subject, after: Subject, places: int, grew: bool) -> str:
    """Say how the tensors differ; ``places`` is the number of those whose size does."""
    if not places:
        return (
            f"{'more' if grew else 'fewer'} bytes of names, shapes and nodes of the model's variables; their"
            " elements take the same space"
        )
    counts = parameters(before), parameters(after)
    if counts[0] == counts[1]:
        text = (
            f"{plural(places, 'tensor')} with other names, shapes or sizes:"
            f" {plural(counts[0], 'parameter')} before and after"
        )
    else:
        text = (
            f"{plural(places, 'tensor')} {'more or larger' if grew else 'fewer or smaller'}:"
            f" {plural(counts[0], 'parameter')} before, {plural(counts[1], 'parameter')} after"
        )
    return text + _normalizations(before, after)


def _normalizations(before: Subject, after: Subject) -> str:
    """Say what the converter does to batch normalizations, where one side has them and the other is of
    TFLite.
    """
    for keras, converted in ((before, after), (after, before)):
        statistics = Counter(
            tensor.layer
            for tensor in keras.artifact.tensors
            if tensor.role is Role.STATISTIC and tensor.layer
        )
        count = sum(each == _MOVING for each in statistics.values())
        if count and converted.artifact.format is FormatName.TFLITE:
            of_them = f"the {count:,} batch normalizations" if count > 1 else "the batch normalization"
            return (
                f"; the converter folds {of_them} into convolutions, or keeps a factor and an offset of four"
                " vectors"
            )
    return ""


_MOVING = 2
"""The moving averages of a batch normalization: mean and variance."""


def functions_text(before: Subject | None, after: Subject) -> str:
    """Say how many functions each side has, and what of their bytes is a body that another has too."""
    now, twice = _functions(after)
    if before is None:
        return f"{now:,}" + (
            f"; {twice:,} bytes of them are bodies that another function also has" if twice else ""
        )
    then, once = _functions(before)
    said = f"{then:,} before, {now:,} after"
    if once and twice:
        return f"{said}; {once:,} bytes before and {twice:,} after are bodies that another function also has"
    when = "after" if twice else "before"
    return (
        f"{said}; {once or twice:,} bytes of those {when} are bodies that another function also has"
        if once or twice
        else said
    )


def _functions(side: Subject) -> tuple[int, int]:
    """Return how many functions the library has, and the bytes of those whose body is already there."""
    functions = side.artifact.facts.get("functions")
    found = (
        [entry for entry in functions if isinstance(entry, Mapping)]
        if isinstance(functions, tuple | list)
        else []
    )
    seen: set[object] = set()
    twice = 0
    for entry in found:
        body, size = entry.get("body"), entry.get("size")
        if body in seen and isinstance(size, int):
            twice += size
        seen.add(body)
    count = side.artifact.facts.get("function_count")
    return count if isinstance(count, int) else len(found), twice


def parameters(side: Subject) -> int:
    """Return how many elements the model's weights and statistics have, each variable counted once."""
    copies = saved_again(side)
    return sum(
        tensor.element_count
        for index, tensor in enumerate(side.artifact.tensors)
        if index not in copies and _is_parameter(tensor)
    )


def _is_parameter(tensor: Tensor) -> bool:
    return tensor.role in (Role.WEIGHT, Role.STATISTIC)


def constants_text(before: Subject | None, after: Subject, *, grew: bool) -> str:
    """Return the cause in words: the constant that changes the most, its shape on both sides, and how many
    others there are.
    """
    meaning = Cause.CONSTANT_FOLDING.meaning
    now = _constants(after)
    if before is None:
        largest = max(now.values(), key=lambda tensor: tensor.stored_size, default=None)
        return meaning if largest is None else f"{meaning}; the largest is {largest.name} ({_shape(largest)})"
    then = _constants(before)
    sizes = {name: _size(now.get(name)) - _size(then.get(name)) for name in {*now, *then}}
    changed = sorted(
        (name for name, size in sizes.items() if size and (size > 0) is grew),
        key=lambda name: (-abs(sizes[name]), name),
    )
    if not changed:
        return meaning
    one, other = then.get(changed[0]), now.get(changed[0])
    if one is not None and other is not None and _shape(one) == _shape(other):  # text
        said = f"{changed[0]} takes {other.stored_size:,} bytes and took {one.stored_size:,}"
    elif one is not None and other is not None:
        said = f"{changed[0]} is {_shape(other)} and was {_shape(one)}"
    else:
        known = other if other is not None else one
        shape = "" if known is None else f" ({_shape(known)})"
        said = f"{changed[0]}{shape} is {'new' if other is not None else 'gone'}"
    others = len(changed) - 1
    return f"{meaning}: {said}" + (
        f"; {plural(others, 'other')} differ{'s' * (others == 1)} too" if others else ""
    )


def _constants(side: Subject) -> dict[str, Tensor]:
    found = (tensor for tensor in side.artifact.tensors if tensor.role is Role.CONSTANT)
    return {canonical_name(tensor): tensor for tensor in found}


def _size(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.stored_size


def _shape(tensor: Tensor) -> str:
    """Return a shape and an element type as tables show them: ``8x5 float32``."""
    return f"{'x'.join(map(str, tensor.shape)) or 'scalar'} {tensor.dtype}"
