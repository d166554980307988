"""Parse the head of a LiteRT-LM file: versions, metadata, and the list of sections."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core import signatures
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact
from modelinspect.core.records import dataclass
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.flatbuffers.schema import SCALARS, Schema
from modelinspect.encodings.flatbuffers.state import Labels
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.encodings.flatbuffers.walker import Document, walk_flatbuffer
from modelinspect.encodings.walk import Walk
from modelinspect.errors import Code, FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.litertlm.schema import NAMES, SectionType, header_schema, scalar_kind

BLOCK = 16 * 1024
"""Sections begin at multiples of it."""
_HEAD = 32
_STRUCTS_UNTIL = 1
"""The last minor version whose writers may keep scalars as structs."""
_TEXT = 1_000
_KINDS = {kind.value: kind for kind in SectionType}
_LABELS = Labels(
    RegionKind.METADATA,
    fields={
        ("SectionObject", name): RegionKind.CONTAINER for name in ("begin_offset", "end_offset", "data_type")
    },
)


@dataclass(frozen=True, slots=True)
class Section:
    """A section as the header lists it: bytes ``[begin, end)`` of the file, its type's number, and its
    items.
    """

    index: int
    begin: int
    end: int
    type: int
    items: Mapping[str, Fact]

    @property
    def size(self) -> int:
        """The section's bytes."""
        return self.end - self.begin

    @property
    def kind(self) -> SectionType | None:
        """The section's type, None for one that is not known."""
        return _KINDS.get(self.type)

    @property
    def type_name(self) -> str:
        """The name of the type in the schema, its number where it has none here."""
        kind = self.kind
        return NAMES[kind] if kind is not None else f"type {self.type}"

    @property
    def model(self) -> str:
        """The model that the section belongs to (``prefill_decode``), empty where it names none."""
        found = self.items.get("model_type")
        return found.lower().removeprefix("tf_lite_") if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a file says; ``end`` is where its flatbuffer ends.

    ``complete`` where all of it could be read.
    """

    version: tuple[int, int, int]
    system: Mapping[str, Fact]
    sections: tuple[Section, ...]
    end: int
    complete: bool


def read_header(site: Site) -> Header:
    """Claim the head and return what it says. Raises `FormatError` where there is no header to be found."""
    source = site.source
    source.require(0, _HEAD, "the header")
    cursor = Cursor(source.read_at(0, _HEAD), source.name, 0, "header")
    cursor.expect(signatures.LITERTLM)
    version = (cursor.u32(), cursor.u32(), cursor.u32())
    cursor.skip(4)
    end = cursor.u64()
    for offset, size, name in ((0, 8, "magic"), (8, 12, "version"), (24, 8, "header end")):
        site.claims.claim(offset, size, RegionKind.CONTAINER, site.claims.path("header", name))
    site.claims.claim(20, 4, RegionKind.FREE, site.claims.path("header", "padding"))
    if version[0] != 1:
        site.diagnose(
            f"version {version[0]} of the format is not known; it is read as version 1",
            8,
            code=Code.UNSUPPORTED,
        )
    source.require(_HEAD, end - _HEAD, "the header's flatbuffer")
    site.limits.allow("the header", end, site.limits.structure_size, source.name)
    inner = site.window(_HEAD, end - _HEAD, site.claims.path("header"))
    document = walk_flatbuffer(inner.walk, _schema(inner, version[1]), _LABELS, end=end - _HEAD)
    reading = _Reading(inner)
    system, sections = reading.run(document)
    return Header(version, system, sections, end, document.complete and reading.complete)


def _schema(site: Site, minor: int) -> Schema:
    """Return the schema that a header follows: old versions are tried with tables, and read with structs
    where that fails.
    """
    tables = header_schema(scalars_are_structs=False)
    if minor > _STRUCTS_UNTIL:
        return tables
    scratch = ByteMapBuilder(site.source.name, site.source.size, site.limits)
    try:
        trial = walk_flatbuffer(
            Walk(site.source, scratch, site.limits, lambda error: None), tables, _LABELS, end=site.source.size
        )
    except FormatError:
        return tables
    return tables if trial.complete else header_schema(scalars_are_structs=True)


class _Reading:
    """A header on its way from tables to facts; what cannot be read is reported and left out."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.complete = True

    def run(self, document: Document) -> tuple[dict[str, Fact], tuple[Section, ...]]:
        """Return the system metadata and the sections."""
        if not document.sound:
            self.complete = False
            return {}, ()
        root = document.root
        try:
            system, listed = root.table("system_metadata"), root.table("section_metadata")
        except FormatError as error:
            self._miss(error)
            return {}, ()
        return self._items(system, "entries"), self._sections(listed)

    def _sections(self, listed: Table | None) -> tuple[Section, ...]:
        found: list[Section] = []
        try:
            for index, table in enumerate(listed.tables("objects") if listed is not None else ()):
                self.site.limits.allow(
                    "its list of sections", index + 1, self.site.limits.members, self.site.source.name
                )
                begin, end = table.value("begin_offset"), table.value("end_offset")
                found.append(
                    Section(index, begin, end, table.value("data_type"), self._items(table, "items"))
                )
        except FormatError as error:
            self._miss(error)
        return tuple(found)

    def _items(self, table: Table | None, name: str) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        try:
            for pair in table.tables(name) if table is not None else ():
                found[(pair.string("key") or "")[:_TEXT]] = _value(pair)
        except FormatError as error:
            self._miss(error)
        return found

    def _miss(self, error: FormatError) -> None:
        self.complete = False
        self.site.survive(error)


def _value(pair: Table) -> Fact:
    members = pair.reader.schema.unions["VData"]
    chosen = pair.value("value_type")
    name = members[chosen] if chosen < len(members) else ""
    if name in pair.reader.schema.structs:
        position, kind = pair.place("value"), scalar_kind(name)
        if position is None or kind is None:
            return None
        return _plain(SCALARS[kind].unpack(pair.reader.sheet.bytes_at(position, SCALARS[kind].size))[0])
    table = pair.table("value")
    if table is None:
        return None
    if name == "StringValue":
        text = table.string("value")
        return text[:_TEXT] if text is not None else None
    return _plain(table.value("value"))


def _plain(value: object) -> Fact:
    return value if isinstance(value, bool | int | float) else None
