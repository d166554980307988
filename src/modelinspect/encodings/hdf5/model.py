"""Describe an HDF5 file as plain facts: its objects, their types, and where their bytes are.

Every offset counts from the start of the walk's source: base address and user block are applied.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Protocol

from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.encodings.hdf5.element_types import Dataspace, Datatype
from modelinspect.sources.base import Source


class LayoutKind(StrEnum):
    """Where a dataset's raw data are."""

    COMPACT = "compact"
    CONTIGUOUS = "contiguous"
    CHUNKED = "chunked"
    VIRTUAL = "virtual"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of a pipeline: 1 deflate, 2 shuffle, 3 fletcher32, 4 szip, 5 nbit, 6 scale-offset, others
    registered.
    """

    number: int
    name: str
    optional: bool
    parameters: tuple[int, ...]


@dataclass(slots=True)
class Chunks:
    """The stored chunks of a dataset in columns; row i is one chunk.

    ``coordinates`` holds ``rank`` element offsets for each row. A set bit of ``masks`` says that the filter
    was skipped.
    """

    rank: int
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    masks: array[int] = field(default_factory=lambda: array("q"))
    coordinates: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def stored_size(self) -> int:
        """The bytes of all chunks as stored."""
        return sum(self.sizes)

    def coordinate(self, row: int) -> tuple[int, ...]:
        """Return the element offsets at which a chunk begins in the dataset."""
        return tuple(self.coordinates[row * self.rank : (row + 1) * self.rank])


class HeapReader(Protocol):
    """Finds objects of the global heap."""

    def object_span(self, collection: int, index: int) -> Span:
        """Return where an object's data are; ``collection`` is an address of the file.

        Raises `FormatError`.
        """

    @property
    def offset_size(self) -> int:
        """The bytes of a file address."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an object.

    ``span`` is where its data are (pointers, for vlen data); ``heap_spans`` are the global heap objects that
    they lead to. ``data`` are the bytes where they are nowhere as they are (a compressed heap), else None.
    """

    name: str
    datatype: Datatype
    dataspace: Dataspace
    span: Span
    heap_spans: tuple[Span, ...] = ()
    data: bytes | None = None
    heaps: HeapReader | None = field(default=None, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape; () of a scalar, None of a null dataspace."""
        return self.dataspace.shape

    def read(self, source: Source, limits: Limits) -> bytes:
        """Return the data as they are in the file: pointers, for vlen data. Raises `FormatError`."""
        if self.data is not None:
            return self.data
        limits.allow(
            f"attribute {self.name}", self.span.size, limits.structure_size, source.name, self.span.offset
        )
        return source.read_at(self.span.offset, self.span.size)


Value = None | bool | int | float | complex | str | bytes | tuple["Value", ...]
"""An attribute's value in plain Python."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group; ``header_offset`` is where its object header begins."""

    path: str
    header_offset: int
    attributes: Mapping[str, Attribute]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommittedDatatype:
    """A named datatype."""

    path: str
    header_offset: int
    datatype: Datatype | None
    attributes: Mapping[str, Attribute]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExternalFile:
    """A run of bytes of another file that holds raw data; it is named and never opened."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset.

    ``spans`` are the raw data of a compact or contiguous layout (none where nothing was allocated);
    ``chunks`` of a chunked one. ``heap_spans`` are the global heap objects that its elements lead to.
    ``fill_value`` are the bytes of one element, None where there is none.
    """

    path: str
    header_offset: int
    datatype: Datatype
    dataspace: Dataspace
    layout: LayoutKind
    attributes: Mapping[str, Attribute]
    aliases: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    chunk_shape: tuple[int, ...] = ()
    chunks: Chunks | None = None
    filters: tuple[Filter, ...] = ()
    fill_value: bytes | None = None
    external_files: tuple[ExternalFile, ...] = ()
    heap_spans: tuple[Span, ...] = ()
    data_complete: bool = True
    """Its layout and its chunk index were read whole; else what ``spans`` and ``chunks`` lack is unknown, not
    unwritten.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; () of a scalar and of a null dataspace."""
        return self.dataspace.shape or ()

    @property
    def stored_size(self) -> int:
        """The bytes of its raw data in the file, as stored, with what they lead to in the global heap."""
        raw = sum(span.size for span in self.spans) + (
            self.chunks.stored_size if self.chunks is not None else 0
        )
        return raw + sum(span.size for span in self.heap_spans)

    @property
    def logical_size(self) -> int:
        """The bytes of its elements as the datatype stores them, unfiltered; a vlen element counts as its
        pointer.
        """
        return self.dataspace.count * self.datatype.size

    def raw_spans(self) -> Iterator[Span]:
        """Yield the spans of its raw data, chunks included, heap objects not."""
        yield from self.spans
        if self.chunks is not None:
            yield from map(Span, self.chunks.offsets, self.chunks.sizes)


