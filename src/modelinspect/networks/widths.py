"""How many bits a weight takes: stored values, with the scales, zero points and indices that they need; and
what stayed wider.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from modelinspect.core.artifact import Artifact
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ElementKind, LookupPayload, PackedPayload, Role, SparsePayload, Tensor

_SCALE, _ZERO_POINT = 4, 8
"""Bytes of a scale and of a zero point in TFLite."""
_READERS = 5
_WEIGHTS = frozenset((Role.WEIGHT, Role.STATISTIC))


@dataclass(frozen=True, slots=True)
class TypeShare:
    """The weights of one element type: how many, their stored bytes, and what reads the largest of them.

    ``readers`` are the operators that take them (TFLite), else their layers.
    """

    dtype: str
    tensors: int
    elements: int
    size: int
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Widths:
    """What the weights of an artifact take: elements, bytes with helpers, and the share of each element type,
    the largest first.
    """

    elements: int
    size: int
    types: tuple[TypeShare, ...]

    @property
    def bits_per_weight(self) -> float | None:
        """Stored bits over elements, None where there are no weights."""
        return 8 * self.size / self.elements if self.elements else None


def values_in_a_byte(tensor: Tensor) -> int:
    """Return how many values share a byte, 1 where none do."""
    if isinstance(tensor.payload, PackedPayload):
        return tensor.payload.per_byte
    if isinstance(tensor.payload, LookupPayload):
        return 8 // tensor.payload.bits
    return (
        8 // tensor.dtype.bits
        if 0 < tensor.dtype.bits < 8 and tensor.stored_size < tensor.element_count
        else 1
    )


def sizes_with_helpers(artifact: Artifact) -> tuple[int, ...]:
    """Return the bytes of each tensor with those of its scales, zero points and index.

    Helpers that are tensors go to the weight of their layer that they are named after (``kernel_scale``),
    else to the one that is quantized.
    """
    sizes = [tensor.stored_size + _own_helpers(tensor) for tensor in artifact.tensors]
    of_layers: dict[str, list[int]] = defaultdict(list)
    for index, tensor in enumerate(artifact.tensors):
        if tensor.role in _WEIGHTS and _is_narrow(tensor):
            of_layers[_owner(tensor)].append(index)
    for tensor in artifact.tensors:
        known = of_layers.get(_owner(tensor), ()) if tensor.role is Role.QUANTIZATION else ()
        if known:
            last = tensor.name.rpartition("/")[2]
            named = [
                index
                for index in known
                if last.startswith(f"{artifact.tensors[index].name.rpartition('/')[2]}_")
            ]
            sizes[(named or known)[0]] += tensor.stored_size
    return tuple(sizes)


def weight_widths(artifact: Artifact) -> Widths:
    """Return what the weights take, by element type."""
    weights = [
        index
        for index, tensor in enumerate(artifact.tensors)
        if tensor.role in _WEIGHTS and _is_number(tensor)
    ]
    if not weights:
        return Widths(0, 0, ())
    sizes = sizes_with_helpers(artifact)
    groups: dict[str, list[int]] = defaultdict(list)
    for index in weights:
        groups[artifact.tensors[index].dtype.name].append(index)
    uses = artifact.facts.get("tensor_uses")
    shares = [
        TypeShare(
            name,
            len(group),
            sum(artifact.tensors[index].element_count for index in group),
            sum(sizes[index] for index in group),
            _readers([artifact.tensors[index] for index in group], uses if isinstance(uses, Mapping) else {}),
        )
        for name, group in groups.items()
    ]
    shares.sort(key=lambda share: (-share.size, share.dtype))
    return Widths(sum(share.elements for share in shares), sum(share.size for share in shares), tuple(shares))


def _readers(tensors: list[Tensor], uses: Mapping[str, object]) -> tuple[str, ...]:
    """Return what reads tensors, of the largest first, a few."""
    found: dict[str, None] = {}
    for tensor in sorted(tensors, key=lambda one: (-one.stored_size, one.name)):
        operators = uses.get(tensor.path)
        names = operators if isinstance(operators, tuple) else (tensor.layer,)
        found.update({str(name): None for name in names if name})
        if len(found) >= _READERS:
            break
    return tuple(found)[:_READERS]


def _own_helpers(tensor: Tensor) -> int:
    size = 0
    if isinstance(tensor.payload, SparsePayload):
        spans = [
            span for axis in tensor.payload.axes for span in (axis.segments, axis.indices) if span is not None
        ]
        size += sum(span.size for span in spans)
    if tensor.quantization is not None:
        size += _SCALE * len(tensor.quantization.scales) + _ZERO_POINT * len(tensor.quantization.zero_points)
    return size


def _owner(tensor: Tensor) -> str:
    return tensor.name.rpartition("/")[0]


def _is_number(tensor: Tensor) -> bool:
    return tensor.dtype.kind not in (ElementKind.STRING, ElementKind.OPAQUE) and tensor.element_count > 0


def _is_narrow(tensor: Tensor) -> bool:
    return tensor.dtype.bits <= 8 and tensor.dtype.kind is not ElementKind.STRING and tensor.element_count > 1
