"""Write zip archives again, member by member, each deflated where that gains.

Long members are deflated on several cores: blocks side by side, each with the 32 KiB before it as its
dictionary. The blocks end at whole bytes and follow each other as one raw deflate stream (RFC 1951), as pigz
writes it.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from modelinspect.core.limits import KIB, MIB, Limits
from modelinspect.core.records import dataclass, field
from modelinspect.measure.rewrite import ZIP_ERRORS, as_file
from modelinspect.shrinking.steps import NotShrinkableError
from modelinspect.sources.base import Source

_GUARD_SIZE, _GUARD_RATIO = 1 << 28, 100
"""Keras refuses archives with a member above 256 MiB that expands more than 100 times
(keras/src/saving/saving_lib.py).
"""
_BLOCK = MIB
_AT_ONCE = 8 * MIB
"""Members up to this size are compressed to see whether that makes them smaller; larger ones always are."""
_ENCRYPTED = 0x1


@dataclass(slots=True)
class Archive:
    """An archive that is being written again; ``replaced`` are files that take the place of members, by
    name.
    """

    source: Source
    limits: Limits
    level: int
    tick: Callable[[int], None] = lambda size: None
    replaced: dict[str, Path] = field(default_factory=dict)

    def members(self) -> list[zipfile.ZipInfo]:
        """Return the members. Raises `NotShrinkableError` where the archive should not be written again."""
        with self._open() as archive:
            found = archive.infolist()
            start = min((info.header_offset for info in found), default=0)
            comment = archive.comment
        names = [info.filename for info in found]
        if start or self.source.read_at(0, min(2, self.source.size)) != b"PK":
            raise NotShrinkableError(
                f"{self.source.name}: the archive does not begin at byte 0; another file may be in front"
                " of it"
            )
        if comment:
            raise NotShrinkableError(f"{self.source.name}: the archive has a comment")
        if len(set(names)) < len(names) or any("\0" in info.orig_filename for info in found):
            raise NotShrinkableError(f"{self.source.name}: readers disagree about the names of its members")
        if any(info.flag_bits & _ENCRYPTED for info in found):
            raise NotShrinkableError(f"{self.source.name}: has encrypted members")
        total = sum(info.file_size for info in found)
        self.limits.allow(
            "unpacking the archive",
            total,
            min(self.limits.decompressed_size, self._expansion()),
            self.source.name,
        )
        return found

    def extract(self, name: str, target: Path) -> None:
        """Unpack one member. Raises `NotShrinkableError` where it is damaged, `OSError`."""
        with self._open() as archive, archive.open(name) as member, target.open("wb") as out:
            self._copy(member, out, archive.getinfo(name).file_size, name)

    def write(self, target: Path) -> None:
        """Write the archive again, in the order of its members. Raises `NotShrinkableError`, `OSError`."""
        members = self.members()
        with self._open() as old, zipfile.ZipFile(target, "w") as new:
            for info in members:
                self._member(old, new, info)

    def _member(self, old: zipfile.ZipFile, new: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        path = self.replaced.get(info.filename)
        size = info.file_size if path is None else path.stat().st_size
        made = zipfile.ZipInfo(info.filename, info.date_time)
        made.external_attr, made.create_system = info.external_attr, info.create_system
        made.file_size = size
        if info.is_dir() or not size:
            new.writestr(made, b"")
        elif self.level == 0:
            self._stream(old, new, info, made, path)
        elif size > _AT_ONCE:
            made.compress_type = zipfile.ZIP_DEFLATED
            self._stream(old, new, info, made, path)
        else:
            data = self._bytes(old, info, path)
            packed = deflated_size(data, self.level)
            made.compress_type = zipfile.ZIP_DEFLATED if packed < size else zipfile.ZIP_STORED
            new.writestr(made, data, compresslevel=self.level)
            self.tick(size)

    def _stream(
        self,
        old: zipfile.ZipFile,
        new: zipfile.ZipFile,
        info: zipfile.ZipInfo,
        made: zipfile.ZipInfo,
        path: Path | None,
    ) -> None:
        made._compresslevel = self.level  # type: ignore[attr-defined]  # ZipInfo.compress_level is public from Python 3.13 on
        with old.open(info) if path is None else path.open("rb") as member, new.open(made, "w") as out:
            if made.compress_type == zipfile.ZIP_DEFLATED and self.level:
                out._compressor = ParallelDeflate(self.level)  # type: ignore[attr-defined]  # as zlib's, on all cores
            self._copy(member, out, made.file_size, info.filename)

    def _bytes(self, old: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path | None) -> bytes:
        if path is not None:
            return path.read_bytes()
        with old.open(info) as member:
            data = member.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise NotShrinkableError(
                f"{self.source.name}: member {info.filename} is not as long as the directory says"
            )
        return data

    def _copy(self, member: IO[bytes], out: IO[bytes], size: int, name: str) -> None:
        done = 0
        while block := member.read(_BLOCK):
            done += len(block)
            if done > size:
                break
            out.write(block)
            self.tick(len(block))
        if done != size:
            raise NotShrinkableError(
                f"{self.source.name}: member {name} is not as long as the directory says"
            )

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(as_file(self.source))
        except ZIP_ERRORS as error:
            raise NotShrinkableError(f"{self.source.name}: zipfile does not read it: {error}") from error

    def _expansion(self) -> int:
        return self.limits.expansion * self.source.size + MIB


def is_smaller_deflated(made: Path, original: Path, level: int) -> bool:
    """Return whether a new member takes fewer bytes in an archive than the old one.

    Large ones are not compressed twice to see: their size is that of their elements, and the new one has no
    free space.
    """
    if max(made.stat().st_size, original.stat().st_size) > _AT_ONCE:
        return True
    new, old = (
        min(len(data), deflated_size(data, level)) for data in (made.read_bytes(), original.read_bytes())
    )
    return new < old


def deflated_size(data: bytes, level: int) -> int:
    """Return the bytes that data takes as a raw deflate stream."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(packer.compress(data)) + len(packer.flush())


