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


def tell(cause: Cause, delta: int, tensors: int, places: int, before: Side | None, after: Side) -> Told:
    """Say what a cause did and how to undo what it cost.

    ``delta`` is after less before, ``places`` counts where it shows: ``tensors`` of them are tensors.
    """
    grew = delta > 0
    holder = after if grew or before is None else before
    message = _message(cause, grew, tensors or places, before, after, holder)
    if cause is Cause.QUANTIZATION and before is not None and not tensors:
        message = "what the format notes of quantization beside each tensor; no weight was quantized"
    advice = cause_remedy(cause, holder) if grew else None
    return Told(message, advice.text if advice is not None else "")


def _message(cause: Cause, grew: bool, places: int, before: Side | None, after: Side, holder: Side) -> str:
    gone = "" if before is None else ("added: " if grew else "gone: ")
    match cause:
        case Cause.OPTIMIZER_STATE:
            return f"{gone}{optimizer_text(holder)}"
        case Cause.EMA_SHADOW:
            return f"{gone}a moving average beside each of {plural(places, 'variable')}"
        case Cause.PRUNING_STATE:
            return f"{gone}masks, thresholds and steps of pruning wrappers (a mask is as large as its weight)"
        case Cause.WRAPPER_DUPLICATE:
            return f"{gone}{plural(places, 'weight')} stored by the pruning wrapper and again by the layer within it"
        case Cause.EXPORT_DUPLICATE:
            return f"{gone}{plural(places, 'variable')} written a second time under another name"
        case Cause.SHARED_DUPLICATE:
            return f"{gone}{plural(places, 'tensor')} equal to another that is stored too"
        case Cause.TRACED_FUNCTIONS:
            return f"{cause.meaning}: {functions_text(before, after)}"
        case Cause.COMPRESSION:
            if before is None:
                return cause.meaning
            return "less is compressed, or less well" if grew else "stored compressed"
        case Cause.SPARSE_ENCODING | Cause.QUANTIZATION | Cause.DTYPE_CHANGE | Cause.STRUCTURE_CHANGE:
            return _change_message(cause, grew, places, before, after)
        case _:
            return cause.meaning


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
