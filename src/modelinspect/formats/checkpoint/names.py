"""What variables are for by the names that TensorFlow 1 gives them, where no object graph says it.

Specification: the slot creators of tensorflow/python/training (slot_creator.py, moving_averages.py) and the
optimizers of BERT, T5 and LAMB; tensorflow/contrib/model_pruning.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from modelinspect.core.tensors import Role
from modelinspect.formats.graph.trackable import Use

_SLOT = re.compile(
    r"(?P<of>.+)(?:/(?P<slot>Adam|AdamW|AdaMax|NAdam|AMSGrad|Momentum|RMSProp|Adagrad|AdagradDA|Adadelta|Ftrl|SGD|LAMB|LARS"
    r"|Adafactor|ProximalAdagrad|GGT|Shampoo)(?:_\d+)?|/(?P<own>adam_[mv]|lamb_[mv]|adafactor_v[rc]?)|(?P<t5>_slot_(?:v[rc]?|m)))"
)
"""An optimizer's name after the variable's, with _1, _2 for its further slots."""
_AVERAGE = re.compile(r"(?P<of>.+)/ExponentialMovingAverage(?:_\d+)?")
_POWER = re.compile(r"(?:.*/)?beta[12]_power(?:_\d+)?")
_COUNTER = re.compile(r"(?:.*/)?(?:global_step|save_counter|step|train_step)")
_STATISTIC = re.compile(r".*/(?:moving_mean|moving_variance|moving_avg|renorm_\w+)(?:/\w+)?")
_PRUNING = re.compile(
    r"(?P<layer>.+)/(?P<what>mask|threshold|pruning_step|old_weight|old_old_weight|gradient)"
)
_PRUNED = ("kernel", "weights", "embedding", "depthwise_weights", "depthwise_kernel")


def use_by_name(name: str, names: Collection[str]) -> Use:
    """Return what a variable is for; ``names`` are all variables of the checkpoint."""
    average = _AVERAGE.fullmatch(name)
    if average:
        return Use(Role.OPTIMIZER, "average", _layer(average["of"]), _known(average["of"], names))
    slot = _SLOT.fullmatch(name)
    if slot:
        purpose = slot["slot"] or slot["own"] or slot["t5"].strip("_")
        return Use(Role.OPTIMIZER, purpose, _layer(slot["of"]), _known(slot["of"], names))
    if _POWER.fullmatch(name):
        return Use(Role.OPTIMIZER, name.rpartition("/")[2])
    if _COUNTER.fullmatch(name):
        return Use(Role.OTHER, "counter")
    pruning = _PRUNING.fullmatch(name)
    if pruning:
        beside = [known for known in (f"{pruning['layer']}/{kind}" for kind in _PRUNED) if known in names]
        # "mask" and "threshold" are words that other layers use too: one without the other, or without a
        # weight, says nothing.
        if beside and all(f"{pruning['layer']}/{part}" in names for part in ("mask", "threshold")):
            return Use(Role.PRUNING, pruning["what"], pruning["layer"], beside[0])
    if _STATISTIC.fullmatch(name):
        return Use(Role.STATISTIC, "statistic", _layer(name))
    return Use(Role.WEIGHT, "weight", _layer(name))


def _layer(name: str) -> str | None:
    return name.rpartition("/")[0] or None


def _known(name: str, names: Collection[str]) -> str | None:
    return name if name in names else None