def beyond_guard(archive: Path) -> list[str]:
    """Return the members that Keras would take for a decompression bomb."""
    with zipfile.ZipFile(archive) as opened:
        return [
            info.filename
            for info in opened.infolist()
            if info.file_size > _GUARD_SIZE and info.file_size > _GUARD_RATIO * info.compress_size
        ]


def compare_members(before: Source, after: Source, differing: Mapping[str, object]) -> int:
    """Return how many members zipfile reads as equal bytes, apart from those in ``differing``.

    Raises `UnprovedError` for the first that is not equal.
    """
    from modelinspect.shrinking.proof import UnprovedError

    equal = 0
    try:
        with zipfile.ZipFile(as_file(before)) as old, zipfile.ZipFile(as_file(after)) as new:
            if old.namelist() != new.namelist():
                raise UnprovedError(f"{before.name}: the result has other members")
            for name in old.namelist():
                with old.open(name) as one, new.open(name) as other:
                    while name not in differing:
                        first, second = one.read(_BLOCK), other.read(_BLOCK)
                        if first != second:
                            raise UnprovedError(f"{before.name}: member {name} differs in the result")
                        if not first:
                            equal += 1
                            break
    except ZIP_ERRORS as error:
        raise UnprovedError(f"{before.name}: zipfile does not read it again: {error}") from error
    return equal


def copy_source(source: Source, target: Path, tick: Callable[[int], None] = lambda size: None) -> None:
    """Write the bytes of a source to a file. Raises `OSError`."""
    with target.open("wb") as out:
        for offset in range(0, source.size, _BLOCK):
            block = source.read_at(offset, min(_BLOCK, source.size - offset))
            out.write(block)
            tick(len(block))


def remove(path: Path) -> None:
    """Remove a temporary file or folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


_BATCH = 2 * MIB
_WINDOW = 32 * KIB
_WORKERS = 2
_AHEAD = 3
"""Blocks that are compressed while the previous one is written."""


class ParallelDeflate:
    """Compresses as an object of `zlib.compressobj` does, in blocks whose bytes depend on nothing else."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._pool = ThreadPoolExecutor(_WORKERS)
        self._coming: deque[Future[bytes]] = deque()
        self._block = bytearray()
        self._before = b""

    def compress(self, data: bytes) -> bytes:
        """Take bytes of the stream, and return what is compressed so far and in its turn."""
        self._block += data
        while len(self._block) > _BATCH:
            self._submit(bytes(self._block[:_BATCH]), last=False)
            del self._block[:_BATCH]
        return self._finished(_AHEAD)

    def flush(self) -> bytes:
        """End the stream and return what is left of it."""
        self._submit(bytes(self._block), last=True)
        self._block.clear()
        with self._pool:
            return self._finished(0)

    def _submit(self, block: bytes, *, last: bool) -> None:
        self._coming.append(self._pool.submit(_deflate, block, self._before, self._level, last))
        self._before = block[-_WINDOW:]

    def _finished(self, left: int) -> bytes:
        found = bytearray()
        while len(self._coming) > left:
            found += self._coming.popleft().result()
        return bytes(found)


def _deflate(block: bytes, before: bytes, level: int, last: bool) -> bytes:
    packer = (
        zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
        if before
        else zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    )
    return packer.compress(block) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
