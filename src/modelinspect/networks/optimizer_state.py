"""What an optimizer keeps: which one it is, the slots for the weights, and averages of the weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import ElementKind, Role, Tensor
from modelinspect.networks.copies import saved_again
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural

STATE = "optimizer state"
_TWICE = "/inner_optimizer/"
"""Part of the names of what LossScaleOptimizer has in it; a Keras store has it again under the outer one's
name.
"""
_SLOTS = {
    "Adam": (2, 3),
    "AdamW": (2, 3),
    "Nadam": (2,),
    "Adamax": (2,),
    "Adadelta": (2,),
    "Ftrl": (2,),
    "LAMB": (2,),
    "SGD": (1,),
    "Momentum": (1,),
    "Lion": (1,),
    "Adagrad": (1,),
    "RMSprop": (1, 2, 3),
}
"""How many slots each optimizer may have for a weight."""


def optimizer_text(side: Subject) -> str:
    """Say what an optimizer keeps beside averages, in slots for each weight where they come out even."""
    named = optimizer_of(side.artifact)
    return f"{f'{STATE} ({named})' if named else STATE}: {slots_text(side, named)}"


def optimizers_text(before: Subject, after: Subject) -> str:
    """Say what the optimizers of two sides keep; once where it is the same."""
    names, held = _told(before, after)
    if held[0] == held[1]:
        return optimizer_text(after if names[1] else before)
    text = [
        f"{when}, {what}{f' ({named})' if named else ''}"
        for what, when, named in zip(held, ("before", "after"), names, strict=True)
    ]
    return f"{STATE}: {'; '.join(text)}"


def same_optimizers(before: Subject, after: Subject) -> bool:
    """Return whether the optimizers of two sides keep as many slots for as many weights."""
    _, held = _told(before, after)
    return held[0] == held[1]


def _told(before: Subject, after: Subject) -> tuple[list[str], list[str]]:
    """Return what the optimizer of each side is called, and what it keeps."""
    sides = (before, after)
    names = [optimizer_of(side.artifact) for side in sides]
    return names, [slots_text(side, named) for side, named in zip(sides, names, strict=True)]


def slots_text(side: Subject, named: str) -> str:
    """Say how many slots an optimizer of a name has for how many weights."""
    averages = average_names(side.artifact)
    kept = [
        tensor
        for tensor in side.artifact.tensors
        if tensor.role is Role.OPTIMIZER and tensor.path not in averages
    ]
    inner = [tensor for tensor in kept if _TWICE in tensor.path]
    twice = inner if 0 < len(inner) < len(kept) else []
    slots = twice or kept
    copies = saved_again(side) if is_one(side) else frozenset[TensorId]()
    weights = [
        tensor
        for index, tensor in enumerate(side.artifact.tensors)
        if tensor.role is Role.WEIGHT and TensorId(index) not in copies
    ]
    said = _slots_of(slots, weights, named, checkpoints(side)) or _times(kept, weights)
    again = ", stored twice, by LossScaleOptimizer and the optimizer in it" if twice else ""
    return f"{said}{again}"


def _slots_of(slots: Sequence[Tensor], weights: Sequence[Tensor], named: str, times: int) -> str:
    """Count the slots of each weight; nothing where they do not come out even. What is frozen has none.

    A scalar may be a setting of the optimizer or the slot of a scalar weight: scalars are counted where there
    are enough of them.
    """
    elements = sum(tensor.element_count for tensor in weights)
    scalar_weights = sum(not tensor.shape for tensor in weights)
    held = sum(tensor.element_count for tensor in slots if tensor.shape)
    if not elements or not held:
        return ""
    each = held // max(elements - scalar_weights, 1)
    if scalar_weights and each and sum(_may_be_slot(tensor) for tensor in slots) >= each * scalar_weights:
        held += each * scalar_weights
    if held % elements == 0:
        where = f", in each of {times:,} checkpoints" if times > 1 and elements % times == 0 else ""
        return (
            f"{plural(held // elements, 'slot')} for each of"
            f" {plural(elements // times if where else elements, 'weight')}{where}"
        )
    shapes = Counter(tensor.shape for tensor in slots if tensor.shape)
    there = Counter(tensor.shape for tensor in weights)
    for each in sorted(_SLOTS.get(named, ()), reverse=True):
        if all(count % each == 0 and count // each <= there[shape] for shape, count in shapes.items()):
            return f"{plural(each, 'slot')} for each of {held // each:,} of the {plural(elements, 'weight')}"
    return ""


def _may_be_slot(tensor: Tensor) -> bool:
    return not tensor.shape and tensor.dtype.kind is ElementKind.FLOAT


def _times(slots: Sequence[Tensor], weights: Sequence[Tensor]) -> str:
    """Say how many tensors there are, and how much of the weights they come to where that is a tenth or
    more.
    """
    elements = sum(tensor.element_count for tensor in weights)
    held = sum(tensor.element_count for tensor in slots if tensor.element_count > 1)
    times = f", {held / elements:.1f} times the weights" if elements and 20 * held >= elements else ""
    return f"{plural(len(slots), 'tensor')}{times}"


def is_one(side: Subject) -> bool:
    """Return whether the artifact is one model, and not several checkpoints of one."""
    return checkpoints(side) < 2


def checkpoints(side: Subject) -> int:
    """Return how many checkpoints of one model a folder holds; 1 for everything else."""
    kept = side.artifact.facts.get("checkpoints")
    return len(kept) if isinstance(kept, tuple | list) and kept else 1


_AVERAGES = re.compile(
    r"(?:^|[/_.])(?:ExponentialMovingAverage|moving_avg|average|ema)(?:[/_.:]|$)", re.IGNORECASE
)
_COUNTED = re.compile(r"_\d+$")
_NAMES = {
    "adamw": "AdamW",
    "adamax": "Adamax",
    "nadam": "Nadam",
    "adam": "Adam",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "adafactor": "Adafactor",
    "ftrl": "Ftrl",
    "lamb": "LAMB",
    "lion": "Lion",
    "momentum": "Momentum",
    "sgd": "SGD",
}
_PURPOSES = (
    (frozenset(("momentums", "velocities")), "Adam"),
    (frozenset(("m", "v")), "Adam"),
    (frozenset(("adam_m", "adam_v")), "Adam"),
    (frozenset(("accumulated_gradient", "accumulated_delta_var")), "Adadelta"),
    (frozenset(("velocity",)), "RMSprop"),
    (frozenset(("rms",)), "RMSprop"),
    (frozenset(("accumulator",)), "Adagrad"),
    (frozenset(("momentum",)), "SGD"),
    (frozenset(("momentums",)), "SGD"),
)
"""What optimizers call their slots, where nothing else names them; the more telling ones come first."""


def optimizer_of(artifact: Artifact) -> str:
    """Return the optimizer's name: as the training configuration lists it, by its slots' names, or by what
    they are for; or nothing.
    """
    fact = artifact.facts.get("optimizer")
    if isinstance(fact, str):
        plain = _COUNTED.sub("", fact.rpartition(">")[2])
        return _NAMES.get(plain.lower(), plain)
    names = [tensor.path for tensor in artifact.tensors if tensor.role is Role.OPTIMIZER]
    parts = {part.lower() for name in names for part in name.replace(":", "/").split("/")}
    for known, shown in _NAMES.items():
        if any(part == known or part.startswith(f"{known}_") for part in parts):
            return shown
    slots = artifact.facts.get("slot_variables")
    found = (
        {slot.get("purpose") for slot in slots if isinstance(slot, Mapping)}
        if isinstance(slots, tuple | list)
        else set()
    )
    return next((shown for purposes, shown in _PURPOSES if purposes <= found), "")


def average_names(artifact: Artifact) -> frozenset[str]:
    """Return the paths of the tensors that are moving averages: by name, or as a checkpoint's object graph
    knows them.

    Keras 3 numbers averages like all its slots.
    """
    slots = artifact.facts.get("slot_variables")
    fact = (slot for slot in slots if isinstance(slot, Mapping)) if isinstance(slots, tuple | list) else ()
    found = {str(slot["tensor"]) for slot in fact if slot.get("purpose") == "average" and "tensor" in slot}
    named = {
        tensor.path
        for tensor in artifact.tensors
        if tensor.role is Role.OPTIMIZER and _AVERAGES.search(tensor.path)
    }
    return frozenset(found | named)
