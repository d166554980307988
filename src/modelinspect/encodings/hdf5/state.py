"""What every part of an HDF5 walk shares: bytes by address, claims, trouble, checksums, totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.checksum import wrong_checksums
from modelinspect.encodings.hdf5.model import Hdf5Policy, Superblock, Totals
from modelinspect.encodings.walk import Walk
from modelinspect.errors import Code, FormatError, LimitError, UnsupportedFeatureError

CONTAINER = RegionKind.CONTAINER
FREE = RegionKind.FREE
STALE_KEYS, STALE_ENTRIES = "unused keys and children", "unused entries"
"""Names of free places in B-tree and symbol table nodes. The library moves keys and leaves old ones there."""
METADATA = RegionKind.METADATA
TENSOR_DATA = RegionKind.TENSOR_DATA

_PENDING_BYTES = 4 << 20
_READ_FACTOR, _READ_MORE = 8, 4 << 20
"""A file's structures are read about once each; so many times its size, and so many bytes more, are never
needed.
"""
_Result = TypeVar("_Result")


class State:
    """A walk under way. Addresses are the file's own; offsets count from the start of the source."""

    __slots__ = (
        "_entered",
        "_fills",
        "_pending",
        "_pending_size",
        "_pending_what",
        "base",
        "claim",
        "claims",
        "complete",
        "end",
        "length_size",
        "limits",
        "name",
        "objects",
        "offset_size",
        "path_budget",
        "paths",
        "policy",
        "read_budget",
        "source",
        "totals",
        "undefined",
        "verify_off",
        "walk",
    )

    def __init__(self, walk: Walk, policy: Hdf5Policy, superblock: Superblock) -> None:
        self.walk = walk
        self.policy = policy
        self.source = walk.source
        self.name = walk.source.name
        self.claims = walk.claims
        self.claim: Callable[..., None] = walk.claims.claim
        self.paths = walk.claims.paths
        self.limits = walk.limits
        self.base = superblock.offset
        self.end = min(walk.source.size, max(superblock.end_of_file, superblock.offset + superblock.size))
        self.offset_size = superblock.offset_size
        self.length_size = superblock.length_size
        self.undefined = (1 << 8 * superblock.offset_size) - 1
        self.complete = True
        self.totals = Totals()
        self.objects = 0
        self.verify_off = False
        self.read_budget = _READ_FACTOR * walk.source.size + _READ_MORE
        self.path_budget = 16 * walk.source.size + (1 << 20)
        self._pending: list[bytes] = []
        self._pending_what: list[tuple[str, int]] = []
        self._pending_size = 0
        self._entered: set[int] = set()
        self._fills: list[tuple[int, int, PathId]] = []

    def locate(self, address: int, size: int, what: str) -> int:
        """Return the offset of an address.

        Raises `FormatError` where the structure does not fit into the file.
        """
        offset = self.base + address
        if address == self.undefined:
            raise FormatError(f"the address of a {what} is undefined", self.name)
        if size < 0 or offset + size > self.end:
            raise FormatError(
                f"{what} needs {size:,} bytes but {max(self.end - offset, 0):,} are left", self.name, offset
            )
        return offset

    def read(self, address: int, size: int, what: str) -> bytes:
        """Read a structure. Raises `FormatError` where it does not fit into the file or the limits."""
        offset = self.locate(address, size, what)
        self.limits.allow(f"a {what}", size, self.limits.structure_size, self.name, offset)
        self.spend_read(size, offset)
        return self.source.read_at(offset, size)

    def cursor(self, address: int, size: int, what: str) -> Cursor:
        """Read a structure for reading it value by value."""
        return Cursor(self.read(address, size, what), self.name, self.base + address, what)

    def address(self, cursor: Cursor) -> int:
        """Read an address."""
        return cursor.uint(self.offset_size)

    def length(self, cursor: Cursor) -> int:
        """Read a length."""
        return cursor.uint(self.length_size)

    def error(self, problem: str, offset: int | None = None, code: Code = Code.MALFORMED) -> FormatError:
        """Return an error about bytes of the file."""
        return FormatError(problem, self.name, offset, code)

    def unsupported(self, problem: str, offset: int | None = None) -> UnsupportedFeatureError:
        """Return an error about a feature that is not read here."""
        return UnsupportedFeatureError(problem, self.name, offset)

    def survive(self, error: FormatError) -> None:
        """Report trouble that leaves bytes unread, and go on."""
        self.complete = False
        self.walk.report(error)

    def guard(self, step: Callable[..., _Result], *arguments: object) -> _Result | None:
        """Do one structure's part of the walk; where its bytes are wrong, report that and return None."""
        try:
            return step(*arguments)
        except FormatError as error:
            self.survive(error)
            return None

    def count_object(self, offset: int) -> None:
        """Count one more object. Raises `LimitError` beyond the limit."""
        self.objects += 1
        self.limits.allow("the number of its objects", self.objects, self.limits.objects, self.name, offset)

    def verify(self, data: bytes, what: str, offset: int) -> None:
        """Verify later that the last four bytes of a structure are the checksum of the rest."""
        if self.verify_off:
            return
        self._pending.append(data)
        self._pending_what.append((what, offset))
        self._pending_size += len(data)
        if self._pending_size > _PENDING_BYTES:
            self.verify_pending()

    def verify_pending(self) -> None:
        """Verify what waits for it."""
        for index in sorted(wrong_checksums(self._pending)):
            what, offset = self._pending_what[index]
            self.survive(self.error(f"the checksum of the {what} is wrong", offset, Code.CHECKSUM))
        self._pending.clear()
        self._pending_what.clear()
        self._pending_size = 0

    def container(self, address: int, used: int, size: int, path: PathId) -> None:
        """Claim a structure of which the first ``used`` bytes say something; the rest is free."""
        offset = self.base + address
        self.claim(offset, used, CONTAINER, path)
        if used < size:
            self.claim(offset + used, size - used, FREE, self.paths.child(path, "unused"))

    def fill(self, offset: int, size: int, path: PathId) -> None:
        """Say what is where nobody claims, if the whole file could be read."""
        if size > 0:
            self._fills.append((offset, size, path))

    def finish(self) -> None:
        """Verify what still waits and, where everything was read, say that what nobody claims is free."""
        self.verify_pending()
        if self.complete:
            self.claims.fill(0, self.source.size, FREE, self.claims.path("free space"))
            for offset, size, path in self._fills:
                self.claims.fill(offset, size, FREE, path)

    def enter(self, address: int, what: str) -> None:
        """Note a structure that belongs to a single object.

        Raises `FormatError` where another one led to it before.
        """
        if address in self._entered:
            raise FormatError(f"a {what} belongs to two objects", self.name, self.base + address)
        self._entered.add(address)

    def spend_read(self, size: int, offset: int) -> None:
        """Count bytes that are read.

        Raises `LimitError` where structures lie over one another, which would cost without end.
        """
        self.read_budget -= size
        if self.read_budget < 0:
            raise LimitError("its structures overlap: more was read than the file holds", self.name, offset)

    def spend(self, characters: int, offset: int) -> None:
        """Count characters of names.

        Raises `LimitError` where a file's names are out of proportion to its size.
        """
        self.path_budget -= characters
        if self.path_budget < 0:
            raise LimitError("its names overlap: they are longer than the file", self.name, offset)


def encoded_size(limit: int) -> int:
    """Return the bytes that numbers up to ``limit`` are encoded in."""
    return max((limit.bit_length() + 7) // 8, 1)
