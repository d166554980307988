"""Parse the header of a safetensors file: names, element types, shapes, roles and where the elements are.

Layout: https://github.com/huggingface/safetensors (README, "Format", and the checks of ``tensor.rs``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import prod

import msgspec

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import DTYPES, DType, ElementKind, Role, opaque
from modelinspect.encodings.json_keys import JsonEntry, top_level_entries
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site

LENGTH = 8
"""Bytes of the header's length, before the header."""
LONGEST = 100_000_000
"""Bytes of a header that the safetensors library accepts at most."""
METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that the header describes: its span counts from the first byte of the file, ``entry`` is its
    place in the header.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    span: Span
    entry: Span


@dataclass(frozen=True, slots=True)
class Header:
    """A header: its tensors in the order of their bytes, its ``__metadata__``, and where the elements begin.

    ``complete`` is False where an entry could not be used, so bytes that no tensor has may still be one's.
    """

    tensors: tuple[StoredTensor, ...]
    metadata: dict[str, str]
    begin: int
    complete: bool


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def header_size(head: bytes) -> int | None:
    """Return the length of the header that the first bytes of a file announce; None where they are not
    safetensors.
    """
    if len(head) <= LENGTH or head[LENGTH : LENGTH + 1] != b"{":
        return None
    size = int.from_bytes(head[:LENGTH], "little")
    return size if 2 <= size <= LONGEST else None


def read_header(site: Site) -> Header:
    """Claim the header and return what it says.

    Raises `FormatError` where it is not JSON or reaches beyond the file.
    """
    source = site.source
    size = header_size(source.read_at(0, min(LENGTH + 1, source.size)))
    if size is None:
        raise FormatError(f"the header is not a JSON object of up to {LONGEST:,} bytes", source.name, 0)
    source.require(LENGTH, size, "the header")
    text = source.read_at(LENGTH, size)
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise FormatError(f"the header is not a JSON object: {error}", source.name, LENGTH) from error
    path = site.claims.path("header")
    site.claims.claim(0, LENGTH, RegionKind.CONTAINER, site.claims.path("header length"))
    json_size = len(text.rstrip(b" \t\r\n"))
    site.claims.claim(
        LENGTH + json_size, size - json_size, RegionKind.CONTAINER, site.claims.path("header padding")
    )
    site.claims.fill(LENGTH, json_size, RegionKind.CONTAINER, path)
    return _Reading(site, text, LENGTH + size).run()


class _Reading:
    """A header on its way from entries to tensors."""

    def __init__(self, site: Site, text: bytes, begin: int) -> None:
        self.site = site
        self.text = text
        self.begin = begin
        self.metadata: dict[str, str] = {}
        self.complete = True

    def run(self) -> Header:
        """Go through the entries once."""
        site = self.site
        found: dict[str, StoredTensor] = {}
        for entry in _entries(self.text):
            name = _key(entry)
            span = Span(LENGTH + entry.span.offset, entry.span.size)
            site.claims.claim(span.offset, span.size, RegionKind.METADATA, site.claims.path("header", name))
            if name == METADATA:
                self._read_metadata(entry)
                continue
            if found.pop(name, None) is not None:
                site.diagnose(
                    f"the header has two entries for tensor {name}; the last one is used", span.offset
                )
            if (tensor := self._tensor(name, entry, span)) is not None:
                site.limits.allow(
                    "its list of tensors", len(found) + 1, site.limits.tensors, site.source.name
                )
                found[name] = tensor
        ordered = sorted(
            found.values(), key=lambda tensor: (tensor.span.offset, tensor.span.end, tensor.name)
        )
        return Header(tuple(ordered), self.metadata, self.begin, self.complete)

    def _read_metadata(self, entry: JsonEntry) -> None:
        try:
            self.metadata = msgspec.json.decode(self._value(entry), type=dict[str, str])
        except (msgspec.DecodeError, ValueError, RecursionError):
            self.site.diagnose(f"{METADATA} is not an object of strings", LENGTH + entry.value.offset)

    def _tensor(self, name: str, entry: JsonEntry, span: Span) -> StoredTensor | None:
        try:
            read = msgspec.json.decode(self._value(entry), type=_Entry)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self._refuse(f"the header's entry for {name} is not a dtype, a shape and two offsets", span)
            return None
        first, last = read.data_offsets
        left = self.site.source.size - self.begin
        if min(read.shape, default=0) < 0 or not 0 <= first <= last:
            self._refuse(f"tensor {name} has the shape {read.shape} and the offsets {first} to {last}", span)
            return None
        if last > left:
            self._refuse(
                f"tensor {name} ends at byte {last:,} of the elements but the file holds {left:,}",
                span,
                missing=True,
            )
            return None
        known = dtype_of(read.dtype)
        if known is None:
            self.site.diagnose(f"tensor {name} has the unknown element type {read.dtype!r}", span.offset)
        elif prod(read.shape) * known.bits != 8 * (last - first):
            self._refuse(f"tensor {name} of {known} and shape {read.shape} has {last - first:,} bytes", span)
            return None
        return StoredTensor(name, read.dtype, tuple(read.shape), Span(self.begin + first, last - first), span)

    def _value(self, entry: JsonEntry) -> bytes:
        return self.text[entry.value.offset : entry.value.end]

    def _refuse(self, problem: str, span: Span, *, missing: bool = False) -> None:
        self.complete = False
        self.site.diagnose(problem, span.offset, Severity.ERROR if missing else Severity.WARNING)


