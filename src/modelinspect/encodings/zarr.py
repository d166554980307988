"""Read the metadata of zarr arrays, versions 2 and 3: shape, element type, chunks, codecs.

Specification: zarr-specs, v2 (`.zarray`) and v3 (`zarr.json`), with the codec ``sharding_indexed``.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import DTYPES, ByteOrder, DType, ElementKind
from modelinspect.errors import FormatError

V2, V3 = ".zarray", "zarr.json"
LARGEST_DOCUMENT = 1 << 24
_RANK = 64
_LARGEST = 1 << 60
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex", "b": "bool"}
_CODECS = frozenset(("zstd", "gzip", "zlib", "crc32c"))


@dataclass(frozen=True, slots=True)
class Shards:
    """How a stored chunk is divided: the shape of its inner chunks, and its index of them.

    The index is at the end or at the start; ``index_checksum`` says that a CRC-32C follows it.
    """

    chunk_shape: tuple[int, ...]
    at_end: bool
    index_checksum: bool


@dataclass(frozen=True, slots=True)
class Array:
    """A zarr array.

    ``codecs`` are in the order in which they are undone; ``note`` says why its elements cannot be read.
    """

    shape: tuple[int, ...]
    dtype: DType
    chunk_shape: tuple[int, ...]
    codecs: tuple[str, ...]
    byte_order: ByteOrder
    separator: str
    is_v3: bool
    fill: bytes | None = None
    shards: Shards | None = None
    note: str = ""

    def origin(self, chunk: str) -> tuple[int, ...] | None:
        """Return the element at which the chunk with that key begins, None where the key names no chunk of
        the array.
        """
        if self.is_v3:
            if chunk == "c":
                return () if not self.shape else None
            if not chunk.startswith(f"c{self.separator}"):
                return None
            chunk = chunk[2:]
        elif not self.shape:
            return () if chunk == "0" else None
        parts = chunk.split(self.separator)
        if len(parts) != len(self.shape) or not all(
            part.isascii() and part.isdigit() and len(part) < 20 for part in parts
        ):
            return None
        origin = tuple(int(part) * length for part, length in zip(parts, self.chunk_shape, strict=True))
        return origin if all(at < length for at, length in zip(origin, self.shape, strict=True)) else None


def read_array(data: bytes, member: str, name: str) -> Array:
    """Read ``.zarray`` or ``zarr.json``, which ``name`` says. Raises `FormatError`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name} cannot be read as JSON: {error}", member) from error
    if not isinstance(document, dict):
        raise FormatError(f"{name} is not a JSON object", member)
    try:
        return _read_v3(document) if name == V3 else _read_v2(document)
    except _UnfitError as error:
        raise FormatError(f"{name}: {error}", member) from error


class _UnfitError(Exception):
    """The document lacks something that every array has."""


def _read_v2(document: Mapping[str, Any]) -> Array:
    shape, chunks = _lengths(document, "shape"), _lengths(document, "chunks")
    dtype, order = _v2_type(document.get("dtype"))
    notes: list[str] = []
    if document.get("order", "C") != "C" and len(shape) > 1:
        notes.append("its elements are in Fortran order")
    if document.get("filters"):
        notes.append("it has filters")
    codecs: list[str] = []
    compressor = document.get("compressor")
    if compressor is not None:
        codec = compressor.get("id") if isinstance(compressor, dict) else None
        if isinstance(codec, str) and codec in _CODECS:
            codecs.append(codec)
        else:
            notes.append(f"codec {codec} is not read")
    separator = document.get("dimension_separator", ".")
    return _array(
        shape, dtype, chunks, codecs, order, separator, False, document.get("fill_value"), None, notes
    )


def _read_v3(document: Mapping[str, Any]) -> Array:
    shape = _lengths(document, "shape")
    grid = _configuration(document.get("chunk_grid"))
    chunks = _lengths(grid, "chunk_shape")
    separator = _configuration(document.get("chunk_key_encoding")).get("separator", "/")
    name = document.get("data_type")
    dtype = DTYPES.get(name) if isinstance(name, str) else None
    notes: list[str] = [] if dtype is not None else [f"elements of type {name} are not read"]
    codecs, shards = document.get("codecs"), None
    if not isinstance(codecs, list):
        raise _UnfitError("codecs is not a list")
    if len(codecs) == 1 and _name(codecs[0]) == "sharding_indexed":
        inner = _configuration(codecs[0])
        index = (
            [_name(one) for one in inner.get("index_codecs", ())]
            if isinstance(inner.get("index_codecs", ()), list)
            else []
        )
        if index not in (["bytes", "crc32c"], ["bytes"]):
            notes.append("the index of its shards has unknown codecs")
        location = inner.get("index_location", "end")
        shards = Shards(_lengths(inner, "chunk_shape"), location == "end", "crc32c" in index)
        codecs = inner.get("codecs")
        if not isinstance(codecs, list):
            raise _UnfitError("the codecs of a shard are not a list")
    undone, order = _v3_codecs(codecs, notes)
    if shards is not None and not _divides(shards.chunk_shape, chunks):
        notes.append("its inner chunks do not divide its shards")
        shards = None
    return _array(
        shape,
        dtype or DTYPES["uint8"],
        chunks,
        undone,
        order,
        separator,
        True,
        document.get("fill_value"),
        shards,
        notes,
    )


