"""The files that an artifact may consist of, opened by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Self

from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import DecompressStep, Stream, WindowStep
from modelinspect.errors import LocationError
from modelinspect.sources.base import MemorySource, Source, WindowSource
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource
from modelinspect.sources.snappy import SNAPPY, open_snappy
from modelinspect.sources.zstd import ZSTD, open_zstd

_OPEN_DECODERS = 4


class FileSet(ABC):
    """Files by name.

    ``primary`` is the name of the one file that the location points to, None where it points to a directory.
    ``names`` are the files within the location; ``neighbours`` those beside its primary file, which a format
    may open too. Nothing else can be opened. ``limits`` count what these files cost as a whole. ``chosen`` is
    the model to look at where the location is an archive of several.
    """

    location: str
    primary: str | None
    chosen: str | None = None

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = (limits or Limits()).fresh()
        self._open: dict[str, Source] = {}
        self._decompressed: OrderedDict[Stream, Source] = OrderedDict()

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Return the names of the files within the location, sorted."""

    @abstractmethod
    def neighbours(self) -> tuple[str, ...]:
        """Return the names of the files beside the primary file, sorted; none for a directory."""

    def has_neighbour(self, name: str) -> bool:
        """Return whether a file of this name is beside the primary file.

        Where it can, it lists no folder: one may hold 100,000 files.
        """
        return name in self.neighbours()

    def members(self, beside: Collection[str] = ()) -> list[tuple[str, int, str]]:
        """Return the primary file and those of the names ``beside`` it that exist, or every file of a folder,
        sorted.

        Each has its size and a mark, which is another one when the file was written again; empty where
        nothing of the kind is known.
        """
        names = (
            self.names()
            if self.primary is None
            else (self.primary, *(name for name in sorted(beside) if self.has_neighbour(name)))
        )
        return [(name, self.open(name).size, "") for name in names]

    def passed_over(self) -> Mapping[str, str]:
        """Return what is not followed or opened by name, each with the reason: links that lead outside,
        loops, pipes, devices.
        """
        return {}

    @abstractmethod
    def _open_source(self, name: str) -> Source: ...

    def open(self, name: str) -> Source:
        """Return the source of a file, the same one each time.

        Raises `LocationError` for a name of neither kind.
        """
        source = self._open.get(name)
        if source is None:
            source = self._open[name] = self._open_source(name)
            self.limits.ledger.stored += source.size
        return source

    def budgeted(self, limits: Limits | None) -> Limits:
        """Return limits that count for these files: their own, or others with the same ledger."""
        return self.limits if limits is None else replace(limits, ledger=self.limits.ledger)

    def open_stream(self, stream: Stream) -> Source:
        """Return the bytes that a stream describes."""
        source = self.open(stream.member)
        if not stream.steps:
            return source
        for count, step in enumerate(stream.steps, start=1):
            match step:
                case WindowStep():
                    source = WindowSource(source, step.offset, step.size)
                case DecompressStep():
                    source = self._decompress(source, step, Stream(stream.member, stream.steps[:count]))
        return source

    def _decompress(self, outer: Source, step: DecompressStep, stream: Stream) -> Source:
        """Return a decoder, one that is open already where it can be: it knows its way through the stream."""
        source = self._decompressed.pop(stream, None)
        if source is None and step.codec == SNAPPY:
            source = open_snappy(outer, step.offset, step.size, self.limits)
        elif source is None and step.codec == ZSTD:
            source = open_zstd(outer, step.offset, step.size, self.limits)
        elif source is None:
            source = DecompressedSource(
                outer, step.offset, step.size, Codec(step.codec), step.logical_size, limits=self.limits
            )
        self._decompressed[stream] = source
        if len(self._decompressed) > _OPEN_DECODERS:
            self._decompressed.popitem(last=False)
        return source

    def close(self) -> None:
        """Close every source that was opened."""
        self._decompressed.clear()
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NamedFiles(FileSet):
    """Files that are all known by name, one of which may be the primary."""

    _files: Mapping[str, object]
    _sorted: tuple[str, ...] | None = None
    _beside: tuple[str, ...] | None = None

    def names(self) -> tuple[str, ...]:
        return (self.primary,) if self.primary is not None else self._all()

    def neighbours(self) -> tuple[str, ...]:
        if self._beside is None:
            primary = self.primary
            self._beside = (
                tuple([name for name in self._all() if name != primary]) if primary is not None else ()
            )
        return self._beside

    def _all(self) -> tuple[str, ...]:
        if self._sorted is None:
            self._sorted = tuple(sorted(self._files))
        return self._sorted

    def _require(self, name: str) -> None:
        if name not in self._files:
            raise LocationError(f"{self.location}: holds no file {name}")


class MemoryFiles(NamedFiles):
    """Files that are in memory; one of them may be the primary."""

    _files: Mapping[str, bytes]

    def __init__(
        self, files: Mapping[str, bytes], primary: str | None = None, location: str = "memory"
    ) -> None:
        super().__init__()
        self._files = dict(files)
        self.location = location
        self.primary = next(iter(files)) if primary is None and len(files) == 1 else primary

    def _open_source(self, name: str) -> Source:
        self._require(name)
        return MemorySource(self._files[name], name)


@dataclass(frozen=True, slots=True)
class ModelIn:
    """One of several models of a folder or an archive: ``name`` is that of its folder or file within it."""

    location: str
    name: str
    is_archived: bool

    def __fspath__(self) -> str:
        """Return the path of the model, of an archived one that of the archive."""
        return (
            self.location
            if self.is_archived or self.name in ("", ".")
            else f"{self.location.rstrip('/')}/{self.name}"
        )

    def __str__(self) -> str:
        return f"{self.location} ({self.name})" if self.is_archived else self.__fspath__()
