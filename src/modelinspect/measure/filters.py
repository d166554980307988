"""Undo the filters of an HDF5 chunk, within limits.

Deflate, shuffle and fletcher32 are undone here: the HDF5 library's own inflates a chunk into as much memory
as it asks for, and would have to open the whole untrusted file. The other filters are left to the library,
through h5py, on a file made in memory that holds nothing but the one chunk.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Hdf5Filter
from modelinspect.encodings.hdf5.filters import without_fletcher32
from modelinspect.errors import Code, FormatError, LimitError
from modelinspect.measure.blocks import UnmeasurableError

DEFLATE, SHUFFLE, FLETCHER32, SZIP, NBIT, SCALE_OFFSET, LZF = 1, 2, 3, 4, 5, 6, 32_000
Data = bytes | bytearray

_OURS = frozenset({DEFLATE, SHUFFLE, FLETCHER32})
_USER_PARAMETERS = {SZIP: 2, NBIT: 0, SCALE_OFFSET: 2, LZF: 0}
"""How many of the stored parameters a caller gives; the library adds the others itself."""
_LZF_EXPANSION = 90
_LZF_MEMORY = 64 * MIB


@dataclass(frozen=True, slots=True)
class ChunkCoder:
    """Knows how the chunks of one dataset were filtered.

    ``dtype`` and ``fill`` are of one element, as stored.
    """

    filters: tuple[Hdf5Filter, ...]
    chunk_shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fill: bytes | None
    member: str

    @property
    def size(self) -> int:
        """The bytes of a decoded chunk."""
        size = self.dtype.itemsize
        for length in self.chunk_shape:
            size *= length
        return size

    def decode(self, data: Data, mask: int, offset: int) -> Data:
        """Undo the filters that ``mask`` does not skip.

        Raises `FormatError` about the chunk at ``offset``.
        """
        last = len(self.filters) - 1
        for index in range(last, -1, -1):
            step = self.filters[index]
            if mask >> index & 1:
                continue
            if step.number not in _OURS:
                data = self._by_library(data, self.filters[: index + 1], mask, offset)
                break
            data = self._undo(step, data, offset)
        if len(data) != self.size:
            raise FormatError(
                f"a chunk decodes to {len(data):,} bytes where {self.size:,} belong", self.member, offset
            )
        return data

    def _undo(self, step: Hdf5Filter, data: Data, offset: int) -> Data:
        match step.number:
            case 1:
                return self._inflate(data, offset)
            case 2:
                return unshuffle(data, step.parameters[0] if step.parameters else self.dtype.itemsize)
            case _:
                try:
                    return without_fletcher32(data)
                except ValueError as error:
                    raise FormatError(str(error), self.member, offset) from error

    def _inflate(self, data: Data, offset: int) -> bytes:
        """Inflate, and stop where the chunk and its checksums are full: what asks for more is a bomb."""
        most = self.size + 4 * len(self.filters)
        decoder = zlib.decompressobj()
        try:
            inflated = decoder.decompress(data, most + 1)
        except zlib.error as error:
            raise FormatError(f"a chunk does not inflate: {error}", self.member, offset) from error
        if len(inflated) > most:
            problem = f"a chunk of {len(data):,} stored bytes inflates to more than its {self.size:,}"
            raise LimitError(problem, self.member, offset, Code.EXPANSION)
        if not decoder.eof:
            raise FormatError("the deflate stream of a chunk has no end", self.member, offset)
        return inflated

    def _by_library(self, data: Data, filters: Sequence[Hdf5Filter], mask: int, offset: int) -> bytes:
        step = filters[-1]
        if any(other.number == DEFLATE for other in filters):
            raise UnmeasurableError(f"the filter {step.name} over deflate is not undone")
        if step.number == LZF and len(data) * _LZF_EXPANSION > _LZF_MEMORY + self.size:
            raise LimitError(
                f"an lzf chunk of {len(data):,} bytes may expand to more than is allowed", self.member, offset
            )
        if step.number == SZIP and int.from_bytes(data[:4], "little") > self.size:
            raise LimitError(f"an szip chunk asks for more than its {self.size:,} bytes", self.member, offset)
        return self._read_back(data, filters, mask, offset)

    def _read_back(self, data: Data, filters: Sequence[Hdf5Filter], mask: int, offset: int) -> bytes:
        """Let h5py write the chunk as it is into a new file in memory, and read it."""
        import h5py

        names = ", ".join(step.name for step in filters)
        try:
            with h5py.File("chunk", "w", driver="core", backing_store=False) as file:
                properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                properties.set_chunk(self.chunk_shape)
                if self.fill is not None and len(self.fill) == self.dtype.itemsize:
                    properties.set_fill_value(np.frombuffer(self.fill, dtype=self.dtype))
                for step in filters:
                    given = step.parameters[: _USER_PARAMETERS.get(step.number, len(step.parameters))]
                    properties.set_filter(step.number, h5py.h5z.FLAG_MANDATORY, given)
                space = h5py.h5s.create_simple(self.chunk_shape)
                chunk = h5py.h5d.create(file.id, b"chunk", h5py.h5t.py_create(self.dtype), space, properties)
                self._require_same(chunk.get_create_plist(), filters)
                chunk.write_direct_chunk((0,) * len(self.chunk_shape), bytes(data), mask)
                decoded = np.empty(self.chunk_shape, dtype=self.dtype)
                chunk.read(h5py.h5s.ALL, h5py.h5s.ALL, decoded)
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise UnmeasurableError(
                f"the HDF5 library does not undo its filters ({names}): {error}"
            ) from error
        return decoded.tobytes()

    def _require_same(self, properties: Any, filters: Sequence[Hdf5Filter]) -> None:
        """Make sure that the library understands the filters as the chunk's writer did, before it sees the
        chunk.
        """
        for index, step in enumerate(filters):
            known = tuple(properties.get_filter(index)[2])
            if step.parameters and _meaning(step, known) != _meaning(step, step.parameters):
                raise UnmeasurableError(f"the filter {step.name} was set up for elements of another type")


def _meaning(step: Hdf5Filter, parameters: tuple[int, ...]) -> tuple[int, ...]:
    """Return the parameters that the library reads; it leaves others of scale-offset as they were in
    memory.
    """
    if step.number != SCALE_OFFSET or len(parameters) < 9:
        return parameters
    size = parameters[4]
    order = parameters[6] if size > 1 else 0
    fill = parameters[8 : 8 + -(-size // 4)] if parameters[7] else ()
    return (*parameters[:6], order, *fill)


def unshuffle(data: Data, size: int) -> Data:
    """Undo the shuffle filter: bring the bytes of each element of ``size`` bytes together again; a rest stays
    as it is.
    """
    count = len(data) // size if size > 1 else 0
    if count < 2:
        return data
    whole = count * size
    planes = np.frombuffer(data, dtype=np.uint8, count=whole).reshape(size, count)
    together = bytearray(len(data))
    np.frombuffer(together, dtype=np.uint8, count=whole).reshape(count, size)[...] = planes.T
    together[whole:] = data[whole:]
    return together
