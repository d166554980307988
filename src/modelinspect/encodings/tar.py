"""Walk tar archives: headers and padding are claimed, the bytes of members are left to the caller.

Specification: POSIX.1-2017, pax "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic
Tar Format".
"""

from __future__ import annotations

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import MIB, Cost
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip_headers import is_unsafe, printable
from modelinspect.errors import Code, FormatError, LimitError
from modelinspect.sources.base import Source

BLOCK = 512
"""Headers and data are in blocks of this size."""

_FILE_TYPES = (b"0", b"\0", b"7")
_LINK_TYPES = {b"1": "hard link", b"2": "symbolic link", b"3": "device", b"4": "device", b"6": "pipe"}
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK, _GNU_SPARSE, _FOLDER = b"x", b"g", b"L", b"K", b"S", b"5"
_EXTRA_LIMIT = MIB
_OCTAL = b"01234567"
_ZERO_READ = MIB


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file of the archive.

    ``problem`` says why its bytes cannot be read as they are; empty where they can.
    """

    name: str
    data: Span
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TarDirectory:
    """The files of the archive; ``end`` is where its last block ends, ``complete`` means that the walk came
    that far.
    """

    members: tuple[TarMember, ...]
    end: int
    complete: bool

    def find(self, name: str) -> TarMember | None:
        """Return the member of that name, the last where there are several, as readers do."""
        for member in reversed(self.members):
            if member.name == name:
                return member
        return None


def is_tar(source: Source) -> bool:
    """Return whether the source begins with a tar header, by its checksum."""
    return source.size >= BLOCK and _has_checksum(source.read_at(0, BLOCK))


def walk_tar(walk: Walk) -> TarDirectory:
    """Claim headers, padding and the end of the archive; return its files. Data of files are not claimed."""
    return _Walker(walk).walk()


class _Walker:
    """One walk: what it works on, and what the extended headers said about the next file."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._members: list[TarMember] = []
        self._seen: set[str] = set()
        self._name = ""
        self._size: int | None = None
        self._sparse = False

    def walk(self) -> TarDirectory:
        source, offset, headers = self._walk.source, 0, 0
        try:
            while offset < source.size:
                source.require(offset, BLOCK, "a tar header")
                header = source.read_at(offset, BLOCK)
                if not any(header):
                    self._claim(
                        offset, source.size - offset, "end-of-archive blocks", kind=self._end_kind(offset)
                    )
                    return TarDirectory(tuple(self._members), source.size, True)
                headers += 1
                self._walk.limits.allow(
                    "the archive's list of members", headers, self._walk.limits.members, source.name, offset
                )
                self._walk.limits.spend(Cost.MEMBERS, 1, source.name, offset)
                offset = self._read_member(header, offset)
        except LimitError:
            raise
        except FormatError as error:
            self._walk.report(error)
            return TarDirectory(tuple(self._members), offset, False)
        return TarDirectory(tuple(self._members), offset, True)

    def _claim(self, offset: int, size: int, *names: str, kind: RegionKind = RegionKind.CONTAINER) -> None:
        self._walk.claims.claim(offset, size, kind, self._walk.claims.path(*names))

    def _end_kind(self, offset: int) -> RegionKind:
        """Report what the rest is: zero blocks up to the record's end are part of the archive, anything else
        is not.
        """
        source = self._walk.source
        while offset < source.size:
            size = min(_ZERO_READ, source.size - offset)
            if any(source.read_at(offset, size)):
                self._walk.report(
                    FormatError("bytes are after the end of the archive", source.name, offset, Code.TRAILING)
                )
                return RegionKind.FREE
            offset += size
        return RegionKind.CONTAINER

    def _read_member(self, header: bytes, offset: int) -> int:
        """Claim one header and its padding; return where the next header is."""
        source = self._walk.source
        if not _has_checksum(header):
            raise FormatError(
                "the checksum of a tar header does not fit its bytes", source.name, offset, Code.CHECKSUM
            )
        kind = header[156:157]
        size = _number(header[124:136], source, offset)
        begin = offset + BLOCK
        if kind in (_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK):
            return self._read_extension(kind, begin, size)
        name = printable(self._name or _field_name(header))
        size = size if self._size is None else self._size
        sparse = self._sparse or kind == _GNU_SPARSE
        self._name, self._size, self._sparse = "", None, False
        # GNU tar's old sparse form goes on with more blocks of the sparse map while a flag says so.
        more = header[482] if kind == _GNU_SPARSE else 0
        while more:
            source.require(begin, BLOCK, "a sparse header")
            more = source.read_at(begin + 504, 1)[0]
            begin += BLOCK
        self._claim(offset, begin - offset, name, "header")
        if kind in _LINK_TYPES or kind == _FOLDER:
            if kind in _LINK_TYPES:
                self._note(
                    f"member {name} is a {_LINK_TYPES[kind]}, which is not followed", offset, Code.LINK
                )
            return begin
        kept = min(size, source.size - begin)
        self._add(TarMember(name, Span(begin, kept), self._problem(kind, sparse)), offset)
        source.require(begin, size, f"the data of {name}")
        return self._pad(begin + size, name)

    def _problem(self, kind: bytes, sparse: bool) -> str:
        if sparse:
            return "is stored as a sparse file, which is not read"
        return "" if kind in _FILE_TYPES else f"is of type {kind!r}, which is not read"

    def _add(self, member: TarMember, offset: int) -> None:
        if member.name in self._seen:
            self._note(
                f"the archive names {member.name} twice; readers take the last", offset, Code.AMBIGUOUS
            )
        self._seen.add(member.name)
        if is_unsafe(member.name):
            self._note(f"member {member.name!r} would be unpacked outside its folder", offset, Code.OUTSIDE)
        if member.problem:
            self._note(f"member {member.name} {member.problem}", offset, Code.UNSUPPORTED)
        self._members.append(member)

    def _note(self, problem: str, offset: int, code: Code) -> None:
        self._walk.report(FormatError(problem, self._walk.source.name, offset, code))

    def _pad(self, end: int, name: str) -> int:
        """Claim what is left of the last block, and return its end."""
        padding = min(-end % BLOCK, self._walk.source.size - end)
        self._claim(end, padding, name, "padding", kind=RegionKind.FREE)
        return end + padding

    def _read_extension(self, kind: bytes, begin: int, size: int) -> int:
        """Claim a header that only describes the next one, and remember what it says."""
        source = self._walk.source
        self._walk.limits.allow("an extended header", size, _EXTRA_LIMIT, source.name, begin)
        source.require(begin, size, "an extended header")
        data = source.read_at(begin, size)
        if kind == _GNU_NAME:
            self._name = data.rstrip(b"\0").decode("utf-8", "replace")
        elif kind == _PAX:
            self._read_pax(data, begin)
        self._claim(begin - BLOCK, BLOCK + size, "extended header")
        return self._pad(begin + size, "extended header")

    def _read_pax(self, data: bytes, base: int) -> None:
        """Read ``length key=value`` records."""
        source, index = self._walk.source, 0
        while index < len(data):
            space = data.find(b" ", index, index + 12)
            digits = data[index:space] if space > 0 else b""
            length = int(digits) if digits.isdigit() else 0
            if length <= space - index + 1 or index + length > len(data):
                raise FormatError("a record of the pax header has a wrong length", source.name, base + index)
            key, _, value = data[space + 1 : index + length - 1].partition(b"=")
            if key == b"path":
                self._name = value.decode("utf-8", "replace")
            elif key == b"size":
                if not value.isdigit() or len(value) > 19:
                    raise FormatError("the size of the pax header is not a number", source.name, base + index)
                self._size = int(value)
            elif key.startswith(b"GNU.sparse."):
                self._sparse = True
                if key == b"GNU.sparse.name":
                    self._name = value.decode("utf-8", "replace")
            index += length


def _has_checksum(header: bytes) -> bool:
    """Return whether the sum of the bytes, the checksum's own taken as blanks, is the one reported (bytes
    were once signed).
    """
    digits = header[148:156].strip(b" \0")
    if not digits or digits.strip(_OCTAL):
        return False
    checksum = int(digits, 8)
    unsigned = sum(header) - sum(header[148:156]) + 8 * 0x20
    if checksum == unsigned:
        return True
    return checksum == unsigned - 256 * sum(byte > 127 for byte in header[:148] + header[156:])


def _number(field: bytes, source: Source, offset: int) -> int:
    """Read an octal number, or the big-endian one that GNU tar writes where that is too short."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(_OCTAL):
        raise FormatError("the size in a tar header is not a number", source.name, offset)
    return int(digits or b"0", 8)


def _field_name(header: bytes) -> str:
    name = header[:100].split(b"\0")[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "replace")
