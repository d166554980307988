"""Claim a module of MLIR byte code: sections, strings, attributes, types and resources; its constants become
tensors.

The IR section and the properties of its operations are one region each: no operation is decoded.
"""

from __future__ import annotations

from collections.abc import Callable

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact
from modelinspect.core.paths import PathId
from modelinspect.core.tensors import Role
from modelinspect.encodings.mlir import (
    LAST_VERSION,
    Dialects,
    Entry,
    Frame,
    MlirCursor,
    Resource,
    ResourceKind,
    Section,
    SectionId,
    Strings,
    read_dialects,
    read_entries,
    read_frame,
    read_resources,
    read_strings,
)
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.mlir.codes import DIALECTS
from modelinspect.formats.mlir.constants import HEAD, Dense, TensorType, Types, make_tensor, read_dense

PADDING = 0xCB
"""What the writer fills alignment with."""
NAMED = 1_000
"""Names that one fact lists at most."""
_AHEAD = 1 << 14
_KINDS = {
    SectionId.STRING: RegionKind.GRAPH,
    SectionId.DIALECT: RegionKind.METADATA,
    SectionId.ATTR_TYPE: RegionKind.GRAPH,
    SectionId.ATTR_TYPE_OFFSET: RegionKind.CONTAINER,
    SectionId.IR: RegionKind.GRAPH,
    SectionId.RESOURCE: RegionKind.GRAPH,
    SectionId.RESOURCE_OFFSET: RegionKind.CONTAINER,
    SectionId.DIALECT_VERSIONS: RegionKind.METADATA,
    SectionId.PROPERTIES: RegionKind.GRAPH,
}


def parse_module(site: Site, prefix: str = "") -> dict[str, Fact]:
    """Claim the module that fills the site; return its facts. ``prefix`` begins the names of its constants.

    Raises `FormatError` where not even the header can be read. Trouble further on is a diagnostic.
    """
    frame = read_frame(site.source)
    parser = _ModuleParser(site, frame, prefix)
    parser.run()
    return parser.facts


