"""Unpack archives of files and pack them again: zip with the alignment of stored members kept, and tar."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from modelinspect.core.limits import MIB, Limits
from modelinspect.encodings.tar import is_tar
from modelinspect.measure.rewrite import ZIP_ERRORS, as_file
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import NotShrinkableError
from modelinspect.shrinking.zip_files import Archive
from modelinspect.sources.base import Source

_ALIGNED_MOST = 1 << 14
"""The largest alignment that a stored member keeps: that of a memory page on the machines that map files."""
_LOCAL_HEADER = 30
_PADDING_ID = 0xD935
"""The extra field by which Android's zipalign pads (its documentation names the number)."""
_GNU_MAGIC = b"ustar  "


class Package(ABC):
    """An archive of files; ``replaced`` are new files by member name, ``removed`` members that go."""

    def __init__(self, source: Source, limits: Limits, level: int, tick: Callable[[int], None]) -> None:
        self.source = source
        self.limits = limits
        self.level = level
        self.tick = tick
        self.replaced: dict[str, Path] = {}
        self.removed: set[str] = set()

    @abstractmethod
    def unpack(self, folder: Path) -> None:
        """Write all members below a folder.

        Raises `NotShrinkableError` for names or kinds of members that are not plain files.
        """

    @abstractmethod
    def is_compressed(self, name: str) -> bool:
        """Return whether a member is compressed."""

    @abstractmethod
    def write(self, target: Path) -> None:
        """Write the archive again, in the order of its members; new ones come last."""

    def _target(self, folder: Path, name: str) -> Path:
        """Return where a member is unpacked.

        Raises `NotShrinkableError` where that is not below the folder.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise NotShrinkableError(f"{self.source.name}: member {name!r} has a name that is not unpacked")
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise NotShrinkableError(
                f"{self.source.name}: member {name!r} is inside a member that is a file"
            ) from error
        return target


def open_package(source: Source, limits: Limits, level: int, tick: Callable[[int], None]) -> Package:
    """Open an archive of files."""
    return (
        TarPackage(source, limits, level, tick) if is_tar(source) else ZipPackage(source, limits, level, tick)
    )


class ZipPackage(Package):
    """A zip archive: members that are stored stay stored, at the alignment that they have."""

    def __init__(self, source: Source, limits: Limits, level: int, tick: Callable[[int], None]) -> None:
        super().__init__(source, limits, level, tick)
        self._archive = Archive(source, limits, level, tick)
        self._members = {info.filename: info for info in self._archive.members()}

    def unpack(self, folder: Path) -> None:
        folder.mkdir()
        for name, info in self._members.items():
            target = self._target(folder, name)
            if info.is_dir():
                target.mkdir(exist_ok=True)
                continue
            try:
                self._archive.extract(name, target)
            except ZIP_ERRORS as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise NotShrinkableError(f"{self.source.name}: zipfile does not read it: {error}") from error

    def is_compressed(self, name: str) -> bool:
        return name in self._members and self._members[name].compress_type != zipfile.ZIP_STORED

    def write(self, target: Path) -> None:
        with zipfile.ZipFile(as_file(self.source)) as old, zipfile.ZipFile(target, "w") as new:
            for name, info in self._members.items():
                if name not in self.removed:
                    self._member(old, new, info)
            for name in sorted(self.replaced.keys() - self._members.keys()):
                made = zipfile.ZipInfo(name)
                made.compress_type = zipfile.ZIP_DEFLATED
                self._put(new, made, self.replaced[name].open("rb"), self.replaced[name].stat().st_size)

    def _member(self, old: zipfile.ZipFile, new: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        made = zipfile.ZipInfo(info.filename, info.date_time)
        made.external_attr, made.create_system, made.compress_type = (
            info.external_attr,
            info.create_system,
            info.compress_type,
        )
        path = self.replaced.get(info.filename)
        if info.is_dir():
            new.writestr(made, b"")
            return
        if info.compress_type == zipfile.ZIP_STORED:
            made.extra = self._padding(new, info)
        self._put(
            new,
            made,
            old.open(info) if path is None else path.open("rb"),
            info.file_size if path is None else path.stat().st_size,
        )
        made.extra = b""  # only the header in front of the bytes is padded, not the directory

    def _put(self, new: zipfile.ZipFile, made: zipfile.ZipInfo, file: IO[bytes], size: int) -> None:
        made.file_size = size
        made._compresslevel = self.level  # type: ignore[attr-defined]  # ZipInfo.compress_level is public from Python 3.13 on
        with file, new.open(made, "w") as out:
            while block := file.read(MIB):
                out.write(block)
                self.tick(len(block))

    def _padding(self, new: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
        """Return the extra field with which a stored member begins at a multiple of what its offset is a
        multiple of now.
        """
        header = self.source.read_at(info.header_offset, _LOCAL_HEADER)
        begin = (
            info.header_offset
            + _LOCAL_HEADER
            + int.from_bytes(header[26:28], "little")
            + int.from_bytes(header[28:30], "little")
        )
        alignment = min(begin & -begin, _ALIGNED_MOST)
        at = new.start_dir + _LOCAL_HEADER + len(info.filename.encode())  # where the next header begins
        gap = -at % alignment
        if not gap:
            return b""
        while gap < 4:  # the field's own header
            gap += alignment
        return _PADDING_ID.to_bytes(2, "little") + (gap - 4).to_bytes(2, "little") + bytes(gap - 4)


class TarPackage(Package):
    """A tar archive of plain files and folders."""

    def __init__(self, source: Source, limits: Limits, level: int, tick: Callable[[int], None]) -> None:
        super().__init__(source, limits, level, tick)
        try:
            with self._open() as archive:
                self._members = archive.getmembers()
                end = archive.offset
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise NotShrinkableError(f"{source.name}: tarfile does not read it: {error}") from error
        names = [_plain(member.name) for member in self._members]
        odd = next(
            (
                member
                for member in self._members
                if not (member.isreg() or member.isdir()) or member.issparse()
            ),
            None,
        )
        if odd is not None:
            raise NotShrinkableError(f"{source.name}: member {odd.name} is not a plain file or folder")
        if len(set(names)) < len(names):
            raise NotShrinkableError(f"{source.name}: has two members of one name")
        if any(any(source.read_at(at, min(MIB, source.size - at))) for at in range(end, source.size, MIB)):
            raise NotShrinkableError(
                f"{source.name}: {source.size - end:,} bytes after the archive are not part of it"
            )

    def unpack(self, folder: Path) -> None:
        folder.mkdir()
        with self._open() as archive:
            for member in self._members:
                target = self._target(folder, member.name)
                if member.isdir():
                    target.mkdir(exist_ok=True)
                    continue
                with target.open("wb") as out:
                    for block in _blocks(archive.extractfile(member)):
                        out.write(block)
                        self.tick(len(block))

    def is_compressed(self, name: str) -> bool:
        return False

    def write(self, target: Path) -> None:
        kind = (
            tarfile.GNU_FORMAT
            if self.source.read_at(257, len(_GNU_MAGIC)) == _GNU_MAGIC
            else tarfile.PAX_FORMAT
        )
        with self._open() as old, tarfile.open(target, "w", format=kind) as new:
            for member in self._members:
                if _plain(member.name) in self.removed:
                    continue
                path = self.replaced.get(_plain(member.name))
                if path is None:
                    new.addfile(member, old.extractfile(member))
                else:
                    self._add(new, member, path)
            known = {_plain(member.name) for member in self._members}
            model = next((member for member in self._members if member.isreg()), None)
            for name in sorted(self.replaced.keys() - known):
                self._add(new, model or tarfile.TarInfo(name), self.replaced[name], name)

    def _add(self, new: tarfile.TarFile, like: tarfile.TarInfo, path: Path, name: str | None = None) -> None:
        made = tarfile.TarInfo(name or like.name)
        made.mode, made.mtime, made.uid, made.gid = like.mode, like.mtime, like.uid, like.gid
        made.uname, made.gname, made.type = like.uname, like.gname, like.type
        made.size = path.stat().st_size
        with path.open("rb") as file:
            new.addfile(made, file)
        self.tick(made.size)

    def _open(self) -> tarfile.TarFile:
        try:
            return tarfile.open(fileobj=as_file(self.source), mode="r:")
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise NotShrinkableError(f"{self.source.name}: tarfile does not read it: {error}") from error


def compare_package(
    before: Source, after: Source, expected: Mapping[str, str], removed: frozenset[str]
) -> Mapping[str, int]:
    """Return how many members the archive's library reads as they should be: those in ``expected`` by their
    SHA-256, others as before.

    Raises `UnprovedError` for the first that is not.
    """
    reader = "tarfile" if is_tar(before) else "zipfile"
    old, new = (dict(_digests(source)) for source in (before, after))
    wanted = {name: expected.get(name, digest) for name, digest in old.items() if name not in removed} | dict(
        expected
    )
    if new.keys() != wanted.keys():
        raise UnprovedError(f"{before.name}: the result has other members")
    for name, digest in wanted.items():
        if new[name] != digest:
            raise UnprovedError(f"{before.name}: member {name} differs in the result")
    return {reader: len(wanted)}


def _digests(source: Source) -> Iterator[tuple[str, str]]:
    try:
        if is_tar(source):
            with tarfile.open(fileobj=as_file(source), mode="r:") as archive:
                for member in archive:
                    yield _plain(member.name), _digest(archive.extractfile(member))
        else:
            with zipfile.ZipFile(as_file(source)) as packed:
                for name in packed.namelist():
                    with packed.open(name) as file:
                        yield name, _digest(file)
    except (*ZIP_ERRORS, tarfile.TarError) as error:
        raise UnprovedError(f"{source.name}: cannot be read again: {error}") from error


def _plain(name: str) -> str:
    """Return a member's name without ``./`` in front, which tar writes for files of the working folder."""
    return str(PurePosixPath(name))


def _digest(file: IO[bytes] | None) -> str:
    found = hashlib.sha256()
    for block in _blocks(file):
        found.update(block)
    return found.hexdigest()


def _blocks(file: IO[bytes] | None) -> Iterator[bytes]:
    while file is not None and (block := file.read(MIB)):
        yield block
