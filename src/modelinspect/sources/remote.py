"""Read files of other machines through fsspec.

What was read is kept in small blocks, and many blocks are fetched at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from modelinspect.core.limits import KIB, MIB, Limits
from modelinspect.errors import LocationError, MissingExtraError, ModelInspectError, SourceChangedError
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

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


PAGE = 64 * KIB
"""Bytes that are fetched at once for a small read that nobody expected."""
BLOCK = 1 * KIB
"""What is kept and asked for together: structures between weights are small and apart."""
_WIDE = 8
"""Blocks that are fetched together where each range costs a request: structures lie near each other."""
_KEPT = 32 * MIB // BLOCK
_MOST_EXPECTED = 16 * MIB
"""Bytes that are fetched ahead at once; what is beyond is fetched when it is read."""

Range = tuple[int, int]
_Fetch = Callable[[Sequence[Range]], Sequence[bytes]]
"""Return the bytes of each range ``(begin, end)``."""


class RemoteSource(Source):
    """A remote file; ``fetch`` returns the bytes of ranges, ``is_single`` whether each is a request.

    Small reads come from blocks that are kept, large ones do not.
    """

    __slots__ = ("_blocks", "_fetch", "_is_single", "name", "size")
    is_remote = True

    def __init__(
        self, fetch: _Fetch, name: str, size: int, is_single: Callable[[], bool] = lambda: False
    ) -> None:
        self._fetch = fetch
        self._is_single = is_single
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.name = name
        self.size = size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        size = len(buffer)
        self.require(offset, size)
        if size > PAGE and not self._is_kept(offset, size):
            buffer[:] = self._exactly([(offset, offset + size)])[0]
            return
        done = 0
        while done < size:
            number, within = divmod(offset + done, BLOCK)
            part = self._block(number)[within : within + size - done]
            buffer[done : done + len(part)] = part
            done += len(part)

    def expect(self, spans: Sequence[tuple[int, int]]) -> None:
        wanted: set[int] = set()
        for offset, size in spans:
            if 0 <= offset < self.size and 0 < size <= _MOST_EXPECTED:
                last = (min(offset + size, self.size) - 1) // BLOCK
                missing = [
                    number for number in range(offset // BLOCK, last + 1) if number not in self._blocks
                ]
                wanted.update(self._widened(missing) if missing and self._is_single() else missing)
            if len(wanted) * BLOCK > _MOST_EXPECTED:
                break
        self._keep(sorted(wanted))

    def _widened(self, numbers: Sequence[int]) -> list[int]:
        """Return blocks with those after them up to a border, which a later level will want."""
        end = min(-(-(numbers[-1] + 1) // _WIDE) * _WIDE, -(-self.size // BLOCK))
        return [number for number in range(numbers[0], end) if number not in self._blocks]

    def _is_kept(self, offset: int, size: int) -> bool:
        return all(
            number in self._blocks for number in range(offset // BLOCK, (offset + size - 1) // BLOCK + 1)
        )

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:  # with what comes after it up to the next block that is kept
            end = min(number + PAGE // BLOCK, -(-self.size // BLOCK))
            known = next((later for later in range(number + 1, end) if later in self._blocks), end)
            self._keep(range(number, known))
            return self._blocks[number]
        self._blocks.move_to_end(number)
        return block

    def _keep(self, numbers: Iterable[int]) -> None:
        """Fetch blocks, which are in order, and keep them instead of those that were not used for longest."""
        runs: list[list[int]] = []
        for number in numbers:
            if runs and runs[-1][1] == number:
                runs[-1][1] += 1
            else:
                runs.append([number, number + 1])
        ranges = [(first * BLOCK, min(last * BLOCK, self.size)) for first, last in runs]
        for (begin, _), data in zip(ranges, self._exactly(ranges), strict=True):
            for at in range(0, len(data), BLOCK):
                self._blocks[(begin + at) // BLOCK] = data[at : at + BLOCK]
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)

    def _exactly(self, ranges: Sequence[Range]) -> Sequence[bytes]:
        if not ranges:
            return ()
        fetched = self._fetch(ranges)
        for (begin, end), data in zip(ranges, fetched, strict=True):
            if len(data) != end - begin:
                raise SourceChangedError(
                    f"{self.name} at byte {begin:,}: {end - begin:,} bytes were asked for and {len(data):,}"
                    " came; the file changed while it was read, or its server ignores ranges"
                )
        return fetched
