"""Turn one safetensors file into claims and tensors."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.tensors import ElementKind, Role, Storage, Tensor, dense_size, opaque
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.safetensors.header import (
    Header,
    StoredTensor,
    dtype_of,
    gaps,
    owner,
    read_header,
    roles,
)

_SHOWN = 200
"""Characters of one value of the header's metadata that the facts keep."""
_ENTRIES = 100


def read_safetensors(site: Site) -> Header:
    """Claim the bytes of a file and add its tensors. Raises `FormatError` where the header cannot be read."""
    header = read_header(site)
    known = roles((tensor.name, tensor.dtype) for tensor in header.tensors)
    position = header.begin
    for stored in header.tensors:
        if stored.span.size and stored.span.offset < position:
            problem = (
                f"tensor {stored.name} begins {position - stored.span.offset:,} bytes before the tensor"
                " stored before it ends"
            )
            site.diagnose(problem, stored.entry.offset)
        position = max(position, stored.span.end)
        tensor = _tensor(site, stored, known)
        path = site.claims.path(stored.name)
        site.claims.claim(
            stored.span.offset,
            stored.span.size,
            RegionKind.TENSOR_DATA,
            path,
            site.parsing.add_tensor(tensor),
        )
    _claim_gaps(site, header)
    if header.metadata:
        found = {key: value[:_SHOWN] for key, value in sorted(header.metadata.items())[:_ENTRIES]}
        site.parsing.facts.setdefault("header_metadata", found)
    return header


def _tensor(site: Site, stored: StoredTensor, known: Mapping[str, Role]) -> Tensor:
    dtype = dtype_of(stored.dtype) or opaque(stored.dtype, 0)
    readable = dtype.kind is not ElementKind.OPAQUE
    return Tensor(
        stored.name,
        dtype,
        stored.shape,
        known[stored.name],
        Storage.DENSE,
        (site.extent_of(stored.span),) if stored.span.size else (),
        dense_size(dtype, stored.shape) if dtype.bits else stored.span.size,
        owner(stored.name) or None,
        payload=site.raw((stored.span,)) if readable else None,
        payload_note="" if readable else f"its elements are of the type {stored.dtype}",
    )


def _claim_gaps(site: Site, header: Header) -> None:
    """Label the bytes that no tensor has: free where every entry of the header was used, unattributed
    otherwise.
    """
    for gap in gaps(header, site.source.size):
        trailing = gap.end == site.source.size
        where = "after the last tensor" if trailing else "between tensors"
        site.diagnose(
            f"{gap.size:,} bytes {where} belong to no tensor, which the format does not allow", gap.offset
        )
        if header.complete:
            path = site.claims.path("trailing bytes" if trailing else "gap")
            site.claims.claim(gap.offset, gap.size, RegionKind.FREE, path)


def count_parameters(parsing: Parsing, first: int = 0) -> int:
    """Return the elements of the model's weights and statistics, from the tensor with the id ``first`` on."""
    tensors = (parsing.tensor(TensorId(number)) for number in range(first, parsing.tensor_count))
    return sum(tensor.element_count for tensor in tensors if tensor.role in (Role.WEIGHT, Role.STATISTIC))
