"""Names of an optimizer's variables, which a weights store only numbers.

Keras makes them in a fixed order: the count of steps, the learning rate, moving averages and accumulated
gradients if asked for, then the slots, those that are made together one after another for each trainable
variable (``build`` in keras/src/optimizers and tf_keras/src/optimizers). They are named only where the shapes
of all of them agree with that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

Shape = tuple[int, ...]

CLASSES = {
    name.lower(): name
    for name in (
        "Adadelta",
        "Adafactor",
        "Adagrad",
        "Adam",
        "Adamax",
        "AdamW",
        "Ftrl",
        "Lamb",
        "Lion",
        "Muon",
        "Nadam",
        "RMSprop",
        "ScheduleFreeAdamW",
        "SGD",
    )
} | {
    "schedule_free_adam_w": "ScheduleFreeAdamW",
    "adam_w": "AdamW",
    "rm_sprop": "RMSprop",
    "loss_scale_optimizer": "LossScaleOptimizer",
}
"""The optimizers of Keras, by what their variables' names begin with."""

_MOMENTS = frozenset({"Adam", "AdamW", "Lamb", "Nadam", "ScheduleFreeAdamW"})
_SHORT = {"momentum": "m", "velocity": "v", "velocity_hat": "vhat"}
_PLURALS = {"velocities": "velocity", "accumulated_gradients": "accumulated_gradient"}

_Group = tuple[str, ...]
_SLOTS: dict[str, tuple[tuple[_Group, bool], ...]] = {
    **dict.fromkeys(("Adam", "AdamW"), ((("momentum", "velocity"), False), (("velocity_hat",), True))),
    **dict.fromkeys(("Lamb", "Nadam", "ScheduleFreeAdamW"), ((("momentum", "velocity"), False),)),
    "SGD": ((("momentum",), True),),
    "Lion": ((("momentum",), False),),
    "RMSprop": ((("velocity",), False), (("momentum",), True), (("average_gradient",), True)),
    "Adagrad": ((("accumulator",), False),),
    "Adadelta": ((("accumulated_gradient", "accumulated_delta_var"), False),),
    "Adamax": ((("m", "u"), False),),
    "Ftrl": ((("accumulator", "linear"), False),),
}
"""The groups of slots that an optimizer makes, in order, each with whether a setting decides if it is
made.
"""
_SETTINGS = {
    "average": "use_ema",
    "gradient_accumulator": "gradient_accumulation_steps",
    "velocity_hat": "amsgrad",
    "momentum": "momentum",
    "average_gradient": "centered",
}
"""The setting that decides whether a group is made, by the group's first slot."""
_BEFORE: tuple[tuple[_Group, bool], ...] = ((("average",), True), (("gradient_accumulator",), True))
_HEADS: tuple[_Group, ...] = (
    ("iteration",),
    ("iteration", "learning_rate"),
    ("iteration", "learning_rate", "u_product"),
)


def class_of_scope(scope: str) -> str:
    """Return the optimizer's class that variables' names begin with: Adam for ``adam`` or ``adam_1``; an
    unknown name as it is.
    """
    bare = scope.rstrip("0123456789").rstrip("_") if scope.lower() not in CLASSES else scope
    return CLASSES.get(bare.lower(), scope)


def slot_name(optimizer: str, slot: str, variable: str) -> str:
    """Return what a slot is called: ``Adam/m/stem/kernel``."""
    bare = slot.strip("_")
    single = _PLURALS.get(
        bare, bare.removesuffix("s") if bare in ("momentums", "accumulators", "linears") else bare
    )
    short = _SHORT.get(single, single) if optimizer in _MOMENTS else single
    return "/".join(part for part in (optimizer, short, variable) if part)


def slot_names(
    optimizer: str,
    shapes: Sequence[Shape],
    trained: Sequence[tuple[str, Shape]],
    settings: Mapping[str, object],
) -> tuple[str, ...] | None:
    """Return the names of an optimizer's variables, whose ``shapes`` are in order; None where they do not
    come out.

    ``trained`` are the names and shapes of the trainable variables in the model's order. ``settings`` are
    the optimizer's, as far as they are known: moving averages, accumulated gradients and further slots have
    the same shapes.
    """
    sizes = tuple(shape for _, shape in trained)
    for groups in _choices(optimizer, settings):
        slots = [(slot, place) for group in groups for place in range(len(trained)) for slot in group]
        for head in _HEADS:
            if len(head) + len(slots) != len(shapes) or any(shapes[: len(head)]):
                continue
            if all(shapes[len(head) + number] == sizes[place] for number, (_, place) in enumerate(slots)):
                named = [slot_name(optimizer, slot, trained[place][0]) for slot, place in slots]
                return (*(f"{optimizer}/{name}" for name in head), *named)
    if optimizer in _SLOTS and not any(shapes) and len(shapes) in (1, 2):  # it has not made slots yet
        return tuple(f"{optimizer}/{name}" for name in _HEADS[len(shapes) - 1])
    return None


def _choices(optimizer: str, settings: Mapping[str, object]) -> Iterator[tuple[_Group, ...]]:
    """Yield the groups that an optimizer may have, its plainest settings first."""
    fact = _SLOTS.get(optimizer)
    if fact is None:
        return
    everything = (*_BEFORE, *fact)
    made = (_made(optimizer, group, settings) if optional else (True,) for group, optional in everything)
    for wanted in product(*made):
        yield tuple(group for (group, _), chosen in zip(everything, wanted, strict=True) if chosen)


def _made(optimizer: str, group: _Group, settings: Mapping[str, object]) -> tuple[bool, ...]:
    """Return whether an optional group may be missing or made: one answer where its setting is known."""
    setting = _SETTINGS[group[0]]
    if settings.get(setting):
        return (True,)
    if setting not in settings or (optimizer == "SGD" and setting == "momentum"):  # Keras 2 makes it anyway
        return (False, True)
    return (False,)


def optimizer_settings(compile_config: Mapping[str, object] | None, kind: str) -> Mapping[str, object]:
    """Return the settings of the optimizer of a class, the one that another scales the loss for included;
    none where they are not described.
    """
    config = (compile_config or {}).get("optimizer_config", (compile_config or {}).get("optimizer"))
    while isinstance(config, Mapping):
        settings = config.get("config")
        if not isinstance(settings, Mapping):
            break
        if optimizer_class({"optimizer": config}) == kind:
            return settings
        config = settings.get("inner_optimizer")
    return {}


def optimizer_class(compile_config: Mapping[str, object] | None) -> str:
    """Return the class of the optimizer that a training configuration describes, "" where it describes
    none.
    """
    config = (
        compile_config.get("optimizer_config", compile_config.get("optimizer"))
        if compile_config is not None
        else None
    )
    name = config.get("class_name") if isinstance(config, Mapping) else config
    return (
        class_of_scope(name.rpartition(">")[2]) if isinstance(name, str) else ""
    )  # compile("adam") leaves the word