def _v3_codecs(codecs: list[Any], notes: list[str]) -> tuple[list[str], ByteOrder]:
    """Return the codecs in the order in which they are undone, and the order of the bytes of an element."""
    order = ByteOrder.LITTLE
    undone: list[str] = []
    for codec in codecs:
        name = _name(codec)
        if name == "bytes":
            order = ByteOrder.BIG if _configuration(codec).get("endian") == "big" else ByteOrder.LITTLE
        elif name in _CODECS:
            undone.insert(0, name)
        else:
            notes.append(f"codec {name} is not read")
    return undone, order


def _array(
    shape: tuple[int, ...],
    dtype: DType,
    chunks: tuple[int, ...],
    codecs: list[str],
    order: ByteOrder,
    separator: object,
    is_v3: bool,
    fill: object,
    shards: Shards | None,
    notes: list[str],
) -> Array:
    if len(chunks) != len(shape) or min(chunks, default=1) < 1:
        raise _UnfitError(f"chunks of shape {chunks} do not fit an array of shape {shape}")
    if separator not in (".", "/"):
        raise _UnfitError("the separator of chunk keys is neither a dot nor a slash")
    if 0 < dtype.bits < 8:
        notes.append(f"{dtype} elements take a byte each")
    value = _fill(fill, dtype, order)
    if value is None and fill not in (None, 0, False):
        notes.append("its fill value cannot be read")
    return Array(
        shape, dtype, chunks, tuple(codecs), order, str(separator), is_v3, value, shards, "; ".join(notes)
    )


def _fill(fill: object, dtype: DType, order: ByteOrder) -> bytes | None:
    """Return the bytes of the fill value, None where it is zero or cannot be read."""
    letters = {"float16": "e", "float32": "f", "float64": "d"}
    if (
        isinstance(fill, bool | int)
        and dtype.kind in (ElementKind.INT, ElementKind.UINT, ElementKind.BOOL)
        and fill
    ):
        size = max(dtype.bits // 8, 1)
        if -(1 << 8 * size - 1) <= fill < 1 << 8 * size:
            return (int(fill) & (1 << 8 * size) - 1).to_bytes(
                size, "little" if order is ByteOrder.LITTLE else "big"
            )
    value = (
        {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(fill, fill)
        if isinstance(fill, str)
        else fill
    )
    if isinstance(value, int | float) and value != 0:
        try:
            if dtype.name == "bfloat16":  # the upper half of a float32
                packed = struct.pack(">f", value)
                return None if any(packed[2:]) else packed[1::-1] if order is ByteOrder.LITTLE else packed[:2]
            if dtype.name in letters:
                return struct.pack(("<" if order is ByteOrder.LITTLE else ">") + letters[dtype.name], value)
        except (OverflowError, struct.error):
            return None
    return None


def _lengths(document: Mapping[str, Any], key: str) -> tuple[int, ...]:
    value = document.get(key)
    if (
        not isinstance(value, list)
        or len(value) > _RANK
        or not all(type(one) is int and one >= 0 for one in value)
    ):
        raise _UnfitError(f"{key} is not a list of lengths")
    if math.prod(one for one in value if one) > _LARGEST:
        raise _UnfitError(f"{key} has more elements than can be counted")
    return tuple(value)


def _configuration(value: object) -> Mapping[str, Any]:
    found = value.get("configuration", {}) if isinstance(value, dict) else {}
    return found if isinstance(found, dict) else {}


def _name(codec: object) -> str:
    name = codec.get("name") if isinstance(codec, dict) else codec
    return name if isinstance(name, str) else "?"


def _divides(inner: tuple[int, ...], outer: tuple[int, ...]) -> bool:
    return len(inner) == len(outer) and all(
        one > 0 and whole % one == 0 for one, whole in zip(inner, outer, strict=True)
    )


def _v2_type(text: object) -> tuple[DType, ByteOrder]:
    """Return the element type and the order of its bytes: numpy's form (``<f4``), or TensorStore's names
    (``bfloat16``).
    """
    if isinstance(text, str):
        known = DTYPES.get(text)
        if known is not None:
            return known, ByteOrder.LITTLE
        if len(text) in (3, 4) and text[1] in _KINDS and text[2:].isdigit():
            name = "bool" if text[1] == "b" else f"{_KINDS[text[1]]}{8 * int(text[2:])}"
            if name in DTYPES:
                return DTYPES[name], ByteOrder.BIG if text[0] == ">" else ByteOrder.LITTLE
    raise _UnfitError(f"elements of type {text!r} are not read")
