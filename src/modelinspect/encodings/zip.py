"""Walk zip archives: every record is claimed, the bytes of members are left to the caller.

Specification: PKWARE APPNOTE.TXT 6.3.10; quoted by section at the lines that obey it.
"""

from __future__ import annotations

from struct import Struct

from modelinspect.core import signatures
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Cost
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip_end import End, find_end_record, read_end
from modelinspect.encodings.zip_headers import (
    Entry,
    Flag,
    Method,
    ZipMember,
    decode_name,
    is_unsafe,
    problem_of,
    read_entry,
    seek_extra,
    sizes_in,
)
from modelinspect.errors import Code, FormatError, TruncatedError

__all__ = ["Method", "ZipDirectory", "ZipMember", "find_end_record", "walk_zip"]

_DESCRIPTOR = b"PK\x07\x08"
_DIGITAL_SIGNATURE = b"PK\x05\x05"
_LOCAL_HEADER_SIZE = 30
_CENTRAL_HEADER_SIZE = 46
_FULL_16 = 0xFFFF
_FULL_32 = 0xFFFFFFFF
_LOCAL_READ = 256
_LOCAL = Struct("<4s5H3I2H")


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """What the central directory says.

    The archive's records and members are within ``[begin, end)``; what is before and after is not its own.
    ``complete`` means that every record could be read, so gaps are known to be free.
    """

    members: tuple[ZipMember, ...]
    begin: int
    end: int
    complete: bool

    def find(self, name: str) -> ZipMember | None:
        """Return the member of that name, the last where there are several, as readers do."""
        for member in reversed(self.members):
            if member.name == name:
                return member
        return None


def walk_zip(walk: Walk, path: PathId | None = None) -> ZipDirectory:
    """Claim the records of the archive that ends the source, and fill its gaps; return its members.

    Member data are not claimed, nor is what is before ``begin`` or after ``end``. Paths are below ``path``,
    the root of the claims by default. Where the end is missing, as in a file that is cut short, members are
    found by their local headers. Raises `FormatError` where no archive is found.
    """
    return _Walker(walk, walk.claims.root if path is None else path).walk()


def _has_two_names(entry: Entry) -> bool:
    """Return whether a Unicode Path field names another member than the header does.

    Writers use the field for names that the header cannot hold, and put ``?`` or ``#U`` there.
    """
    if not entry.unicode_name or not (entry.unicode_name.isascii() or entry.raw_name.isascii()):
        return False
    return entry.unicode_name.isascii() or not any(mark in entry.raw_name for mark in (b"?", b"#U"))


