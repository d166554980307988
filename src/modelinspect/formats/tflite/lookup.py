"""Find tensors that tflite-micro stores as indices into tables of values.

Two forms: the metadata ``COMPRESSION_METADATA`` names the table's buffer
(tensorflow/lite/micro/compression/metadata.fbs); the operator ``TFLM_DECODE`` takes pairs of an encoded
tensor and ancillary data, which begin with 16 bytes of common metadata (decode.py, lut.py).
"""

from __future__ import annotations

from collections import Counter
from math import prod

from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import DType, LookupPayload, Quantization
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.model import Model, TensorRow

DECODE = "TFLM_DECODE"
"""The custom code of the operator."""
_HEADER = 16
_LUT = 0
_TYPES = {_LUT: "LUT", 1: "HUFFMAN", 2: "PRUNING"}
_CUSTOM = 128
_WIDEST = 7
_PER_TENSOR = 15


@dataclass(frozen=True, slots=True)
class Lookup:
    """How a tensor is stored as indices: bits of one, and where its tables are.

    ``buffer`` holds the tables from ``skip`` on. ``stride`` are the values of one table (0: as the table's
    size gives), ``axis`` the axis whose slices have their own tables (None: as the quantization gives, -1:
    one table). ``output`` is the tensor that it is decoded to, ``type`` the type of decoding; ``bits`` is 0
    where that type has no table.
    """

    buffer: int
    bits: int
    skip: int = 0
    stride: int = 0
    axis: int | None = None
    output: TensorRow | None = None
    type: str = "LUT"


@dataclass(slots=True)
class Decoders:
    """The lookups of a model by subgraph and tensor, and the tensors of ancillary data."""

    lookups: dict[tuple[int, int], Lookup]
    ancillary: set[tuple[int, int]]

    @property
    def types(self) -> dict[str, int]:
        """How many tensors each type of decoding is for, as `TFLM_DECODE` names them."""
        return dict(
            sorted(Counter(one.type for one in self.lookups.values() if one.output is not None).items())
        )


def find_lookups(site: Site, model: Model, tables: dict[tuple[int, int], tuple[int, int]]) -> Decoders:
    """Return the lookups of metadata (``tables``: buffer and bits by subgraph and tensor) and of
    operators.
    """
    found = Decoders({place: Lookup(buffer, bits) for place, (buffer, bits) in tables.items()}, set())
    for graph in model.subgraphs:
        for operator in graph.operators:
            if not operator.code.custom or operator.code.name != DECODE:
                continue
            for encoded, ancillary, output in zip(
                operator.inputs[::2], operator.inputs[1::2], operator.outputs, strict=False
            ):
                rows = [
                    graph.tensors[index] if 0 <= index < len(graph.tensors) else None
                    for index in (ancillary, output)
                ]
                if rows[0] is not None and rows[1] is not None:
                    found.ancillary.add((graph.index, ancillary))
                    found.lookups[graph.index, encoded] = _decoded(site, model, rows[0].buffer, rows[1])
    return found


def _decoded(site: Site, model: Model, index: int, output: TensorRow) -> Lookup:
    """Read the common metadata that ancillary data begin with."""
    buffer = model.buffer(index)
    if buffer is None or buffer.size < _HEADER or buffer.offset + _HEADER > site.source.size:
        return Lookup(index, 0, output=output, type="unknown")
    header = site.source.read_at(buffer.offset, _HEADER)
    name = _TYPES.get(header[0], f"CUSTOM_{header[0]}" if header[0] >= _CUSTOM else f"TYPE_{header[0]}")
    if header[0] != _LUT:
        return Lookup(index, 0, output=output, type=name)
    axis = header[5] >> 4
    return Lookup(
        index, header[5] & _WIDEST, _HEADER, header[6], -1 if axis == _PER_TENSOR else axis, output, name
    )


def lookup_payload(
    site: Site,
    model: Model,
    lookup: Lookup,
    stored: Span,
    dtype: DType,
    shape: tuple[int, ...],
    affine: Quantization | None,
) -> tuple[LookupPayload | None, str]:
    """Return how the elements of a tensor are read, or why they cannot be."""
    buffer = model.buffer(lookup.buffer)
    if not 1 <= lookup.bits <= _WIDEST:
        return None, f"its elements are encoded in a way that is not read ({lookup.type})"
    if buffer is None or buffer.size < lookup.skip or buffer.offset + buffer.size > site.source.size:
        return None, "its lookup table is not in the file"
    if dtype.bits < 8 or dtype.bits % 8:
        return None, f"{dtype} elements of a lookup table are not read"
    axis = lookup.axis
    if axis is None:
        axis = (
            affine.axis if affine is not None and affine.axis is not None and len(affine.scales) > 1 else -1
        )
    if axis >= len(shape):
        return None, f"its lookup tables are for axis {axis} of {len(shape)}"
    channels = shape[axis] if axis >= 0 else 1
    inner = prod(shape[axis + 1 :]) if axis >= 0 else max(prod(shape), 1)
    size = buffer.size - lookup.skip
    stride = lookup.stride or size // max(channels * dtype.bits // 8, 1)
    if not stride or stride * channels * dtype.bits // 8 > size:
        return None, f"its lookup tables need {stride * channels * dtype.bits // 8:,} bytes but have {size:,}"
    if -(-prod(shape) * lookup.bits // 8) > stored.size:
        return (
            None,
            f"its indices need {-(-prod(shape) * lookup.bits // 8):,} bytes but {stored.size:,} are stored",
        )
    table = Span(buffer.offset + lookup.skip, size)
    return LookupPayload(site.stream, stored, lookup.bits, table, stride, max(channels, 1), max(inner, 1)), ""
