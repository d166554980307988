"""List folders of many artifacts once, one folder at a time: what a scan looks through, and what marks a file
as unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from modelinspect.errors import LocationError
from modelinspect.sources.files import FileSet
from modelinspect.sources.local_files import LocalFiles
from modelinspect.sources.remote import RemoteFiles


class ListedFile(NamedTuple):
    """A file of a folder: its size in bytes, and a mark that is another one when the file was written again.

    The mark is the time of modification in nanoseconds, or what an object store reports: an entity tag, a
    checksum, a generation. It is empty where nothing of the kind is known.
    """

    name: str
    size: int
    mark: str


class Folder(Protocol):
    """A folder: its files and the names of its folders, both sorted."""

    files: tuple[ListedFile, ...]
    folders: tuple[str, ...]

    def enter(self, name: str) -> Folder:
        """Return a folder of this one. Raises `LocationError` where it cannot be listed."""


class LocalFolder:
    """A folder of this machine, read when it is entered.

    Links are followed as `LocalFiles` does, links to folders never.
    """

    __slots__ = ("_root", "_within", "files", "folders")

    def __init__(self, root: LocalFiles, within: str = "") -> None:
        self._root = root
        self._within = within
        found, folders = root.list_folder(within)
        self.files = tuple(sorted(ListedFile(*one) for one in found))
        self.folders = tuple(sorted(folders))

    def enter(self, name: str) -> LocalFolder:
        return LocalFolder(self._root, f"{self._within}/{name}" if self._within else name)


class RemoteFolder:
    """A folder that fsspec reaches, of a listing that was made once for everything below it."""

    __slots__ = ("_inner", "files", "folders")

    def __init__(self, entries: Mapping[str, ListedFile]) -> None:
        inner: dict[str, dict[str, ListedFile]] = {}
        files: list[ListedFile] = []
        for path, entry in entries.items():
            folder, separator, rest = path.partition("/")
            if separator:
                inner.setdefault(folder, {})[rest] = entry
            else:
                files.append(entry)
        self.files = tuple(sorted(files))
        self.folders = tuple(sorted(inner))
        self._inner = inner

    def enter(self, name: str) -> RemoteFolder:
        return RemoteFolder(self._inner[name])


def open_folder(files: FileSet) -> Folder | None:
    """Return the folder that a location is, None where it is a file. Raises `LocationError`."""
    match files:
        case _ if files.primary is not None:
            return None
        case LocalFiles():
            return LocalFolder(files)
        case RemoteFiles():
            return RemoteFolder(
                {
                    path: ListedFile(path.rpartition("/")[2], size, mark)
                    for path, size, mark in files.listing()
                }
            )
        case _:
            raise LocationError(f"{files.location}: is not a folder that can be listed")