class _Walker:
    """One walk: what it works on, and what it found."""

    def __init__(self, walk: Walk, path: PathId) -> None:
        self._walk = walk
        self._path = path
        self._complete = True
        self._taken: list[Span] = []

    def walk(self) -> ZipDirectory:
        try:
            end = read_end(self._walk.source, self._survive, self._note)
        except FormatError as error:
            source = self._walk.source
            if source.read_at(0, min(len(signatures.ZIP), source.size)) != signatures.ZIP:
                raise
            self._complete = False
            self._walk.report(self._missing_end(error))
            members, reach = self._scan()
            return ZipDirectory(tuple(members), 0, reach, False)
        for name, span in end.records:
            self._claim(span, RegionKind.CONTAINER, name)
        entries = self._read_directory(end)
        if not entries and not self._complete:
            members, _ = self._scan()
            return ZipDirectory(tuple(members), 0, end.end, False)
        members = self._resolve(entries, end.directory.offset)
        begin = min((span.offset for span in self._taken), default=end.directory.offset)
        if self._complete:
            self._fill_gaps(begin, end.end)
        return ZipDirectory(tuple(members), begin, end.end, self._complete)

    def _missing_end(self, error: FormatError) -> FormatError:
        """Return what a file that begins as an archive lacks: nothing unpacks it without its end (4.3.6)."""
        source = self._walk.source
        if find_end_record(source) is not None:
            return error
        return TruncatedError(
            "the zip archive has no central directory at its end: the file is truncated",
            source.name,
            source.size,
        )

    def _claim(self, span: Span, kind: RegionKind, *names: str) -> None:
        self._walk.claims.claim(
            span.offset, span.size, kind, self._walk.claims.paths.child(self._path, *names)
        )
        self._taken.append(span)

    def _survive(self, problem: str, offset: int | None, code: Code = Code.MALFORMED) -> None:
        self._complete = False
        self._walk.report(FormatError(problem, self._walk.source.name, offset, code))

    def _read_directory(self, end: End) -> list[Entry]:
        source, span = self._walk.source, end.directory
        self._walk.limits.allow(
            "the central directory", span.size, self._walk.limits.structure_size, source.name, span.offset
        )
        cursor = Cursor(source.read_at(span.offset, span.size), source.name, span.offset, "central directory")
        entries: list[Entry] = []
        while cursor.left:
            begin = cursor.offset
            try:
                if cursor.data.startswith(_DIGITAL_SIGNATURE, cursor.index):
                    cursor.skip(4)
                    cursor.skip(cursor.u16())
                    self._claim(
                        Span(begin, cursor.offset - begin),
                        RegionKind.CONTAINER,
                        "central directory",
                        "digital signature",
                    )
                    continue
                entry = self._locate(read_entry(cursor), end.shift)
            except FormatError as error:
                self._survive(error.problem, error.offset, error.code)
                break
            entries.append(entry)
            self._walk.limits.allow(
                "the archive's list of members", len(entries), self._walk.limits.members, source.name, begin
            )
            self._walk.limits.spend(Cost.MEMBERS, 1, source.name, begin)
            self._claim(
                Span(begin, cursor.offset - begin), RegionKind.CONTAINER, "central directory", entry.name
            )
        return entries

    def _locate(self, entry: Entry, shift: int) -> Entry:
        """Return the entry with the offset of its local header: bytes put before the archive shift it, damage
        may not have.
        """
        if shift == 0:
            return entry
        source, wanted = self._walk.source, signatures.ZIP
        for offset in (entry.header_offset + shift, entry.header_offset):
            if 0 <= offset <= source.size - len(wanted) and source.read_at(offset, len(wanted)) == wanted:
                return replace(entry, header_offset=offset)
        return replace(entry, header_offset=max(entry.header_offset + shift, 0))

    def _resolve(self, entries: list[Entry], limit: int) -> list[ZipMember]:
        """Find the local header and the data of every entry, all before ``limit``; the first to take a byte
        keeps it.
        """
        seen: set[str] = set()
        for entry in entries:
            if entry.name in seen:
                self._note(
                    f"the archive names {entry.name} twice; readers take the last",
                    entry.header_offset,
                    Code.AMBIGUOUS,
                )
            seen.add(entry.name)
            if b"\0" in entry.raw_name:
                self._note(
                    f"a member's name goes on after a NUL: readers take it for {entry.name!r}",
                    entry.header_offset,
                    Code.AMBIGUOUS,
                )
            if _has_two_names(entry):
                self._note(
                    f"a member is {entry.name!r} to one reader and {entry.unicode_name!r} to another, by its"
                    " Unicode Path field",
                    entry.header_offset,
                    Code.AMBIGUOUS,
                )
            if is_unsafe(entry.name):
                self._note(
                    f"member {entry.name!r} would be unpacked outside its folder",
                    entry.header_offset,
                    Code.OUTSIDE,
                )
        found: dict[int, ZipMember] = {}
        reach = 0
        for index in sorted(range(len(entries)), key=lambda index: entries[index].header_offset):
            entry = entries[index]
            if entry.header_offset < reach:
                self._survive(
                    f"member {entry.name} overlaps the previous one", entry.header_offset, Code.AMBIGUOUS
                )
                found[index] = entry.member(None, "overlaps another member", Code.AMBIGUOUS)
                continue
            try:
                found[index], reach = self._read_member(entry, limit)
            except FormatError as error:
                self._survive(error.problem, error.offset, error.code)
                found[index] = entry.member(None, error.problem, error.code)
        return [found[index] for index in range(len(entries))]

    def _note(self, problem: str, offset: int, code: Code) -> None:
        """Report what is odd but hides no bytes."""
        self._walk.report(FormatError(problem, self._walk.source.name, offset, code))

    def _read_member(self, entry: Entry, limit: int) -> tuple[ZipMember, int]:
        """Claim a member's local header and data descriptor; return it and the end of all."""
        source, offset = self._walk.source, entry.header_offset
        source.require(offset, _LOCAL_HEADER_SIZE, f"the local file header of {entry.name}")
        head = source.read_at(offset, min(_LOCAL_READ, source.size - offset))
        signature, _, flags, method, _, _, _, _, _, name_size, extra_size = _LOCAL.unpack_from(head)
        if signature != signatures.ZIP:
            raise FormatError(
                f"the local file header of {entry.name} must begin with {signatures.ZIP!r}",
                source.name,
                offset,
            )
        size = _LOCAL_HEADER_SIZE + name_size + extra_size
        if offset + size + entry.stored_size > limit:
            needed = size + entry.stored_size
            raise FormatError(
                f"member {entry.name} needs {needed:,} bytes but the central directory begins"
                f" {limit - offset:,} bytes on",
                source.name,
                offset,
            )
        if size > len(head):
            head = source.read_at(offset, size)
        problem, code = entry.problem, entry.code
        if head[_LOCAL_HEADER_SIZE : _LOCAL_HEADER_SIZE + name_size] != entry.raw_name:
            problem, code = (
                "has another name in its local file header than in the central directory",
                Code.AMBIGUOUS,
            )
        elif method != entry.method:
            problem, code = (
                "has another compression method in its local file header than in the central directory",
                Code.AMBIGUOUS,
            )
        if problem:
            self._walk.report(FormatError(f"member {entry.name} {problem}", source.name, offset, code))
        data = Span(offset + size, entry.stored_size)
        self._claim(Span(offset, size), RegionKind.CONTAINER, entry.name, "local file header")
        self._taken.append(data)
        end = data.end
        if (flags | entry.flags) & Flag.DESCRIPTOR:
            end += self._claim_descriptor(entry, data.end)
        return entry.member(data, problem, code), end

    def _claim_descriptor(self, entry: Entry, offset: int) -> int:
        """Claim the data descriptor (4.3.9): with or without a signature, sizes of four or eight bytes."""
        source = self._walk.source
        data = source.read_at(offset, min(24, source.size - offset))
        for signature in (_DESCRIPTOR, b""):
            for width in (8, 4):  # four bytes first would take the zeros of an empty member's eight for a gap
                wanted = signature + entry.crc.to_bytes(4, "little") + sizes_in(entry, width)
                if len(wanted) > 4 and data.startswith(wanted):
                    self._claim(
                        Span(offset, len(wanted)), RegionKind.CONTAINER, entry.name, "data descriptor"
                    )
                    return len(wanted)
        self._survive(
            f"the data descriptor of {entry.name} does not say what the central directory says", offset
        )
        return 0

    def _scan(self) -> tuple[list[ZipMember], int]:
        """Find members by their local headers, one after the other; the last may be cut short."""
        source, limits = self._walk.source, self._walk.limits
        members: list[ZipMember] = []
        offset = 0
        while offset + _LOCAL_HEADER_SIZE <= source.size:
            head = source.read_at(offset, _LOCAL_HEADER_SIZE)
            signature, _, flags, method, _, _, crc, stored_size, size, name_size, extra_size = _LOCAL.unpack(
                head
            )
            begin = offset + _LOCAL_HEADER_SIZE + name_size + extra_size
            if signature != signatures.ZIP or begin > source.size:
                break
            names = source.read_at(offset + _LOCAL_HEADER_SIZE, name_size + extra_size)
            name = decode_name(names[:name_size], flags)
            extra = Cursor(names[name_size:], source.name, begin - extra_size, "zip64 extra field")
            if _FULL_32 in (size, stored_size) and seek_extra(extra, 0x0001) and extra.left >= 16:
                size, stored_size = extra.u64(), extra.u64()
            problem = problem_of(flags, method, stored_size, size)
            if flags & Flag.DESCRIPTOR:  # only the central directory says where it ends
                stored_size, problem = (
                    source.size - begin,
                    problem or "has its size after it, and the archive is cut short",
                )
            kept = min(stored_size, source.size - begin)
            if kept < stored_size and method == Method.STORED:
                size = kept
            self._claim(Span(offset, begin - offset), RegionKind.CONTAINER, name, "local file header")
            members.append(ZipMember(name, method, Span(begin, kept), size, crc, offset, problem))
            limits.allow("the archive's list of members", len(members), limits.members, source.name, offset)
            if kept < stored_size:
                problem = f"member {name} needs {stored_size:,} bytes but {kept:,} are left"
                self._walk.report(TruncatedError(problem, source.name, begin))
            offset = begin + kept
        return members, offset

    def _fill_gaps(self, begin: int, end: int) -> None:
        path = self._walk.claims.paths.child(self._path, "between members")
        reach = begin
        for span in sorted(self._taken):
            self._walk.claims.fill(reach, span.offset - reach, RegionKind.FREE, path)
            reach = max(reach, span.end)
        self._walk.claims.fill(reach, end - reach, RegionKind.FREE, path)
