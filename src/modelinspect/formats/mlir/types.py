"""Decode the types of constants: element type and shape."""

from __future__ import annotations

from math import prod

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import DTYPES, DType, ElementKind, opaque
from modelinspect.encodings.mlir import Entry, MlirCursor
from modelinspect.errors import FormatError
from modelinspect.formats.mlir.codes import DIALECTS, TEXT_TYPES, Codes
from modelinspect.sources.base import Source

RANK = 254
_DEPTH = 8
_TYPE_SIZE = 1 << 16
_LARGEST = 1 << 62
_UNKNOWN = opaque("unknown", 0)


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of a tensor: what its elements are and its shape.

    A length that the program leaves open is -1.
    """

    dtype: DType
    shape: tuple[int, ...]

    @property
    def is_static(self) -> bool:
        """Return whether the shape is known and small enough to be counted."""
        return min(self.shape, default=0) >= 0 and prod(self.shape) < _LARGEST


class Types:
    """Decodes the types of one module when a constant asks for them."""

    def __init__(self, source: Source, base: int, entries: list[Entry], dialects: list[str]) -> None:
        self._source = source
        self._base = base
        self._entries = entries
        self._dialects = dialects
        self._tensors: dict[int, TensorType | None] = {}
        self._elements: dict[int, DType] = {}

    def tensor(self, index: int) -> TensorType | None:
        """Return the tensor type with that number, None where it is another type or cannot be read."""
        if index not in self._tensors:
            try:
                self._tensors[index] = self._decode_tensor(index)
            except FormatError:
                self._tensors[index] = None
        return self._tensors[index]

    def _open(self, index: int) -> tuple[Codes | None, MlirCursor] | None:
        """Return the codes of a type's dialect (None: it is written as text) and a cursor over it."""
        if not 0 <= index < len(self._entries):
            return None
        entry = self._entries[index]
        data = self._source.read_at(self._base + entry.offset, min(entry.size, _TYPE_SIZE))
        cursor = MlirCursor(data, self._source.name, self._base + entry.offset, "a type")
        if not entry.is_custom:
            return None, cursor
        codes = DIALECTS.get(self._dialects[entry.dialect] if entry.dialect < len(self._dialects) else "")
        return None if codes is None else (codes, cursor)

    def _decode_tensor(self, index: int) -> TensorType | None:
        opened = self._open(index)
        if opened is None:
            return None
        codes, cursor = opened
        if codes is None:
            return None
        code = cursor.varint()
        if code not in (codes.ranked, codes.ranked_with_encoding):
            return None
        if code == codes.ranked_with_encoding:
            cursor.varint()
        shape = cursor.svarints(RANK)
        shape = tuple(length if length >= 0 else -1 for length in shape)
        return TensorType(self._element(cursor.varint(), 0), shape)

    def _element(self, index: int, depth: int) -> DType:
        found = self._elements.get(index)
        if found is None:
            found = self._elements[index] = self._decode_element(index, depth)
        return found

    def _decode_element(self, index: int, depth: int) -> DType:
        opened = self._open(index) if depth < _DEPTH else None
        if opened is None:
            return _UNKNOWN
        codes, cursor = opened
        if codes is None:
            return TEXT_TYPES.get(cursor.data.removesuffix(b"\0").decode(errors="replace"), _UNKNOWN)
        code = cursor.varint()
        if code in codes.elements:
            return codes.elements[code]
        if code == codes.complex:
            part = self._element(cursor.varint(), depth + 1)
            return (
                DTYPES.get(f"complex{2 * part.bits}", _UNKNOWN)
                if part.kind is ElementKind.FLOAT
                else _UNKNOWN
            )
        if code in codes.quantized:
            cursor.varint()
            return self._element(cursor.varint(), depth + 1)
        if code == codes.integer:
            width = cursor.varint()
            return _integer(width >> 2, width & 3)
        return _UNKNOWN


def _integer(width: int, signedness: int) -> DType:
    """Return the type of an integer; a signedness of 2 is unsigned (IntegerType::SignednessSemantics)."""
    if width == 1:
        return DTYPES["bool"]
    return DTYPES.get(f"{'uint' if signedness == 2 else 'int'}{width}", _UNKNOWN)
