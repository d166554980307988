"""Which optimizer's state an artifact holds, and what of it are averages of the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelinspect.core.artifact import Artifact
from modelinspect.core.tensors import Role

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
