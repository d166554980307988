"""Read the weights manifest of a TensorFlow.js model.

Layout: tfjs-converter/python/tensorflowjs/write_weights.py and read_weights.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, prod
from posixpath import normpath

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import DTYPES, DType, Quantization, Role
from modelinspect.errors import FormatError

_OFFSET_LIMIT = 1 << 62
_RANK = 64
_WHOLE = 1e-3


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight as the manifest describes it; ``dtype`` is the one that it is stored as."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    group: str
    quantization: Quantization | None = None
    original_dtype: str = ""

    @property
    def size(self) -> int | None:
        """The bytes that it takes; None for strings, which say it themselves."""
        return (prod(self.shape) * self.dtype.bits + 7) // 8 if self.dtype.bits else None


@dataclass(frozen=True, slots=True)
class Group:
    """Files whose bytes, one file after another, are those of the weights, one weight after another."""

    paths: tuple[str, ...]
    weights: tuple[Weight, ...]


def read_manifest(value: object, member: str) -> tuple[list[Group], list[FormatError]]:
    """Return the groups of a manifest that was parsed from JSON, and what is wrong with it."""
    groups: list[Group] = []
    errors: list[FormatError] = []
    if not isinstance(value, list):
        return [], [FormatError("the weights manifest is not a list of groups", member)]
    for number, item in enumerate(value):
        paths = item.get("paths") if isinstance(item, Mapping) else None
        entries = item.get("weights") if isinstance(item, Mapping) else None
        if (
            not isinstance(paths, list)
            or not isinstance(entries, list)
            or not all(isinstance(path, str) for path in paths)
        ):
            errors.append(
                FormatError(f"group {number} of the weights manifest has no paths and weights", member)
            )
            continue
        weights: list[Weight] = []
        for entry in entries:
            try:
                weights.append(_weight(entry, member))
            except FormatError as error:  # what follows it in the group cannot be placed
                errors.append(error)
                break
        groups.append(Group(tuple(normpath(path) for path in paths), tuple(weights)))
    return groups, errors


def _weight(entry: object, member: str) -> Weight:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise FormatError("a weight of the manifest has no name", member)
    name, shape, fact = entry["name"], entry.get("shape"), entry.get("dtype")
    if not isinstance(shape, list) or not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape
    ):
        raise FormatError(f"weight {name} has no shape", member)
    quantization = entry.get("quantization")
    stored = quantization.get("dtype", fact) if isinstance(quantization, Mapping) else fact
    dtype = DTYPES.get(stored) if isinstance(stored, str) else None
    if dtype is None or (dtype.bits == 0 and dtype.name != "string") or dtype.bits % 8:
        raise FormatError(f"weight {name} is of an unknown type: {stored!r}", member)
    if len(shape) > _RANK or prod(shape) * max(dtype.bits, 1) > _OFFSET_LIMIT:
        raise FormatError(f"weight {name} is larger than any file", member)
    group = entry.get("group")
    affine = _affine(quantization) if isinstance(quantization, Mapping) else None
    original = quantization.get("original_dtype", fact) if isinstance(quantization, Mapping) else ""
    return Weight(
        name,
        dtype,
        tuple(shape),
        group if isinstance(group, str) else "",
        affine,
        original if isinstance(original, str) else "",
    )


def _affine(quantization: Mapping[str, object]) -> Quantization | None:
    """Return scale and zero point, or the least value where the writer did not move it so a stored number
    means 0.
    """
    scale, least = quantization.get("scale"), quantization.get("min")
    if not isinstance(scale, int | float) or not isinstance(least, int | float):
        return None
    if max(abs(scale), abs(least)) >= _OFFSET_LIMIT:  # beyond any real model, and what a float can hold
        return None
    if not (isfinite(scale) and isfinite(least) and scale > 0 and abs(least / scale) < 1 << 31):
        return None
    zero_point = round(-least / scale)
    if abs(-least / scale - zero_point) < _WHOLE:
        return Quantization((float(scale),), (zero_point,))
    return Quantization((float(scale),), (), least=float(least))


def role_of_weight(weight: Weight, variable_role: Role, *, is_graph: bool) -> Role:
    """Say what a weight is for: a graph model stores all its constants as weights, shapes and axes too."""
    if weight.group == "optimizer":
        return Role.OPTIMIZER
    if is_graph and weight.dtype.name in ("int32", "int64", "bool", "string") and weight.quantization is None:
        return Role.CONSTANT
    return variable_role


def all_paths(groups: list[Group]) -> Iterator[str]:
    """Yield the files of all groups."""
    for group in groups:
        yield from group.paths
