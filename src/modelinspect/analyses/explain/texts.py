"""Says a cause in words: what was added or is gone, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelinspect.analyses.explain.labels import duplicates
from modelinspect.analyses.explain.remedies import cause_remedy
from modelinspect.analyses.matching import Side
from modelinspect.analyses.optimizers import optimizer_of
from modelinspect.analyses.rules.base import plural
from modelinspect.core.tensors import Role, Tensor
from modelinspect.reports.causes import Cause


@dataclass(frozen=True, slots=True)
class Told:
    """A cause in words; the remedy is empty where nothing is to be done."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a cause shows: how many places, how many of them tensors; whether both sides have such tensors.

    ``around`` tells that most of the difference is in structures around tensors, not in tensors.
    """

    places: int
    tensors: int
    both: bool
    around: bool


def tell(cause: Cause, delta: int, shown: Shown, before: Side | None, after: Side) -> Told:
    """Say what a cause did and how to undo what it cost; ``delta`` is after less before."""
    grew = delta > 0
    holder = after if grew or before is None else before
    advice = cause_remedy(cause, holder) if grew else None
    return Told(_message(cause, grew, shown, before, after, holder), advice.text if advice is not None else "")


def _message(cause: Cause, grew: bool, shown: Shown, before: Side | None, after: Side, holder: Side) -> str:
    places = shown.tensors or shown.places
    state = _state(cause, places, holder)
    if state is not None:
        return state if before is None else _changed_state(state, grew, shown)
    match cause:
        case Cause.TRACED_FUNCTIONS:
            return f"{cause.meaning}: {functions_text(before, after)}"
        case Cause.COMPRESSION:
            if before is None:
                return cause.meaning
            return "less is compressed, or less well" if grew else "stored compressed"
        case Cause.QUANTIZATION if before is not None and not shown.tensors:
            return f"{'more' if grew else 'fewer'} scales, zero points and fields for them; no weight changed its type"
        case Cause.SPARSE_ENCODING | Cause.QUANTIZATION | Cause.DTYPE_CHANGE | Cause.STRUCTURE_CHANGE:
            return _change_message(cause, grew, places, before, after)
        case _:
            return cause.meaning


def _state(cause: Cause, places: int, holder: Side) -> str | None:
    """Name the tensors that are there for a cause; None for causes that are about weights or structures."""
    match cause:
        case Cause.OPTIMIZER_STATE:
            return optimizer_text(holder)
        case Cause.EMA_SHADOW:
            return f"a moving average beside each of {plural(places, 'variable')}"
        case Cause.PRUNING_STATE:
            return "masks, thresholds and steps of pruning wrappers (a mask is as large as its weight)"
        case Cause.WRAPPER_DUPLICATE:
            return f"{plural(places, 'weight')} stored by the pruning wrapper and again by the layer within it"
        case Cause.EXPORT_DUPLICATE:
            return f"{plural(places, 'variable')} written a second time under another name"
        case Cause.SHARED_DUPLICATE:
            return f"{plural(places, 'tensor')} equal to another that is stored too"
        case _:
            return None


def _changed_state(state: str, grew: bool, shown: Shown) -> str:
    if not shown.both:
        return f"{'added' if grew else 'gone'}: {state}"
    if shown.around:
        return f"{'more' if grew else 'fewer'} bytes of names, headers and groups around what both sides have: {state}"
    return f"{'more' if grew else 'less'} of it: {state}"


def _change_message(cause: Cause, grew: bool, places: int, before: Side | None, after: Side) -> str:
    """Say a cause that changes how weights are stored, or which there are."""
    match cause:
        case Cause.SPARSE_ENCODING:
            if before is None:
                return "what sparse storage changes: indices added, zeros left out"
            return "sparse storage costs more than the zeros that it leaves out" if grew else "zeros are left out, less their indices"
        case Cause.QUANTIZATION:
            if before is None:
                return "scales, zero points and ranges"
            if grew:
                return "more scales, zero points and ranges than narrow integers save"
            return "weights stored as narrow integers, less their scales and zero points"
        case Cause.DTYPE_CHANGE:
            return f"{plural(places, 'tensor')} with {'wider' if grew else 'narrower'} elements"
        case Cause.STRUCTURE_CHANGE:
            if before is None:
                return f"the weights themselves: {plural(parameters(after), 'parameter')} in {plural(places, 'tensor')}"
            more = "more or larger" if grew else "fewer or smaller"
            counts = f"{plural(parameters(before), 'parameter')} before, {plural(parameters(after), 'parameter')} after"
            return f"{plural(places, 'tensor')} {more}: {counts}"
        case _:
            return cause.meaning


def optimizer_text(side: Side) -> str:
    """Say what an optimizer keeps, in slots for each weight where they come out even."""
    slots = [tensor for tensor in side.artifact.tensors if tensor.role is Role.OPTIMIZER]
    named = optimizer_of(side.artifact)
    name = f" ({named})" if named else ""
    copies = {copy for group in duplicates(side) for copy in group[1:]} if _is_one(side) else set()
    weights = sum(
        tensor.element_count for index, tensor in enumerate(side.artifact.tensors) if tensor.role is Role.WEIGHT and index not in copies
    )
    held = sum(tensor.element_count for tensor in slots if tensor.element_count > 1)
    if weights and held and held % weights == 0:
        return f"the optimizer's state{name}: {plural(held // weights, 'slot')} for each of {plural(weights, 'weight')}"
    times = f", {held / weights:.1f} times the weights" if weights and held else ""
    return f"the optimizer's state{name}: {plural(len(slots), 'tensor')}{times}"


def functions_text(before: Side | None, after: Side) -> str:
    """Say how many functions each side has, and what of their bytes is a body that another has too."""
    counts = [f"{_functions(side)[0]:,}" for side in (before, after) if side is not None]
    twice = [_functions(side)[1] for side in (before, after) if side is not None]
    said = f"{counts[0]} before, {counts[1]} after" if len(counts) == 2 else counts[0]
    if any(twice):
        sizes = " and ".join(f"{size:,}" for size in twice)
        said += f"; bodies that others have too take {sizes} bytes"
    return said


def _functions(side: Side) -> tuple[int, int]:
    """Return how many functions the library has, and the bytes of those whose body stands there already."""
    told = side.artifact.facts.get("functions")
    found = [entry for entry in told if isinstance(entry, Mapping)] if isinstance(told, tuple | list) else []
    seen: set[object] = set()
    twice = 0
    for entry in found:
        body, size = entry.get("body"), entry.get("size")
        if body in seen and isinstance(size, int):
            twice += size
        seen.add(body)
    count = side.artifact.facts.get("function_count")
    return count if isinstance(count, int) else len(found), twice


def _is_one(side: Side) -> bool:
    """Tell whether the artifact is one model, and not several checkpoints of one."""
    kept = side.artifact.facts.get("checkpoints")
    return not isinstance(kept, tuple | list) or len(kept) < 2


def parameters(side: Side) -> int:
    """Return how many elements the model's weights and statistics have."""
    return sum(tensor.element_count for tensor in side.artifact.tensors if _is_parameter(tensor))


def _is_parameter(tensor: Tensor) -> bool:
    return tensor.role in (Role.WEIGHT, Role.STATISTIC)
