"""Read files of this machine: the files of a local file, directory or checkpoint prefix.

Links are followed only where they stay inside.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from modelinspect.core.limits import Limits
from modelinspect.core.names import SAVED_MODELS
from modelinspect.errors import LocationError, SourceChangedError
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_VARIABLES = "variables"
_OPEN_FILES = 64
"""Files of a folder that are held open; a process may have a thousand or less."""


class LocalFiles(FileSet):
    """A file, a directory or a checkpoint prefix of this machine.

    What was named is opened, also through a link. Within a directory and beside a file, a link to a file is
    followed only where it leads to a file below that directory, or from a snapshot of the Hugging Face cache
    to a blob of the same repository (`huggingface_blobs`). Links elsewhere, links to directories, loops,
    pipes and devices are `passed_over`.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.location = str(path)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            index = path.with_name(path.name + ".index")
            if not path.name or not index.is_file():
                raise LocationError(f"{path}: cannot be opened: {error.strerror}") from error
            path, mode = index, index.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise LocationError(f"{path}: is neither a file nor a directory")
        if (
            path.name in SAVED_MODELS and (path.parent / _VARIABLES).is_dir()
        ):  # the graph of a SavedModel stands for its folder
            path = path.parent
            mode = path.stat().st_mode
        self._folder = path if stat.S_ISDIR(mode) else path.parent
        self.primary = None if stat.S_ISDIR(mode) else path.name
        self._root: str | None = None
        self._blobs: str | None = None
        self._passed_over: dict[str, str] = {}
        self._names: tuple[str, ...] | None = None if self.primary is None else (self.primary,)
        self._neighbours: tuple[str, ...] | None = () if self.primary is None else None
        self._held: deque[LocalSource] = deque()

    def names(self) -> tuple[str, ...]:
        if self._names is None:
            self._names = tuple(sorted(self._walk()))
        return self._names

    def neighbours(self) -> tuple[str, ...]:
        if self._neighbours is None:
            with _listing(self._folder) as entries:
                found = [
                    entry.name
                    for entry in entries
                    if entry.name != self.primary and self._is_ours(entry, entry.name)
                ]
            self._neighbours = tuple(sorted(found))
        return self._neighbours

    def has_neighbour(self, name: str) -> bool:
        if self._neighbours is not None:
            return name in self._neighbours
        if name == self.primary or "/" in name:
            return False
        try:
            mode = (self._folder / name).lstat().st_mode
        except (OSError, ValueError):
            return False
        return (
            stat.S_ISREG(mode) or name in self.neighbours()
        )  # of a link, the listing knows where it may lead

    def passed_over(self) -> Mapping[str, str]:
        return self._passed_over

    def _walk(self) -> list[str]:
        found: list[str] = []
        pending = [""]
        while pending:
            within = pending.pop()
            names, folders = self._list(within)
            pending += [f"{within}/{folder}" if within else folder for folder in folders]
            for entry in names:
                found.append(f"{within}/{entry.name}" if within else entry.name)
                self.limits.allow(
                    "listing the directory's files", len(found), self.limits.members, self.location
                )
        return found

    def list_folder(self, within: str = "") -> tuple[list[tuple[str, int, str]], list[str]]:
        """Return the files of a folder below this one, each with its size and time of modification, and its
        folders.
        """
        entries, folders = self._list(within)
        files: list[tuple[str, int, str]] = []
        for entry in entries:
            with suppress(OSError):  # it was removed since the folder was listed
                state = entry.stat()
                files.append((entry.name, state.st_size, str(state.st_mtime_ns)))
        return files, folders

    def members(self, beside: Collection[str] = ()) -> list[tuple[str, int, str]]:
        if self.primary is None:
            return self._all_below()
        names = [self.primary, *(name for name in sorted(beside) if self.has_neighbour(name))]
        states = [(name, (self._folder / name).stat()) for name in names]
        return [(name, state.st_size, str(state.st_mtime_ns)) for name, state in states]

    def _all_below(self) -> list[tuple[str, int, str]]:
        found: list[tuple[str, int, str]] = []
        pending = [""]
        while pending:
            within = pending.pop()
            files, folders = self.list_folder(within)
            found += [(f"{within}/{name}" if within else name, size, mark) for name, size, mark in files]
            pending += [f"{within}/{folder}" if within else folder for folder in folders]
        return sorted(found)

    def _list(self, within: str) -> tuple[list[os.DirEntry[str]], list[str]]:
        files: list[os.DirEntry[str]] = []
        folders: list[str] = []
        with _listing(self._folder / within) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif self._is_ours(entry, f"{within}/{entry.name}" if within else entry.name):
                    files.append(entry)
        return files, folders

    def _is_ours(self, entry: os.DirEntry[str], name: str) -> bool:
        """Return whether an entry is a file of the artifact; of what is not, but looks like one, keep the
        reason.
        """
        try:
            if entry.is_dir(follow_symlinks=False):
                return False
            if not entry.is_symlink():
                if entry.is_file(follow_symlinks=False):
                    return True
                self._pass_over(name, "is a pipe, socket or device")
                return False
            if self._root is None:
                self._root = os.path.realpath(self._folder)
                self._blobs = huggingface_blobs(self._root)
            target = os.path.realpath(entry.path, strict=True)
            if not self._is_inside(target):
                self._pass_over(name, "is a link that leads out of the folder")
            elif not stat.S_ISREG(Path(target).stat().st_mode):
                self._pass_over(name, "is a link to what is not a file")
            else:
                return True
        except (OSError, ValueError):
            self._pass_over(name, "is a link that leads nowhere, or in a circle")
        return False

    def _is_inside(self, target: str) -> bool:
        """Return whether a path without links is below the directory, or a blob of the repository that the
        directory is a snapshot of.
        """
        if self._root is None:
            return False
        if os.path.commonpath((self._root, target)) == self._root:
            return True
        folder, name = os.path.split(target)
        return folder == self._blobs and _BLOB.fullmatch(name) is not None

    def _pass_over(self, name: str, why: str) -> None:
        if len(self._passed_over) < self.limits.diagnostics:
            self._passed_over[name] = why

    def _open_source(self, name: str) -> Source:
        if name not in self.names() and not self.has_neighbour(name):
            raise LocationError(f"{self.location}: holds no file {name}")
        path = self._folder / name
        if (
            name != self.primary and path.is_symlink()
        ):  # it was seen to stay inside; what it leads to now is looked at again
            path = Path(os.path.realpath(path))
            if not self._is_inside(str(path)):
                raise LocationError(f"{self._folder / name}: is a link that leads out of the folder")
        source = LocalSource(path, name, follow=name == self.primary)
        self._held.append(source)
        if len(self._held) > _OPEN_FILES:
            self._held.popleft().release()
        return source


