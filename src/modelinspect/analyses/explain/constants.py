"""Say which constants make a difference, with their shapes: some grow with the batch or with the size of the
input.
"""

from __future__ import annotations

from modelinspect.core.tensors import Role, Tensor
from modelinspect.networks.names import canonical_name
from modelinspect.networks.subject import Subject
from modelinspect.reports.causes import Cause
from modelinspect.reports.wording import plural


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