class _ModuleParser:
    """One module being parsed. What cannot be read of it is claimed as the section that it is in."""

    def __init__(self, site: Site, frame: Frame, prefix: str) -> None:
        self.site = site
        self.frame = frame
        self.prefix = prefix
        self.facts: dict[str, Fact] = {}
        self.strings = Strings(0, (), (), b"")
        self.dialects = Dialects((), ())
        self.attributes: list[Entry] = []
        self.type_entries: list[Entry] = []
        self.resource_types: dict[int, TensorType | None] = {}
        self.first = site.parsing.tensor_count
        self.count = 0
        self.constant_bytes = self.weight_bytes = 0

    def run(self) -> None:
        claims, frame = self.site.claims, self.frame
        claims.claim(0, frame.header_size, RegionKind.CONTAINER, claims.path("header"))
        if frame.version > LAST_VERSION:
            problem = (
                f"version {frame.version} of MLIR byte code is not known: its sections are named, not read"
            )
            self.site.diagnose(problem, 0, Severity.NOTE)
        for section in frame.sections:
            self._frame_section(section)
        if frame.failure is not None:
            self.site.survive(frame.failure)
        self._read_tables()
        for section in frame.sections:
            if frame.find(SectionId(section.id)) is section if section.id in _KINDS else False:
                self._claim_section(section)
            else:
                self._whole(section)
        self._tell()

    def _tell(self) -> None:
        frame = self.frame
        self.facts |= {
            "bytecode_version": frame.version,
            "producer": frame.producer,
            "dialects": {
                dialect.name: None if dialect.version is None else dialect.version.hex()
                for dialect in self.dialects.dialects
            },
            "operations": tuple(sorted(set(self.dialects.operations)))[:NAMED],
            "sections": {section.name: section.size for section in frame.sections},
            "first_tensor": self.first,
            "constant_count": self.count,
            "constant_bytes": self.constant_bytes,
            "weight_bytes": self.weight_bytes,
        }

    def _frame_section(self, section: Section) -> None:
        """Claim a section's header and padding."""
        claims = self.site.claims
        claims.claim(
            section.offset, section.header_size, RegionKind.CONTAINER, claims.path(section.name, "header")
        )
        begin = section.offset + section.header_size
        self._pad(begin, section.begin - begin, claims.path(section.name))

    def _pad(self, offset: int, size: int, parent: PathId) -> None:
        """Claim padding: the fill that the format prescribes is framing, other bytes are free space."""
        if size > 0:
            is_fill = self.site.source.read_at(offset, size).strip(bytes((PADDING,))) == b""
            path = self.site.claims.paths.child(parent, "padding")
            self.site.claims.claim(offset, size, RegionKind.CONTAINER if is_fill else RegionKind.FREE, path)

    def _read_tables(self) -> None:
        """Read the tables that say how the other sections divide, as far as they can be read."""
        if self.frame.version > LAST_VERSION:
            return
        self._try(SectionId.STRING, self._read_strings)
        self._try(SectionId.DIALECT, self._read_dialects)
        self._try(SectionId.ATTR_TYPE_OFFSET, self._read_entries)

    def _try(self, id: SectionId, read: Callable[[MlirCursor], None]) -> None:
        section = self.frame.find(id)
        if section is not None:
            try:
                read(self._cursor(section))
            except FormatError as error:
                self.site.survive(error)

    def _cursor(self, section: Section) -> MlirCursor:
        source = self.site.source
        limits = self.site.limits
        limits.allow(
            f"the section {section.name}", section.size, limits.structure_size, source.name, section.begin
        )
        return MlirCursor(
            source.read_at(section.begin, section.size),
            source.name,
            section.begin,
            f"the section {section.name}",
        )

    def _read_strings(self, cursor: MlirCursor) -> None:
        self.strings = read_strings(cursor)

    def _read_dialects(self, cursor: MlirCursor) -> None:
        self.dialects = read_dialects(cursor, self.frame.version, self.strings)

    def _read_entries(self, cursor: MlirCursor) -> None:
        section = self.frame.find(SectionId.ATTR_TYPE)
        attributes, types = read_entries(cursor, 0 if section is None else section.size)
        limits = self.site.limits
        limits.allow(
            "its attributes and types", len(attributes) + len(types), limits.objects, self.site.source.name
        )
        self.attributes, self.type_entries = attributes, types

    def _claim_section(self, section: Section) -> None:
        match section.id:
            case SectionId.STRING if self.strings.table_size:
                claims, begin = self.site.claims, section.begin
                claims.claim(
                    begin, self.strings.table_size, RegionKind.CONTAINER, claims.path(section.name, "lengths")
                )
                size = section.size - self.strings.table_size
                claims.claim(
                    begin + self.strings.table_size,
                    size,
                    RegionKind.GRAPH,
                    claims.path(section.name, "strings"),
                )
            case SectionId.ATTR_TYPE if self.attributes or self.type_entries:
                self._claim_entries(section)
            case SectionId.RESOURCE if self.frame.version <= LAST_VERSION:
                self._claim_resources(section)
            case _:
                self._whole(section)

    def _whole(self, section: Section) -> None:
        kind = _KINDS[SectionId(section.id)] if section.id in _KINDS else RegionKind.GRAPH
        self.site.claims.claim(section.begin, section.size, kind, self.site.claims.path(section.name))

    def _claim_entries(self, section: Section) -> None:
        """Claim every attribute and type by the offset table; those that are constants become tensors."""
        claims = self.site.claims
        names = [dialect.name for dialect in self.dialects.dialects]
        types = Types(self.site.source, section.begin, self.type_entries, names)
        ahead = _Ahead(self.site, section)
        attributes, type_path = claims.path(section.name, "attributes"), claims.path(section.name, "types")
        for index, entry in enumerate(self.attributes):
            if entry.size:
                self._attribute(index, entry, section.begin + entry.offset, ahead, types, attributes)
        for index, entry in enumerate(self.type_entries):
            if entry.size:
                word = self._type_word(entry, ahead)
                path = claims.paths.add(type_path, f"#{index} {word}")
                claims.claim(section.begin + entry.offset, entry.size, RegionKind.GRAPH, path)
        last = (self.type_entries or self.attributes)[-1].end
        if last < section.size:
            problem = (
                f"{section.size - last:,} bytes follow the last type, and the offset table does not list them"
            )
            self.site.diagnose(problem, section.begin + last)

    def _attribute(
        self, index: int, entry: Entry, offset: int, ahead: _Ahead, types: Types, parent: PathId
    ) -> None:
        claims = self.site.claims
        dialect = self.dialects.name(entry.dialect)
        codes = DIALECTS.get(dialect)
        if not entry.is_custom or codes is None:
            form = "" if entry.is_custom else " text"
            claims.claim(
                offset, entry.size, RegionKind.GRAPH, claims.paths.add(parent, f"#{index} {dialect}{form}")
            )
            return
        cursor = ahead.cursor(entry)
        dense: Dense | None = None
        try:
            code = cursor.varint()
            cursor.index = 0
            dense = read_dense(cursor, codes, entry.size, types)
            if code == codes.resource:
                cursor.index = 0
                self._resource_type(cursor, types)
        except FormatError:  # an attribute that is shorter than its code needs: it is named as what it is
            code = -1
        path = claims.paths.add(parent, f"#{index} {codes.attributes.get(code, f'{dialect} code {code}')}")
        if dense is None:
            kind = RegionKind.DEBUG if code in codes.locations else RegionKind.GRAPH
            claims.claim(offset, entry.size, kind, path)
            return
        claims.claim(offset, dense.head, RegionKind.CONTAINER, path)
        self._constant(dense.type, offset + dense.head, dense.size, path)

    def _constant(
        self, type_: TensorType | None, offset: int, size: int, path: PathId, label: str = ""
    ) -> None:
        name = f"{self.prefix}stablehlo constant {label or f'#{self.count}'}"
        tensor = make_tensor(self.site, name, type_, offset, size)
        number = self.site.parsing.add_tensor(tensor)
        self.site.claims.claim(offset, size, RegionKind.TENSOR_DATA, path, number)
        self.count += 1
        self.constant_bytes += size
        if tensor.role is Role.WEIGHT:
            self.weight_bytes += size

    def _resource_type(self, cursor: MlirCursor, types: Types) -> None:
        """Keep the type that a DenseResourceElementsAttr gives the resource that it names."""
        cursor.varint()
        type_, handle = types.tensor(cursor.varint()), cursor.varint()
        self.resource_types.setdefault(handle, type_)

    def _type_word(self, entry: Entry, ahead: _Ahead) -> str:
        dialect = self.dialects.name(entry.dialect)
        codes = DIALECTS.get(dialect)
        if not entry.is_custom or codes is None:
            return dialect if entry.is_custom else f"{dialect} text"
        try:
            code = ahead.cursor(entry).varint()
        except FormatError:
            return "type"
        element = codes.elements.get(code)
        return codes.types.get(code, "type") if element is None else element.name

    def _claim_resources(self, section: Section) -> None:
        """Claim every resource by its offset table; blobs that a constant names become tensors."""
        offsets = self.frame.find(SectionId.RESOURCE_OFFSET)
        found: list[Resource] = []
        if offsets is not None:
            try:
                found = read_resources(self._cursor(offsets), self.strings, self.dialects, section.size)
            except FormatError as error:
                self.site.survive(error)
        handles = 0
        for resource in found:
            self._resource(resource, section.begin + resource.offset, handles)
            handles += resource.is_handle
        end = found[-1].offset + found[-1].size if found else 0
        if end < section.size:
            path = self.site.claims.path(section.name, "not listed")
            self.site.claims.claim(section.begin + end, section.size - end, RegionKind.GRAPH, path)

    def _resource(self, resource: Resource, offset: int, handle: int) -> None:
        claims = self.site.claims
        path = claims.path("Resource", resource.group, resource.key)
        cursor = MlirCursor(
            self.site.source.read_at(offset, min(resource.size, HEAD)),
            self.site.source.name,
            offset,
            "a resource",
        )
        if resource.kind == ResourceKind.BLOB:
            try:
                alignment, size = cursor.varint(), cursor.varint()
            except FormatError:
                alignment = size = 0
            begin = offset + resource.size - size
            pad = begin - cursor.offset
            if size and 0 <= pad < max(alignment, 1):
                claims.claim(offset, cursor.index, RegionKind.CONTAINER, path)
                self._pad(cursor.offset, pad, path)
                if resource.is_handle and handle in self.resource_types:
                    self._constant(self.resource_types[handle], begin, size, path, resource.key)
                else:
                    claims.claim(begin, size, RegionKind.GRAPH, path)
                return
        claims.claim(offset, resource.size, RegionKind.GRAPH, path)


class _Ahead:
    """Reads the heads of attributes and types, many small ones at once."""

    def __init__(self, site: Site, section: Section) -> None:
        self._source = site.source
        self._section = section
        self._data = b""
        self._begin = 0

    def cursor(self, entry: Entry) -> MlirCursor:
        """Return a cursor over the first bytes of an entry."""
        begin, size = self._section.begin + entry.offset, min(entry.size, HEAD)
        if not self._begin <= begin or begin + size > self._begin + len(self._data):
            self._begin = begin
            self._data = self._source.read_at(begin, min(_AHEAD, self._section.end - begin))
        place = begin - self._begin
        return MlirCursor(self._data[place : place + size], self._source.name, begin, "an attribute")
