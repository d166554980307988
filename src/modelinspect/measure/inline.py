"""Read the elements of a TensorProto: raw, typed, or one value that stands for all the rest.

Specification: Tensor::FromProto in tensorflow/core/framework/tensor.cc. ``tensor_content`` goes before typed
values; where these are fewer than the elements, the last one stands for the rest; where there are none, all
elements are zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from modelinspect.core.limits import MIB
from modelinspect.core.tensors import DType, ElementKind, ProtobufPayload, Tensor, TextPayload
from modelinspect.encodings.protobuf import message_class, parse_message
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import BLOCK_SIZE, Block, Bytes, Reading, UnmeasurableError

_TEXT_SIZE = 16 * MIB
"""The longest text of a constant that is read: to read one takes far longer than as many bytes."""
_FIELDS = {
    "float32": ("float_val", "<f4"),
    "float64": ("double_val", "<f8"),
    "complex64": ("scomplex_val", "<f4"),
    "complex128": ("dcomplex_val", "<f8"),
    "int64": ("int64_val", "<i8"),
    "uint32": ("uint32_val", "<u4"),
    "uint64": ("uint64_val", "<u8"),
    "bool": ("bool_val", "u1"),
    "float16": ("half_val", "<u2"),
    "bfloat16": ("half_val", "<u2"),
}
"""The field of a type's values, and how one of its values lies in memory; all other whole numbers are in
``int_val``.
"""


def read_inline(payload: ProtobufPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the values that are stored, the last one as often as it stands for elements.

    Raises `ModelInspectError`.
    """
    span, member = payload.span, payload.stream.member
    reading.limits.allow(
        "a constant's message", span.size, reading.limits.structure_size, member, span.offset
    )
    proto = parse_message(
        "TensorProto",
        reading.files.open_stream(payload.stream).read_at(span.offset, span.size),
        member,
        span.offset,
    )
    yield from _blocks(proto, tensor, member, span.offset)


def read_text(payload: TextPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the values that are in a text, as `read_inline` does. Raises `ModelInspectError`."""
    from google.protobuf import text_format

    span, member = payload.span, payload.stream.member
    reading.limits.allow(
        "a constant's text", span.size, min(reading.limits.structure_size, _TEXT_SIZE), member, span.offset
    )
    proto = message_class("TensorProto")()
    try:
        text_format.Parse(reading.files.open_stream(payload.stream).read_at(span.offset, span.size), proto)
    except (text_format.ParseError, ValueError, RecursionError, OverflowError) as error:
        raise FormatError(f"its text is not a TensorProto: {error}", member, span.offset) from error
    yield from _blocks(proto, tensor, member, span.offset)


def _blocks(proto: Any, tensor: Tensor, member: str, offset: int) -> Iterator[Block]:
    elements = tensor.element_count
    values = _values(proto, tensor.dtype)
    size = max(tensor.dtype.bits // 8, 1)
    if proto.tensor_content and len(values) != elements * size:
        raise FormatError(
            f"{tensor.name} needs {elements * size:,} bytes but its content has {len(values):,}",
            member,
            offset,
        )
    count = min(len(values) // size, elements)
    if not elements:
        return
    if not count:
        yield _block(np.zeros(size, np.uint8), tensor.dtype, 1, 0, elements)
        return
    plain = count if count == elements else count - 1
    step = BLOCK_SIZE // size
    for first in range(0, plain, step):
        some = min(step, plain - first)
        yield _block(values[first * size : (first + some) * size], tensor.dtype, some, first, 1)
    if plain < count:
        yield _block(values[plain * size : count * size], tensor.dtype, 1, plain, elements - plain)


def _values(proto: Any, dtype: DType) -> Bytes:
    """Return the stored values as they are in memory, elements narrower than a byte in a byte each."""
    if dtype.kind in (ElementKind.STRING, ElementKind.OPAQUE):
        raise UnmeasurableError(f"{dtype} elements are not numbers")
    if proto.tensor_content:
        return np.frombuffer(proto.tensor_content, np.uint8)
    if dtype.name.startswith(("float8", "float4")):
        return np.frombuffer(proto.float8_val, np.uint8)
    name, layout = _FIELDS.get(dtype.name, ("int_val", f"<i{max(dtype.bits // 8, 1)}"))
    numbers = np.fromiter(
        getattr(proto, name), np.dtype(layout) if layout[1] == "f" or dtype.bits >= 32 else np.int64
    )
    return np.ascontiguousarray(numbers.astype(layout)).view(np.uint8)


def _block(values: Bytes, dtype: DType, count: int, first: int, repeat: int) -> Block:
    if dtype.bits < 8:
        each = 8 // dtype.bits
        padded = np.zeros(-(-count // each) * each, np.uint8)
        padded[:count] = values & (1 << dtype.bits) - 1
        rows = padded.reshape(-1, each) << (np.arange(each, dtype=np.uint8) * dtype.bits)
        values = np.bitwise_or.reduce(rows, axis=1).astype(np.uint8)
    return Block(values, count, first, repeat=repeat)