class LinkKind(StrEnum):
    """The kinds of links that name no object of the file by address."""

    SOFT = "soft"
    EXTERNAL = "external"
    USER = "user-defined"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is not hard: ``target`` is a path, of this file or of ``file``."""

    path: str
    kind: LinkKind
    target: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Superblock:
    """The superblock's facts.

    ``offset`` is where it is (the user block's size); ``end_of_file`` is where the file should end.
    """

    version: int
    offset: int
    size: int
    base_address: int
    end_of_file: int
    offset_size: int
    length_size: int
    root_header: int


@dataclass(slots=True)
class Totals:
    """Bytes by class of structure, as h5stat counts them."""

    superblock: int = 0
    superblock_extension: int = 0
    user_block: int = 0
    group_headers: int = 0
    group_headers_unused: int = 0
    dataset_headers: int = 0
    dataset_headers_unused: int = 0
    datatype_headers: int = 0
    datatype_headers_unused: int = 0
    group_btrees: int = 0
    group_heaps: int = 0
    attribute_btrees: int = 0
    attribute_heaps: int = 0
    chunk_indexes: int = 0
    dataset_heaps: int = 0
    shared_headers: int = 0
    shared_btrees: int = 0
    shared_heaps: int = 0
    free_space_headers: int = 0
    global_heaps: int = 0
    """Global heap collections, which h5stat leaves unaccounted."""
    trailing: int = 0


@dataclass(frozen=True, slots=True)
class Hdf5File:
    """All that was found in a file. ``complete`` says that no structure stayed unread."""

    superblock: Superblock
    groups: tuple[Group, ...]
    datasets: tuple[Dataset, ...]
    datatypes: tuple[CommittedDatatype, ...]
    links: tuple[Link, ...]
    totals: Totals
    complete: bool

    @property
    def root(self) -> Group | None:
        """The root group, None where it could not be read."""
        return self.groups[0] if self.groups and self.groups[0].path == "/" else None

    def group(self, path: str) -> Group | None:
        """Return the group of that absolute path, hard links included, None where there is none."""
        return next((group for group in self.groups if group.path == path or path in group.aliases), None)


class Hdf5Policy(Protocol):
    """What a format says about an HDF5 file's objects."""

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        """Return the kind of an attribute's data, wherever they are; ``object_path`` is absolute ("/" is the
        root).
        """

    def survey(self, file: Hdf5File) -> None:
        """Look at the whole file, once, when its structure is known and before `dataset` is called."""

    def dataset(self, dataset: Dataset) -> TensorId:
        """Add the dataset's tensor and return its id; called once for each dataset, before its raw data are
        claimed.
        """


# What HDF5 structures begin with (HDF5 File Format Specification, sections III and IV).
OBJECT_HEADER = b"OHDR"
B_TREE = b"TREE"
SYMBOL_NODE = b"SNOD"
LOCAL_HEAP = b"HEAP"
COLLECTION = b"GCOL"
