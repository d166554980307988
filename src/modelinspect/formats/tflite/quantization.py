"""Read how a tensor is quantized: for the whole, along an axis, by blocks, along several axes, or in a custom
way.
"""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Quantization
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.formats.tflite.model import TensorRow


@dataclass(frozen=True, slots=True)
class Scheme:
    """A tensor's quantization.

    ``affine`` is set where scales and zero points are in the tensor itself. ``form`` says which way
    (``tensor``, ``channel``, or the table of the details); ``scales`` and ``zero_points`` are indices of the
    tensors that hold them, -1 where there are none.
    """

    form: str
    affine: Quantization | None = None
    scales: int = -1
    zero_points: int = -1
    block_size: int = 0


def read_quantization(row: TensorRow) -> Scheme | None:
    """Return how a tensor is quantized, None where it is not. Raises `FormatError`."""
    table = row.table.table("quantization")
    if table is None:
        return None
    if table.value("details_type"):
        return _details(table)
    scales, zero_points = table.numbers("scale"), table.numbers("zero_point")
    if not scales:
        return None
    points = tuple(zero_points) or (0,) * len(scales)
    if len(scales) == 1:
        return Scheme("tensor", Quantization(tuple(scales), points[:1], None))
    axis = table.value("quantized_dimension")
    if len(points) == 1:
        points = points * len(scales)
    return Scheme("channel", Quantization(tuple(scales), points, axis))


def _details(table: Table) -> Scheme:
    details = table.table("details")
    if details is None:
        return Scheme("unknown")
    fields = details.type.by_name
    form = {"BlockwiseQuantization": "block", "MultiAxisQuantization": "multi-axis"}.get(
        details.type.name, "custom"
    )
    if "scales" not in fields:
        return Scheme(form)
    return Scheme(
        form, None, details.value("scales"), details.value("zero_points"), details.value("block_size")
    )