def huggingface_blobs(folder: str) -> str | None:
    """Return where the files of a snapshot are, None where a folder without links in its path is not (in)
    one.

    huggingface_hub stores ``models--OWNER--NAME/snapshots/COMMIT/FILE`` as a link to ``../../blobs/HASH`` of
    the same repository.
    """
    place = Path(folder)
    for snapshot in (place, *place.parents):
        repository = snapshot.parent.parent
        if (
            snapshot.parent.name == "snapshots"
            and repository.name.startswith("models--")
            and _COMMIT.fullmatch(snapshot.name)
        ):
            return str(repository / "blobs")
    return None


_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""The name of a blob: SHA-1 of a file in Git, SHA-256 of one in Git LFS or Xet."""


def _listing(folder: Path) -> os._ScandirIterator[str]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise LocationError(f"{folder}: cannot be listed: {error.strerror}") from error


class LocalSource(Source):
    """A file read with ``pread``: it may shrink under us, and its pages never count as our memory."""

    __slots__ = ("_descriptor", "_flags", "_path", "name", "size")

    def __init__(self, path: Path, name: str | None = None, *, follow: bool = True) -> None:
        self.name = path.name if name is None else name
        self._path: Path = path
        self._descriptor = -1
        self._flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        if not follow:
            self._flags |= getattr(os, "O_NOFOLLOW", 0)
        self._reopen()
        self.size = os.fstat(self._descriptor).st_size

    def _reopen(self) -> None:
        try:
            self._descriptor = os.open(self._path, self._flags)
        except OSError as error:
            raise LocationError(f"{self._path}: cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self.close()
            raise LocationError(f"{self._path}: is not a file")

    @property
    def can_be_read_ahead(self) -> bool:
        return self._descriptor >= 0  # else each read opens the file for itself, and closes it

    def release(self) -> None:
        """Give the descriptor back; each read opens the file again, so a folder of any number of files can be
        read.
        """
        self.close()

    def read_at(self, offset: int, size: int) -> bytes:
        self.require(offset, size)
        if self._descriptor < 0:
            return super().read_at(offset, size)
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size:
            return data
        buffer = bytearray(size)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.require(offset, len(buffer))
        if self._descriptor >= 0:
            self._fill(offset, buffer)
            return
        self._reopen()
        try:
            self._fill(offset, buffer)
        finally:
            self.release()

    def _fill(self, offset: int, buffer: memoryview) -> None:
        size = len(buffer)
        done = os.preadv(self._descriptor, [buffer], offset) if size else 0
        if not done and size:
            raise self._changed(offset)
        while done < size:
            count = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            if count == 0:
                raise self._changed(offset + done)
            done += count

    def _changed(self, offset: int) -> SourceChangedError:
        return SourceChangedError(
            f"{self.name} at byte {offset:,}: the file became shorter while it was read "
            f"(it had {self.size:,} bytes); inspect it again when nothing writes to it"
        )

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()
