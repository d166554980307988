"""Notes what an HDF5 file holds for rules to read: configurations, and references to other files."""

from __future__ import annotations

from modelinspect.core.artifact import DocumentKind
from modelinspect.core.span import Span
from modelinspect.encodings.hdf5.model import Attribute, Hdf5File, LayoutKind, LinkKind
from modelinspect.encodings.hdf5.values import text_of
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site

_CONFIGS = ("model_config", "training_config")
_LABEL = 1_000


def keep_documents(site: Site, file: Hdf5File) -> None:
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
