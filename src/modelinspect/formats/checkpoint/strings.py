"""Map tensors whose elements differ in size: strings and variants.

Specification: tensorflow/core/util/tensor_bundle/tensor_bundle.cc (WriteStringTensor, WriteVariantTensor).
"""

from __future__ import annotations

from array import array
from itertools import accumulate

from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import ByteOrder
from modelinspect.encodings.sstable import extended, mask
from modelinspect.errors import Code, FormatError
from modelinspect.formats.base import Site

_CHECKSUM_SIZE = 4
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Strings:
    """The elements of a string tensor: where their bytes are, one after another."""

    span: Span
    sizes: array[int]

    def spans(self) -> list[Span]:
        """Return where each element is."""
        ends = accumulate(self.sizes, initial=self.span.offset)
        return [Span(offset, size) for offset, size in zip(ends, self.sizes, strict=False)]


def read_strings(site: Site, span: Span, count: int, order: ByteOrder, path: PathId) -> Strings:
    """Claim the lengths and their checksum, and return where the elements are; these are not read.

    Raises `FormatError`.
    """
    reader = _Varints(site, span)
    if count > span.size:
        raise FormatError(f"{count:,} strings do not fit {span.size:,} bytes", site.source.name, span.offset)
    site.limits.allow("a tensor of strings", count, site.limits.objects, site.source.name, span.offset)
    sizes = array("Q", (reader.next() for _ in range(count)))
    lengths_size = reader.offset - span.offset
    data_size = sum(sizes)
    if lengths_size + _CHECKSUM_SIZE + data_size != span.size:
        problem = (
            f"the strings of a tensor need {lengths_size + _CHECKSUM_SIZE + data_size:,} bytes but the index"
            f" gives {span.size:,}"
        )
        raise FormatError(problem, site.source.name, span.offset)
    claims = site.claims
    claims.claim(span.offset, lengths_size, RegionKind.CONTAINER, claims.paths.child(path, "lengths"))
    claims.claim(
        reader.offset, _CHECKSUM_SIZE, RegionKind.CONTAINER, claims.paths.child(path, "lengths' crc32c")
    )
    stored = int.from_bytes(site.source.read_at(reader.offset, _CHECKSUM_SIZE), order.value)
    expected = mask(lengths_checksum(sizes, order))
    if stored != expected:
        site.diagnose(
            f"the checksum of string lengths is {stored:#010x} but they give {expected:#010x}",
            reader.offset,
            code=Code.CHECKSUM,
        )
    return Strings(Span(reader.offset + _CHECKSUM_SIZE, data_size), sizes)


def lengths_checksum(sizes: array[int], order: ByteOrder) -> int:
    """Return the CRC-32C of lengths: as 4 bytes each, 8 where that is too few."""
    if not sizes or max(sizes) <= 0xFFFFFFFF:
        widths = array("I", sizes)
        if order is ByteOrder.BIG:
            widths.byteswap()
        return extended(0, widths.tobytes())
    return extended(0, b"".join(size.to_bytes(4 if size <= 0xFFFFFFFF else 8, order.value) for size in sizes))


def claim_variants(
    site: Site, span: Span, count: int, path: PathId, tensor: TensorId = NO_TENSOR
) -> list[Span]:
    """Claim the messages of a variant tensor, each after its length and before its checksum; return where
    they are.
    """
    claims = site.claims
    length, message, checksum = (
        claims.paths.child(path, name) for name in ("length", "VariantTensorDataProto", "crc32c")
    )
    found: list[Span] = []
    offset = span.offset
    for _ in range(count):
        reader = _Varints(site, Span(offset, span.end - offset))
        size = reader.next()
        if size + _CHECKSUM_SIZE > span.end - reader.offset:
            raise FormatError(
                f"a variant of {size:,} bytes does not fit its tensor", site.source.name, offset
            )
        claims.claim(offset, reader.offset - offset, RegionKind.CONTAINER, length)
        claims.claim(reader.offset, size, RegionKind.TENSOR_DATA, message, tensor)
        claims.claim(reader.offset + size, _CHECKSUM_SIZE, RegionKind.CONTAINER, checksum)
        found.append(Span(reader.offset, size))
        offset = reader.offset + size + _CHECKSUM_SIZE
    if offset != span.end:
        raise FormatError(
            f"{span.end - offset:,} bytes are after the variants of a tensor", site.source.name, offset
        )
    return found


class _Varints:
    """Reads varints of 64 bits one after another, within a span."""

    __slots__ = ("_data", "_index", "_site", "_span", "_start")

    def __init__(self, site: Site, span: Span) -> None:
        self._site = site
        self._span = span
        self._start = span.offset
        self._data = b""
        self._index = 0

    @property
    def offset(self) -> int:
        return self._start + self._index

    def next(self) -> int:
        """Read one. Raises `FormatError`."""
        value = 0
        for shift in range(0, 70, 7):
            if self._index == len(self._data):
                self._load()
            byte = self._data[self._index]
            self._index += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 64:
                    break
                return value
        raise FormatError("a varint of 64 bits does not end", self._site.source.name, self.offset)

    def _load(self) -> None:
        self._start, self._index = self.offset, 0
        # Lengths are few bytes: the first piece is small, so no elements are read with them.
        size = min(_PIECE if self._data else 16, self._span.end - self._start)
        if size <= 0:
            raise FormatError(
                "the lengths of strings do not end within their tensor", self._site.source.name, self._start
            )
        self._data = self._site.source.read_at(self._start, size)
