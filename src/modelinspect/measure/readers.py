"""Find the reader of each payload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from modelinspect.core.tensors import (
    Hdf5Payload,
    JoinedPayload,
    LookupPayload,
    PackedPayload,
    ProtobufPayload,
    RawPayload,
    SparsePayload,
    SplatPayload,
    Tensor,
    TextPayload,
    ZarrPayload,
)
from modelinspect.measure.blocks import Block, Reading, UnmeasurableError
from modelinspect.measure.raw import read_joined, read_raw, read_splat


def blocks(tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield every element of a tensor once, in blocks. Raises `ModelInspectError`."""
    payload = tensor.payload
    match payload:
        case None:
            raise UnmeasurableError(tensor.payload_note or "its elements are not in the artifact")
        case RawPayload():
            return read_raw(payload, tensor, reading)
        case JoinedPayload():
            return read_joined(payload, tensor, reading)
        case SplatPayload():
            return read_splat(payload, tensor, reading)
        case Hdf5Payload():
            from modelinspect.measure.chunks import read_chunks

            return read_chunks(payload, tensor, reading)
        case ZarrPayload():
            from modelinspect.measure.zarr import read_zarr

            return read_zarr(payload, tensor, reading)
        case LookupPayload():
            from modelinspect.measure.packed import read_lookup

            return read_lookup(payload, tensor, reading)
        case ProtobufPayload():
            from modelinspect.measure.inline import read_inline

            return read_inline(payload, tensor, reading)
        case TextPayload():
            from modelinspect.measure.inline import read_text

            return read_text(payload, tensor, reading)
        case SparsePayload():
            from modelinspect.measure.sparse import read_sparse

            return read_sparse(payload, tensor, reading)
        case PackedPayload():
            from modelinspect.measure.packed import read_packed

            return read_packed(payload, tensor, reading, blocks)
        case _:
            assert_never(payload)
