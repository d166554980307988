"""Read the superblock: where the file begins, how long its numbers are, and where its root is."""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.records import dataclass
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.model import Superblock
from modelinspect.encodings.hdf5.state import CONTAINER, METADATA, State
from modelinspect.encodings.hdf5.symbols import claim_entry
from modelinspect.errors import FormatError, UnsupportedFeatureError
from modelinspect.sources.base import Source

_OPEN_FOR_WRITE = 0x05
"""Consistency flags of a version 3 superblock: opened for writing, and by a single writer beside readers."""


@dataclass(frozen=True, slots=True)
class Roots:
    """What the superblock leads to; addresses, None where there is none.

    ``k`` values are of v1 B-trees and SNODs.
    """

    root_header: int
    extension: int | None
    driver_info: int | None
    group_leaf_k: int
    group_internal_k: int
    chunk_k: int
    stored_end: int
    size: int
    cache_type: int


def find_signature(source: Source) -> int | None:
    """Return the offset of the format signature: 0, 512, 1024, 2048, … (specification, section II.A)."""
    offset = 0
    while offset + len(signatures.HDF5) <= source.size:
        if source.read_at(offset, len(signatures.HDF5)) == signatures.HDF5:
            return offset
        offset = offset * 2 or 512
    return None


def read_superblock(source: Source) -> tuple[Superblock, Roots, bytes]:
    """Read the superblock. Raises `FormatError` where there is none or it cannot be read."""
    offset = find_signature(source)
    if offset is None:
        raise FormatError("no HDF5 signature is at byte 0, 512, 1024, …", source.name, 0)
    cursor = Cursor(source.read_at(offset, min(192, source.size - offset)), source.name, offset, "superblock")
    cursor.skip(len(signatures.HDF5))
    version = cursor.u8()
    if version > 3:
        raise UnsupportedFeatureError(
            f"superblock version {version} is not read here", source.name, offset + 8
        )
    offset_size, length_size, roots, base, root = (
        _read_old(cursor, version) if version < 2 else _read_new(cursor)
    )
    # A file that was moved within its file (a user block added by hand) is read from where its signature is.
    end = roots.stored_end + offset - base
    return (
        Superblock(version, offset, cursor.index, base, end, offset_size, length_size, root),
        roots,
        cursor.data[: cursor.index],
    )


def _sizes(cursor: Cursor) -> tuple[int, int]:
    offset_size, length_size = cursor.u8(), cursor.u8()
    for size in (offset_size, length_size):
        if size not in (2, 4, 8):
            raise UnsupportedFeatureError(
                f"addresses and lengths of {size} bytes are not read here", cursor.member, cursor.offset
            )
    return offset_size, length_size


def _optional(address: int, offset_size: int) -> int | None:
    return None if address == (1 << 8 * offset_size) - 1 else address


def _read_old(cursor: Cursor, version: int) -> tuple[int, int, Roots, int, int]:
    cursor.skip(4)
    offset_size, length_size = _sizes(cursor)
    cursor.skip(1)
    leaf_k, internal_k = cursor.u16(), cursor.u16()
    cursor.skip(4)
    chunk_k = 32
    if version == 1:
        chunk_k = cursor.u16()
        cursor.skip(2)
    base, _free, end, driver = (cursor.uint(offset_size) for _ in range(4))
    cursor.skip(offset_size)
    root = cursor.uint(offset_size)
    cache_type = cursor.u32()
    cursor.skip(4 + 16)
    if not leaf_k or not internal_k or not chunk_k:
        raise cursor.error("a K value of the superblock is 0")
    roots = Roots(
        root, None, _optional(driver, offset_size), leaf_k, internal_k, chunk_k, end, cursor.index, cache_type
    )
    return offset_size, length_size, roots, base, root


def _read_new(cursor: Cursor) -> tuple[int, int, Roots, int, int]:
    offset_size, length_size = _sizes(cursor)
    cursor.skip(1)
    base, extension, end, root = (cursor.uint(offset_size) for _ in range(4))
    cursor.skip(4)
    roots = Roots(root, _optional(extension, offset_size), None, 4, 16, 32, end, cursor.index, 0)
    return offset_size, length_size, roots, base, root


def claim_superblock(state: State, superblock: Superblock, roots: Roots, data: bytes) -> None:
    """Claim the superblock, the user block before it and the driver info block."""
    claims = state.claims
    claims.claim(0, superblock.offset, METADATA, claims.path("user block"))
    path = claims.path("superblock")
    state.totals.superblock = superblock.size
    state.totals.user_block = superblock.offset
    if superblock.version < 2:
        scratch = 24 if superblock.version == 0 else 28
        entry = superblock.offset + scratch + 4 * state.offset_size
        claims.claim(superblock.offset, entry - superblock.offset, CONTAINER, path)
        claim_entry(state, entry, roots.cache_type, state.paths.child(path, "root group symbol table entry"))
    else:
        claims.claim(superblock.offset, superblock.size, CONTAINER, path)
        if superblock.version == 3 and data[11] & _OPEN_FOR_WRITE:
            state.walk.report(
                state.error(
                    "the file is marked as open for writing: its writer did not close it",
                    superblock.offset + 11,
                )
            )
        state.verify(data, "superblock", superblock.offset)
    if roots.driver_info is not None:
        state.guard(_claim_driver_info, state, roots.driver_info)


def _claim_driver_info(state: State, address: int) -> None:
    cursor = state.cursor(address, 16, "driver info block")
    version = cursor.u8()
    if version != 0:
        raise state.unsupported(f"driver info block version {version} is not read here", cursor.base)
    cursor.skip(3)
    size = cursor.u32()
    state.locate(address, 16 + size, "driver info block")
    state.totals.superblock_extension += 16 + size
    state.claim(cursor.base, 16 + size, CONTAINER, state.claims.path("driver info block"))