_FLAT = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*(\{[^{}"]*(?:"[^"\\]*"[^{}"]*)*\})\s*[,}]', re.DOTALL)
"""An entry whose value is an object without objects or escapes in it, as every writer makes them for
tensors.
"""


def _entries(text: bytes) -> Iterator[JsonEntry]:
    """Yield the entries of the header, most of them at one match each; what is written in another way is read
    token by token.
    """
    position = text.index(b"{") + 1
    while (match := _FLAT.match(text, position)) is not None:
        key, value = match.span(1), match.span(2)
        name = text[key[0] + 1 : key[1] - 1].decode("utf-8", "replace")
        yield JsonEntry(name, Span(key[0], value[1] - key[0]), Span(value[0], value[1] - value[0]))
        position = match.end()
    if position < len(text.rstrip()):
        yield from (entry for entry in top_level_entries(text) if entry.span.offset >= position)


def _key(entry: JsonEntry) -> str:
    if "\\" not in entry.key:
        return entry.key
    try:
        return str(msgspec.json.decode(f'"{entry.key}"'.encode("utf-8", "replace"), type=str))
    except (msgspec.DecodeError, ValueError):
        return entry.key


def gaps(header: Header, size: int) -> Iterator[Span]:
    """Yield the runs between the header and the end of the file that no tensor has; the format allows
    none.
    """
    position = header.begin
    for tensor in header.tensors:
        if tensor.span.offset > position:
            yield Span(position, tensor.span.offset - position)
        position = max(position, tensor.span.end)
    if size > position:
        yield Span(position, size - position)


_TYPES: dict[str, DType] = {
    "BOOL": DTYPES["bool"],
    "F4": DTYPES["float4_e2m1fn"],
    "F6_E2M3": opaque("float6_e2m3fn", 6),
    "F6_E3M2": opaque("float6_e3m2fn", 6),
    "F8_E5M2": DTYPES["float8_e5m2"],
    "F8_E4M3": DTYPES["float8_e4m3fn"],
    "F8_E5M2FNUZ": DTYPES["float8_e5m2fnuz"],
    "F8_E4M3FNUZ": DTYPES["float8_e4m3fnuz"],
    "F8_E8M0": DType("float8_e8m0fnu", ElementKind.FLOAT, 8),
    "F16": DTYPES["float16"],
    "BF16": DTYPES["bfloat16"],
    "F32": DTYPES["float32"],
    "F64": DTYPES["float64"],
    "C64": DTYPES["complex64"],
    **{f"I{bits}": DTYPES[f"int{bits}"] for bits in (8, 16, 32, 64)},
    **{f"U{bits}": DTYPES[f"uint{bits}"] for bits in (8, 16, 32, 64)},
}


def dtype_of(name: str) -> DType | None:
    """Return the element type that a header names, None for one that the format does not define."""
    return _TYPES.get(name)


_STATISTICS = frozenset(
    ("running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance")
)
_CONSTANTS = frozenset(("position_ids", "inv_freq", "relative_position_index", "attn_mask", "masked_bias"))
_SCALES = frozenset(
    (
        *("scale", "scales", "zeros", "qzeros", "zero_point", "g_idx", "kernel_scale", "kernel_zero"),
        *("weight_scale", "weight_scale_inv", "weight_zero_point", "input_scale"),
        *("SCB", "absmax", "nested_absmax", "quant_map", "nested_quant_map"),
    )
)
_STATE = re.compile(r"\.weight\.(absmax|nested_absmax|quant_map|nested_quant_map|quant_state\..*)$")
_QUANTIZED = frozenset(("qweight", "weight", "kernel", "weight_packed", "blocks"))
_OPTIMIZER = re.compile(r"^(optimizer|optimizer_state|opt_state)[./]|\.(exp_avg|exp_avg_sq|momentum_buffer)$")


def owner(name: str) -> str:
    """Return the module that a tensor belongs to: its name without the last part (``encoder.layer.0.dense``),
    "" for none.
    """
    return name.rpartition("/" if "/" in name else ".")[0]


def roles(tensors: Iterable[tuple[str, str]]) -> dict[str, Role]:
    """Return what each tensor is for, from pairs of name and element type as the header gives them.

    A scale counts as quantization only beside a weight of whole numbers or of 8 bits or fewer: layer norms
    also have a ``scale``.
    """
    pairs = list(tensors)
    quantized = {
        owner(name) for name, dtype in pairs if name.rpartition(".")[2] in _QUANTIZED and _is_quantized(dtype)
    }
    return {name: _role(name, quantized) for name, _ in pairs}


def _role(name: str, quantized: set[str]) -> Role:
    last = name.replace("/", ".").rpartition(".")[2]
    if _OPTIMIZER.search(name):
        return Role.OPTIMIZER
    if _STATE.search(name) or (last in _SCALES and owner(name) in quantized):
        return Role.QUANTIZATION
    if last in _STATISTICS:
        return Role.STATISTIC
    return Role.CONSTANT if last in _CONSTANTS else Role.WEIGHT


def _is_quantized(dtype: str) -> bool:
    known = dtype_of(dtype)
    return known is not None and (known.kind in (ElementKind.INT, ElementKind.UINT) or known.bits <= 8)
