"""Turn the datasets of an HDF5 file into tensors, whatever format the file is of, and note for the rules its
configurations and references to other files.
"""

from __future__ import annotations

from math import prod

from modelinspect.core.artifact import DocumentKind
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.span import Span
from modelinspect.core.tensors import DType, Extent, Hdf5Filter, Hdf5Payload, Payload, Storage, Tensor
from modelinspect.encodings.hdf5 import walk_hdf5
from modelinspect.encodings.hdf5.model import Attribute, Chunks, Dataset, Hdf5File, LayoutKind, LinkKind
from modelinspect.encodings.hdf5.values import text_of
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.hdf5.elements import Elements, elements
from modelinspect.formats.hdf5.naming import Naming


def read_hdf5(site: Site, naming: Naming) -> Hdf5File:
    """Claim every byte of the site's HDF5 file and add its datasets as tensors, described by ``naming``.

    The site may be a member, a window of one (a stored zip member) or a decoded stream. Raises `FormatError`
    where there is not a superblock; other trouble is diagnosed.
    """
    file = walk_hdf5(site.walk, _TensorPolicy(site, naming))
    _keep_documents(site, file)
    return file


_CONFIGS = ("model_config", "training_config")
_LABEL = 1_000


def _keep_documents(site: Site, file: Hdf5File) -> None:
    """Note every configuration, external link, external storage and virtual dataset."""
    for group in file.groups:
        for attribute in group.attributes.values():  # of several with one name, whichever a reader takes
            if attribute.name in _CONFIGS:
                _keep_text(site, attribute)
    for link in file.links:
        if link.kind is LinkKind.EXTERNAL:
            site.document(
                DocumentKind.EXTERNAL_LINK, Span(0, 0), f"{link.path} -> {link.file}:{link.target}"[:_LABEL]
            )
    for dataset in file.datasets:
        place = Span(dataset.header_offset, 0)
        if dataset.layout is LayoutKind.EXTERNAL:
            names = ", ".join(sorted({run.name for run in dataset.external_files}))
            site.document(DocumentKind.EXTERNAL_STORAGE, place, f"{dataset.path} -> {names}"[:_LABEL])
        elif dataset.layout is LayoutKind.VIRTUAL:
            site.document(DocumentKind.VIRTUAL_DATASET, place, dataset.path[:_LABEL])


def _keep_text(site: Site, attribute: Attribute) -> None:
    if attribute.data is None and len(attribute.heap_spans) == 1:
        site.document(DocumentKind.KERAS_CONFIG, attribute.heap_spans[0], attribute.name)
    elif attribute.data is None and not attribute.datatype.has_heap_data:
        site.document(DocumentKind.KERAS_CONFIG, attribute.span, attribute.name)
    else:  # several pieces, or in a compressed heap
        try:
            text = text_of(attribute, site.walk)
        except FormatError:
            return
        site.document(
            DocumentKind.KERAS_CONFIG,
            attribute.span,
            attribute.name,
            (text or "").encode("utf-8", "backslashreplace"),
        )


_KEEP_SIZE = frozenset({2, 3})
"""Filters that do not compress: shuffle and fletcher32."""


class _TensorPolicy:
    """Makes tensors of datasets: their elements from the file, their names, roles and layers from a
    `Naming`.
    """

    def __init__(self, site: Site, naming: Naming) -> None:
        self._site = site
        self._naming = naming
        self._names: set[str] = set()
        self._paths: set[str] = set()

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        """Return what the naming says."""
        return self._naming.attribute_kind(object_path, name)

    def survey(self, file: Hdf5File) -> None:
        """Let the naming look at the file."""
        self._naming.survey(file, self._site.walk)

    def dataset(self, dataset: Dataset) -> TensorId:
        """Add the tensor of a dataset."""
        hint = dataset.attributes.get("dtype")
        of = elements(dataset.datatype, text_of(hint, self._site.walk) if hint is not None else None)
        described = self._naming.describe(dataset)
        shape = (*dataset.shape, *of.shape) if dataset.dataspace.shape is not None else (0,)
        payload, note = _payload(self._site, dataset, of)
        return self._site.parsing.add_tensor(
            Tensor(
                name=_unique(described.name, dataset.path, self._names),
                dtype=of.dtype,
                shape=shape,
                role=described.role,
                storage=_storage(dataset),
                extents=self._extents(dataset),
                logical_size=_logical_size(dataset, of.dtype, shape),
                layer=described.layer,
                payload=payload,
                payload_note=note,
                aliases=tuple(sorted(alias for alias in dataset.aliases if alias != dataset.path)),
                path=_unique(described.path or described.name, dataset.path, self._paths),
            )
        )

    def _extents(self, dataset: Dataset) -> tuple[Extent, ...]:
        encoding = "+".join(step.name for step in dataset.filters) or "raw"
        raw = [self._site.extent(span.offset, span.size, encoding) for span in dataset.raw_spans()]
        return (*raw, *(self._site.extent(span.offset, span.size) for span in dataset.heap_spans))


def _unique(name: str, path: str, taken: set[str]) -> str:
    """Return the name, or the dataset's path where another tensor has it, and add it to those that are
    taken.
    """
    chosen = name if name and name not in taken else path.lstrip("/")
    while chosen in taken:
        chosen += "'"
    taken.add(chosen)
    return chosen


def _storage(dataset: Dataset) -> Storage:
    if dataset.layout is LayoutKind.COMPACT:
        return Storage.INLINE
    if any(step.number not in _KEEP_SIZE for step in dataset.filters):
        return Storage.COMPRESSED
    return Storage.DENSE


def _logical_size(dataset: Dataset, dtype: DType, shape: tuple[int, ...]) -> int:
    if dtype.bits == 0:  # pointers, and what they lead to in the global heap
        return dataset.stored_size
    return (prod(shape) * dtype.bits + 7) // 8


def _payload(site: Site, dataset: Dataset, of: Elements) -> tuple[Payload | None, str]:
    """Return how the elements are read, or why they cannot be."""
    if not dataset.data_complete:
        return None, "not all of its data could be found"
    match dataset.layout:
        case LayoutKind.EXTERNAL:
            names = ", ".join(sorted({file.name for file in dataset.external_files}))
            return None, f"its data are in other files, which are not opened: {names}"
        case LayoutKind.VIRTUAL:
            return None, "it is a virtual dataset: its data are those of others"
        case LayoutKind.UNKNOWN:
            return None, "its layout could not be read"
        case LayoutKind.COMPACT | LayoutKind.CONTIGUOUS if dataset.spans:
            return site.raw(dataset.spans, of.byte_order), ""
        case _:
            return _chunked(site, dataset, of)


def _chunked(site: Site, dataset: Dataset, of: Elements) -> tuple[Payload | None, str]:
    """Return the payload of chunks; a dataset that has no storage yet is one of no chunks."""
    chunks = dataset.chunks if dataset.chunks is not None else Chunks(len(dataset.shape))
    if of.shape and len(chunks):
        return None, "its chunks hold arrays as elements"
    filters = tuple(Hdf5Filter(step.number, step.name, step.parameters) for step in dataset.filters)
    columns = (chunks.offsets, chunks.sizes, chunks.masks, chunks.coordinates)
    return (
        Hdf5Payload(site.stream, dataset.chunk_shape, filters, *columns, dataset.fill_value, of.byte_order),
        "",
    )
