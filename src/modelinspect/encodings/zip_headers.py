"""Read the headers of zip members, as the central directory and the members themselves have them.

Specification: PKWARE APPNOTE.TXT 6.3.10; quoted by section at the lines that obey it.
"""

from __future__ import annotations

from enum import IntEnum
from zlib import crc32

from modelinspect.core import signatures
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.errors import Code

_FULL_16 = 0xFFFF
_UNICODE_PATH = 0x7075
_FULL_32 = 0xFFFFFFFF


class Method(IntEnum):
    """The compression methods that this package decodes (4.4.5)."""

    STORED = 0
    DEFLATED = 8
    BZIP2 = 12
    LZMA = 14


_METHODS = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    20: "zstd",
    93: "zstd",
    95: "xz",
    98: "ppmd",
    99: "AES",
}


class Flag(IntEnum):
    """Bits of the general purpose flag (4.4.4)."""

    ENCRYPTED = 0x1
    DESCRIPTOR = 0x8
    UTF8 = 0x800


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member as the central directory describes it.

    ``data`` are its stored bytes and ``size`` is what they decode to. ``problem`` says why they cannot be
    read; empty where they can. A member whose local header was not found, or whose bytes another member
    holds, has no ``data``.
    """

    name: str
    method: int
    data: Span | None
    size: int
    crc: int
    header_offset: int
    problem: str = ""
    code: Code = Code.UNSUPPORTED

    @property
    def is_folder(self) -> bool:
        """Return whether the entry only names a folder."""
        return self.name.endswith("/") and self.size == 0

    @property
    def is_stored(self) -> bool:
        """Return whether the data are there as they are."""
        return self.method == Method.STORED


@dataclass(frozen=True, slots=True)
class Entry:
    """A header of the central directory (4.3.12)."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    stored_size: int
    size: int
    header_offset: int
    problem: str
    code: Code = Code.UNSUPPORTED
    unicode_name: str = ""
    """The name of the Unicode Path extra field (4.6.9) where it is for this name and differs."""

    def member(self, data: Span | None, problem: str, code: Code) -> ZipMember:
        """Return the member, once its data were found."""
        return ZipMember(self.name, self.method, data, self.size, self.crc, self.header_offset, problem, code)


def read_entry(cursor: Cursor) -> Entry:
    """Read a header of the central directory (4.3.12). Raises `FormatError`."""
    cursor.expect(signatures.ZIP_ENTRY)
    cursor.skip(4)
    flags, method = cursor.u16(), cursor.u16()
    cursor.skip(4)
    crc, stored_size, size = cursor.u32(), cursor.u32(), cursor.u32()
    name_size, extra_size, comment_size, disk = cursor.u16(), cursor.u16(), cursor.u16(), cursor.u16()
    cursor.skip(6)
    header_offset = cursor.u32()
    raw_name = cursor.take(name_size)
    extra = Cursor(cursor.take(extra_size), cursor.member, cursor.offset - extra_size, "zip64 extra field")
    cursor.skip(comment_size)
    unicode_name = _unicode_name(extra.data, raw_name)
    # 4.5.3: the zip64 field holds only those values that do not fit into the header, in this order.
    if _FULL_32 in (size, stored_size, header_offset) and seek_extra(extra, 0x0001):
        size = extra.u64() if size == _FULL_32 else size
        stored_size = extra.u64() if stored_size == _FULL_32 else stored_size
        header_offset = extra.u64() if header_offset == _FULL_32 else header_offset
    name = decode_name(raw_name, flags)
    problem = problem_of(flags, method, stored_size, size)
    if disk not in (0, _FULL_16):
        problem = "is in another part of the archive"
    if unicode_name == name:
        unicode_name = ""
    return Entry(
        name,
        raw_name,
        flags,
        method,
        crc,
        stored_size,
        size,
        header_offset,
        problem,
        unicode_name=unicode_name,
    )


def _unicode_name(extra: bytes, raw_name: bytes) -> str:
    """Return the name of the Unicode Path field of a header, which Python's zipfile reads from 3.12 on; empty
    where there is none for this name.
    """
    at, found = 0, ""
    while at + 4 <= len(extra):
        kind, size = (
            int.from_bytes(extra[at : at + 2], "little"),
            int.from_bytes(extra[at + 2 : at + 4], "little"),
        )
        data = extra[at + 4 : at + 4 + size]
        if (
            kind == _UNICODE_PATH
            and data[:1] == b"\1"
            and int.from_bytes(data[1:5], "little") == crc32(raw_name)
        ):
            found = data[5:].decode("utf-8", "replace").split("\0", 1)[0]
        at += 4 + size
    return printable(found)


def decode_name(name: bytes, flags: int) -> str:
    """Return a member's name (4.4.4, bit 11) up to a NUL, as Python's zipfile cuts it; what could break a
    line is escaped.
    """
    return printable(name.decode("utf-8" if flags & Flag.UTF8 else "cp437", "replace").split("\0", 1)[0])


def seek_extra(extra: Cursor, wanted: int) -> bool:
    """Move to the data of an extra field (4.5.1); return whether it is there."""
    while extra.left >= 4:
        kind, size = extra.u16(), extra.u16()
        if kind == wanted:
            return True
        extra.skip(size)
    return False


def problem_of(flags: int, method: int, stored_size: int, size: int) -> str:
    """Say why a member cannot be read; nothing where it can."""
    if flags & Flag.ENCRYPTED:
        return "is encrypted"
    match method:
        case Method.STORED:
            return (
                "" if stored_size == size else f"is stored in {stored_size:,} bytes but should have {size:,}"
            )
        case Method.DEFLATED | Method.BZIP2 | Method.LZMA:
            return ""
    return (
        f"is compressed with {_METHODS.get(method, 'an unknown method')} (method {method}), which is not read"
    )


def sizes_in(entry: Entry, width: int) -> bytes:
    """Return the sizes as a data descriptor holds them (4.3.9); nothing where they do not fit."""
    if max(entry.stored_size, entry.size) >= 1 << (8 * width):
        return b""
    return entry.stored_size.to_bytes(width, "little") + entry.size.to_bytes(width, "little")


def is_unsafe(name: str) -> bool:
    """Return whether a name would lead out of the folder that an archive is unpacked into."""
    parts = name.replace("\\", "/").split("/")
    return (
        name.startswith(("/", "\\"))
        or ".." in parts
        or "\0" in name
        or (len(parts[0]) == 2 and parts[0][1] == ":")
    )


def printable(name: str) -> str:
    """Escape what would break a line or a terminal in a name that anybody may have written."""
    return (
        name
        if name.isprintable()
        else "".join(part if part.isprintable() else ascii(part)[1:-1] for part in name)
    )
