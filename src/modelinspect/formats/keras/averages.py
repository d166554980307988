"""Which of an optimizer's numbered variables are moving averages of the weights.

Keras makes them before the optimizer's own slots, one for each variable: ``build`` in
keras/src/optimizers/base_optimizer.py, and in tf_keras/src/optimizers/optimizer.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from modelinspect.core.tensors import Role, Tensor
from modelinspect.formats.keras.store import split_path

_OWNER = "optimizer"
_MOST_SLOTS = 3


def keeps_averages(compile_config: Mapping[str, object] | None) -> bool:
    """Return whether the optimizer of a configuration keeps moving averages."""
    optimizer = compile_config.get("optimizer") if compile_config is not None else None
    settings = optimizer.get("config") if isinstance(optimizer, Mapping) else None
    return isinstance(settings, Mapping) and settings.get("use_ema") is True


def moving_averages(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    """Return the names of the averages; none where the variables do not come out as averages and slots of the
    same shapes.
    """
    numbered = [
        (place[1], tensor)
        for tensor in tensors
        if tensor.role is Role.OPTIMIZER and (place := split_path(tensor.path))
    ]
    slots = [tensor for index, tensor in sorted(numbered, key=lambda pair: pair[0]) if _is_slot(tensor)]
    for each in reversed(range(_MOST_SLOTS + 1)):
        count, rest = divmod(len(slots), each + 1)
        averaged = Counter(tensor.shape for tensor in slots[:count])
        if (
            count
            and not rest
            and Counter(tensor.shape for tensor in slots[count:])
            == {s: each * n for s, n in averaged.items() if each}
        ):
            return tuple(tensor.path for tensor in slots[:count])
    return ()


def _is_slot(tensor: Tensor) -> bool:
    place = split_path(tensor.path)
    return place is not None and place[0] == _OWNER and tensor.element_count > 1
