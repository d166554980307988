"""Makes artifacts of single tensors to measure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from unittest import mock

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    DTYPES,
    ByteOrder,
    DType,
    Payload,
    Quantization,
    RawPayload,
    Role,
    Storage,
    Stream,
    Tensor,
    dense_size,
)
from modelinspect.measure import raw
from modelinspect.measure.facts import Aspect, TensorMeasure
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles


def tensor(
    dtype: str | DType,
    shape: tuple[int, ...],
    payload: Payload | None,
    *,
    note: str = "",
    quantization: Quantization | None = None,
) -> Tensor:
    """Make a tensor."""
    of = DTYPES[dtype] if isinstance(dtype, str) else dtype
    size = dense_size(of, shape)
    return Tensor(
        "t",
        of,
        shape,
        Role.WEIGHT,
        Storage.DENSE,
        (),
        size,
        payload=payload,
        payload_note=note,
        quantization=quantization,
    )


def artifact_of(*tensors: Tensor) -> Artifact:
    """Make an artifact of tensors and nothing else."""
    return Artifact("memory", FormatName.HDF5, (), tensors)


def measured(
    data: bytes,
    dtype: str,
    shape: tuple[int, ...],
    *,
    cuts: Sequence[int] = (),
    block: int = raw.BLOCK_SIZE,
    order: ByteOrder = ByteOrder.LITTLE,
    quantization: Quantization | None = None,
    aspects: Collection[Aspect] = (),
) -> TensorMeasure:
    """Measure elements that stand in spans cut at ``cuts``, scattered over a member in reverse with bytes of
    others between.
    """
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[start:end] for start, end in pairwise(borders)]
    member = bytearray()
    spans: list[Span] = []
    for part in reversed(parts):
        member += b"\x5a\x00\xa5"
        spans.insert(0, Span(len(member), len(part)))
        member += part
    item = tensor(dtype, shape, RawPayload(Stream("m"), tuple(spans), order), quantization=quantization)
    with mock.patch.object(raw, "BLOCK_SIZE", block):
        return measure(artifact_of(item), MemoryFiles({"m": bytes(member)}, "m"), aspects=aspects)[0]
