"""Where in a member something is that may be within archives."""

from __future__ import annotations

from modelinspect.core.artifact import Document
from modelinspect.core.span import Span
from modelinspect.core.tensors import Stream
from modelinspect.errors import FormatError, LocationError
from modelinspect.rules.base import Place
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet


def place_of(stream: Stream, span: Span | None) -> Place:
    """Return the stored bytes of a span of a stream; those of the whole run where it is compressed."""
    base, run = stream.stored
    if run is not None:
        return Place(stream.member, run.offset, run.size, None if span is None else span.offset)
    return Place(stream.member) if span is None else Place(stream.member, base + span.offset, span.size)


def read_document(document: Document, files: FileSet, limit: int) -> bytes:
    """Return the bytes of a document, none where they cannot be read or are more than any model's."""
    if document.data is not None:
        return document.data
    source = open_document(document, files)
    if source is None or document.span.size > limit or document.span.end > source.size:
        return b""
    try:
        return source.read_at(document.span.offset, document.span.size)
    except FormatError:  # parsing has reported it
        return b""


def open_document(document: Document, files: FileSet) -> Source | None:
    """Return the source that a document is in, None where it cannot be opened."""
    try:
        return files.open_stream(document.stream)
    except (FormatError, LocationError):
        return None
