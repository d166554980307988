"""Decide what an array is for by its place in the tree that was saved.

Keras writes ``trainable_variables.MODEL.LAYER.VARIABLE`` and its siblings (keras/src/models/model.py,
get_state_tree); Flax and Optax write ``params``, ``batch_stats`` and ``opt_state``.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role

_TRAINABLE, _FIXED, _OPTIMIZER, _METRICS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)
_KERAS = (_TRAINABLE, _FIXED)
_ROLES = {
    _TRAINABLE: Role.WEIGHT,
    _FIXED: Role.OTHER,
    _OPTIMIZER: Role.OPTIMIZER,
    _METRICS: Role.OTHER,
    "params": Role.WEIGHT,
    "batch_stats": Role.STATISTIC,
    "opt_state": Role.OPTIMIZER,
    "step": Role.OTHER,
    "rng": Role.OTHER,
}
_STATISTICS = frozenset(("moving_mean", "moving_variance", "mean", "variance", "count"))


@dataclass(frozen=True, slots=True)
class Use:
    """What an array is called, what it is for, and its layer."""

    name: str
    role: Role
    layer: str | None


def uses(keys: Sequence[tuple[str, ...]]) -> list[Use]:
    """Return the use of each array by the parts of its key; a model's own name is left out where all share
    one.
    """
    models = {parts[1] for parts in keys if parts and parts[0] in _KERAS and len(parts) > 2}
    return [_use(parts, len(models) == 1) for parts in keys]


def _use(parts: tuple[str, ...], has_one_model: bool) -> Use:
    first = next((part for part in parts[:2] if part in _ROLES), "")
    role = _ROLES.get(first, Role.WEIGHT)
    if first == _FIXED and parts[-1] in _STATISTICS:
        role = Role.STATISTIC
    if first in _KERAS and len(parts) > 2:
        path = parts[2:] if has_one_model else parts[1:]
        return Use("/".join(path), role, "/".join(path[:-1]) or parts[1])
    named = parts[1:] if first in (_OPTIMIZER, "params") and len(parts) > 1 and parts[0] == first else parts
    layer = "/".join(named[:-1]) or None
    return Use("/".join(named), role, layer if role in (Role.WEIGHT, Role.STATISTIC) else None)
