"""Read files of other machines through fsspec."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from modelinspect.core.limits import Limits
from modelinspect.errors import LocationError, MissingExtraError, ModelInspectError
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet
from modelinspect.sources.pages import Range, RemoteSource

if TYPE_CHECKING:
    from modelinspect.sources.http import Connection

T = TypeVar("T")


def is_remote(location: str) -> bool:
    """Return whether a location names a protocol of fsspec, such as ``s3://bucket/model.h5``."""
    protocol, separator, _ = location.partition("://")
    return bool(separator) and protocol.replace("+", "").replace("-", "").isalnum()


class RemoteFiles(FileSet):
    """A file, a directory or a checkpoint prefix that fsspec reaches.

    Raises `LocationError`, or `MissingExtraError` without fsspec.
    """

    def __init__(self, location: str, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.location = location
        try:
            core = import_module("fsspec.core")
        except ImportError as error:
            raise MissingExtraError(
                f"{location}: reading remotely needs fsspec; pip install 'modelinspect[remote]'"
            ) from error
        self._system, path = _reach(location, lambda: core.url_to_fs(location))
        self._http = self._connection()
        self._path: str = path
        info = self._info(path)
        if info is None:
            self._path = f"{path}.index"
            info = self._info(self._path)
        if info is None:
            raise LocationError(f"{location}: cannot be opened: no such file or directory")
        self._sizes: dict[str, int] = {}
        if info["type"] == "directory":
            self.primary = None
            self._folder = self._path.rstrip("/")
        else:
            self._folder, _, self.primary = self._path.rpartition("/")
            self._sizes[self.primary] = _size(info, location)
        self._names: tuple[str, ...] | None = None if self.primary is None else (self.primary,)
        self._neighbours: tuple[str, ...] | None = () if self.primary is None else None

    def _connection(self) -> Connection | None:
        """Return what reads over HTTP, where fsspec would read each reply to its end and follow each
        redirect; None for other protocols.
        """
        protocols = self._system.protocol
        if "http" not in ((protocols,) if isinstance(protocols, str) else protocols):
            return None
        from modelinspect.sources.http import Connection

        return Connection(self._system, self.limits.remote_seconds, self.limits.other_hosts)

    def _info(self, path: str) -> dict[str, Any] | None:
        try:
            if self._http is not None:
                http = self._http
                return {"type": "file", "name": path, "size": _reach(self.location, lambda: http.size(path))}
            info: dict[str, Any] = _reach(self.location, lambda: self._system.info(path))
        except FileNotFoundError:
            return None
        return info

    def names(self) -> tuple[str, ...]:
        if self._names is None:
            found: dict[str, dict[str, Any]] = _reach(
                self.location, lambda: self._system.find(self._folder, detail=True)
            )
            self.limits.allow("listing the directory's files", len(found), self.limits.members, self.location)
            self._names = self._take(found)
        return self._names

    def neighbours(self) -> tuple[str, ...]:
        if self._neighbours is None and self._http is not None:
            # HTTP has no listings: a page of links is not a promise, and may be of any length.
            self._neighbours = ()
        if self._neighbours is None:
            try:
                listed: list[dict[str, Any]] = _reach(
                    self.location, lambda: self._system.ls(self._folder, detail=True)
                )
            except (FileNotFoundError, LocationError):
                listed = []  # plain HTTP servers list nothing: the file is by itself
            files = {entry["name"]: entry for entry in listed if entry["type"] == "file"}
            self._neighbours = tuple(
                name for name in self._take(files) if name != self.primary and "/" not in name
            )
        return self._neighbours

    def has_neighbour(self, name: str) -> bool:
        if self._neighbours is not None or self._http is not None:
            return name in self.neighbours()
        if name == self.primary or "/" in name:
            return False
        try:
            info = self._info(f"{self._folder}/{name}" if self._folder else name)
        except LocationError:
            return name in self.neighbours()
        if info is None or info["type"] != "file":
            return False
        self._sizes[name] = _size(info, self.location)
        return True

    def listing(self) -> list[tuple[str, int, str]]:
        """Return every file below the folder, listed once: its name in it, its size and the mark of its
        state.
        """
        found: dict[str, dict[str, Any]] = _reach(
            self.location, lambda: self._system.find(self._folder, detail=True)
        )
        prefix = f"{self._folder}/" if self._folder else ""
        return sorted(
            (path[len(prefix) :], _size(entry, self.location), _mark(entry))
            for path, entry in found.items()
            if path.startswith(prefix) and len(path) > len(prefix)
        )

    def members(self, beside: Collection[str] = ()) -> list[tuple[str, int, str]]:
        if self.primary is None:
            return self.listing()
        found: list[tuple[str, int, str]] = []
        for name in (self.primary, *sorted(beside)):
            info = self._info(f"{self._folder}/{name}" if self._folder else name)
            if info is not None and info["type"] == "file":
                found.append((name, _size(info, self.location), _mark(info)))
        return found

    def _take(self, entries: dict[str, dict[str, Any]]) -> tuple[str, ...]:
        """Note the sizes of listed files within the folder and return their names in it."""
        prefix = f"{self._folder}/" if self._folder else ""
        names: list[str] = []
        for path, entry in entries.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                name = path[len(prefix) :]
                self._sizes[name] = _size(entry, self.location)
                names.append(name)
        return tuple(sorted(names))

    def _open_source(self, name: str) -> Source:
        if name not in self.names() and not self.has_neighbour(name):
            raise LocationError(f"{self.location}: holds no file {name}")
        path = f"{self._folder}/{name}" if self._folder else name
        return RemoteSource(
            lambda ranges: self._fetch(path, ranges), name, self._sizes[name], self._is_single
        )

    def _is_single(self) -> bool:
        """Return whether each range costs a request."""
        return self._http is None or self._http.single

    def _fetch(self, path: str, ranges: Sequence[Range]) -> Sequence[bytes]:
        if self._http is not None:
            http = self._http
            return _reach(self.location, lambda: http.read_many(path, ranges))
        if len(ranges) == 1:
            begin, end = ranges[0]
            data: bytes = _reach(self.location, lambda: self._system.cat_file(path, start=begin, end=end))
            return (data,)
        begins, ends = [begin for begin, _ in ranges], [end for _, end in ranges]
        found: list[bytes] = _reach(
            self.location,
            lambda: self._system.cat_ranges([path] * len(ranges), begins, ends, on_error="raise"),
        )
        return found


def _size(info: dict[str, Any], location: str) -> int:
    size = info.get("size")
    if not isinstance(size, int):
        raise LocationError(
            f"{location}: its size is unknown, so it cannot be read in ranges; download it first"
        )
    return size


_MARKS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "checksum",
    "generation",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "created",
)
"""Keys under which file systems of fsspec report what changes with a file, the surest first."""


def _mark(info: dict[str, Any]) -> str:
    return next((f"{key}={info[key]}" for key in _MARKS if info.get(key)), "")


def _reach(location: str, call: Callable[[], T]) -> T:
    """Call a file system; what goes wrong there becomes a `LocationError`, a missing file stays
    `FileNotFoundError`.
    """
    try:
        return call()
    except (FileNotFoundError, MemoryError, ModelInspectError):
        raise
    except ImportError as error:
        raise MissingExtraError(f"{location}: its protocol needs another package: {error}") from error
    except Exception as error:  # a file system of fsspec raises the errors of whatever library it is on
        raise LocationError(f"{location}: cannot be read: {type(error).__name__}: {error}") from error
