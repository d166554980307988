"""List the regions of an artifact, with their bytes where asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from modelinspect.core.artifact import Artifact, Member
from modelinspect.core.bytemap import KINDS, NO_TENSOR, RegionKind
from modelinspect.core.paths import ROOT, PathId, PathTable
from modelinspect.core.records import dataclass
from modelinspect.reports.base import Notebook, Part, StructReport, encode, json_lines
from modelinspect.reports.blocks import Block, Cell, Column, Dump, DumpRegion, Heading, Lines, Table, Unit
from modelinspect.reports.entries import ArtifactEntry, artifact_entry, diagnostic_entry, diagnostic_notes
from modelinspect.reports.frames import arrow_table, data_frame
from modelinspect.reports.pictures import Picture, Pictures
from modelinspect.reports.wording import plural

ReadBytes = Callable[[str, int, int], bytes]
"""Returns the bytes of a member at an offset."""

_HEAD, _TAIL = 48, 16
_AROUND = 64
_BLOCK = 65_536


class RegionEntry(Part, frozen=True, kw_only=True):
    """A labelled run of bytes; ``tensor`` names the tensor that it stores.

    ``hex`` are its first bytes, with ``--hex``.
    """

    member: str
    offset: int
    size: int
    kind: str
    path: tuple[str, ...]
    tensor: str | None
    hex: str | None = None


class MapDocument(StructReport, frozen=True, kw_only=True, tag="modelinspect.map/1"):
    """The JSON form of a `MapReport`."""

    artifact: ArtifactEntry
    regions: tuple[RegionEntry, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The regions ``[first, last)`` of one member, and the bytes of them that are meant (all, or those from
    ``--from`` on).
    """

    member: Member
    first: int
    last: int
    offset: int
    end: int


@dataclass(frozen=True)
class MapReport:
    """Regions in the order of members and offsets, made one after another: a million of them stay cheap.

    ``read`` gives the bytes for a hexdump; ``at`` is the one offset asked about; ``whole`` shows long regions
    in full. ``drawn`` are the pictures of the whole artifact, where someone wants to see them.
    """

    artifact: Artifact
    selections: tuple[Selection, ...]
    read: ReadBytes | None = None
    at: int | None = None
    whole: bool = False
    drawn: Pictures | None = None

    def entries(self) -> Iterator[RegionEntry]:
        """Yield the regions."""
        names = [tensor.name for tensor in self.artifact.tensors]
        for member, offset, size, kind, path, tensor in self._records():
            yield RegionEntry(
                member=member,
                offset=offset,
                size=size,
                kind=str(kind),
                path=path,
                tensor=None if tensor == NO_TENSOR else names[tensor],
                hex=None if self.read is None else self.read(member, offset, min(size, _HEAD + _TAIL)).hex(),
            )

    def _records(self) -> Iterator[tuple[str, int, int, RegionKind, tuple[str, ...], int]]:
        """Yield member, offset, size, kind, path and tensor id of the regions, a block of columns at a
        time.
        """
        for selection in self.selections:
            name, columns = selection.member.name, selection.member.map.columns
            paths = _Paths(selection.member.map.path_table)
            for first in range(selection.first, selection.last, _BLOCK):
                block = slice(first, min(first + _BLOCK, selection.last))
                rows = zip(
                    columns.offsets[block].tolist(),
                    columns.sizes[block].tolist(),
                    columns.kinds[block].tolist(),
                    columns.paths[block].tolist(),
                    columns.tensors[block].tolist(),
                    strict=True,
                )
                for offset, size, kind, path, tensor in rows:
                    yield name, offset, size, KINDS[kind], paths.parts(path), tensor

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        document: dict[str, Any] = MapDocument(
            artifact=artifact_entry(self.artifact), regions=tuple(self.entries())
        ).to_dict()
        return document

    def json_lines(self) -> Iterator[str]:
        """Yield the lines of the report's JSON."""
        head = MapDocument(artifact=artifact_entry(self.artifact), regions=()).to_dict()
        return json_lines(head, {"regions": self._encoded()})

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        """Yield what a person should see."""
        if self.at is not None:
            yield Lines(tuple(self._answer(self.at)))
        else:
            regions = sum(selection.last - selection.first for selection in self.selections)
            yield Heading(
                self.artifact.location,
                self.artifact.size,
                (str(self.artifact.format), plural(regions, "region")),
            )
        if self.read is not None:
            for selection in self.selections:
                title = selection.member.name if len(self.artifact.members) > 1 else ""
                yield Dump(title, self._dump(selection, self.read), selection.end, self.at)
        elif self.at is None:
            yield self._shown_table()
        if self.artifact.diagnostics and self.at is None:
            entries = tuple(diagnostic_entry(diagnostic) for diagnostic in self.artifact.diagnostics)
            yield diagnostic_notes(entries, self.artifact.diagnostic_count, 10 if top is None else top)

    def table(self) -> Table:
        """Return the regions as a table."""
        columns = (
            Column("member", "member"),
            Column("offset", "offset", Unit.OFFSET),
            Column("size", "size", Unit.BYTES),
            Column("kind", "kind"),
            Column("path", "path"),
            Column("tensor", "tensor"),
        )
        names = [tensor.name for tensor in self.artifact.tensors]
        rows = (
            (
                member,
                offset,
                size,
                kind,
                " / ".join(path) or None,
                None if tensor == NO_TENSOR else names[tensor],
            )
            for member, offset, size, kind, path, tensor in self._records()
        )
        return Table("", columns, rows)

    def to_arrow(self) -> Any:
        """Return the regions as a `pyarrow.Table`. Raises `MissingExtraError`."""
        return arrow_table(self.table())

    def to_pandas(self) -> Any:
        """Return the regions as a `pandas.DataFrame`. Raises `MissingExtraError`."""
        return data_frame(self.table())

    def pictures(self) -> Iterator[Picture]:
        """Yield the ribbon, where it was drawn."""
        if self.drawn is not None:
            yield self.drawn.ribbon

    def _repr_html_(self) -> str | None:
        """Return the report as a notebook shows it, None where that is not available."""
        return None if Notebook.draw is None else Notebook.draw(self)

    def _shown_table(self) -> Table:
        several = len(self.selections) > 1
        last = max((selection.end for selection in self.selections), default=0)
        largest = max(
            (int(selection.member.map.columns.sizes.max(initial=0)) for selection in self.selections),
            default=0,
        )
        longest = max((selection.member.name for selection in self.selections), key=len, default="")
        columns = (
            *((Column("member", "member", widest=longest),) if several else ()),
            Column("offset", "offset", Unit.OFFSET, widest=last),
            Column("size", "bytes", Unit.BYTES, widest=largest),
            Column("kind", "kind", widest="unattributed"),
            Column("path", "path", widest="x" * 400),
        )
        return Table("Regions", columns, self._shown_rows(several))

    def _shown_rows(self, several: bool) -> Iterator[tuple[Cell, ...]]:
        for member, offset, size, kind, path, _ in self._records():
            row = (offset, size, kind, " / ".join(path))
            yield (member, *row) if several else row

    def _answer(self, at: int) -> Iterator[str]:
        (entry,) = self.entries()
        yield f"byte {at:,} ({at:#x}) of {entry.member} is byte {at - entry.offset:,} of {entry.size:,} in"
        yield f"  {' / '.join(entry.path) or 'no structure that is known'}"
        last = entry.offset + entry.size - 1
        yield f"  {entry.kind}, bytes {entry.offset:,} to {last:,} ({entry.offset:#x} to {last:#x})"
        if entry.tensor is not None:
            yield f"  tensor {entry.tensor}"

    def _dump(self, selection: Selection, read: ReadBytes) -> Iterator[DumpRegion]:
        for index in range(selection.first, selection.last):
            region = selection.member.map[index]
            begin, end = max(region.span.offset, selection.offset), min(region.span.end, selection.end)
            pieces = tuple(
                (start, read(selection.member.name, start, stop - start))
                for start, stop in _shown(begin, end, self.at, whole=self.whole)
            )
            yield DumpRegion(begin, end - begin, str(region.kind), " / ".join(region.path), pieces)

    def _encoded(self) -> Iterator[str]:
        if self.read is not None:
            yield from (encode(_plain(entry)) for entry in self.entries())
            return
        names = [encode(tensor.name) for tensor in self.artifact.tensors]
        members = {selection.member.name: encode(selection.member.name) for selection in self.selections}
        for member, offset, size, kind, path, tensor in self._records():
            yield (
                f'{{"member": {members[member]}, "offset": {offset}, "size": {size}, "kind": "{kind}",'
                f' "path": {encode(path)}, "tensor": {"null" if tensor == NO_TENSOR else names[tensor]},'
                ' "hex": null}'
            )


class _Paths:
    """Parts of paths, remembering those of parents, which many regions share."""

    def __init__(self, table: PathTable) -> None:
        self._table = table
        self._parents: dict[int, tuple[str, ...]] = {ROOT: ()}

    def parts(self, path: int) -> tuple[str, ...]:
        """Return the parts of a path."""
        if path == ROOT:
            return ()
        parent = self._table.parents[path]
        known = self._parents.get(parent)
        if known is None:
            if len(self._parents) > _BLOCK:
                self._parents = {ROOT: ()}
            known = self._parents[parent] = self._table.parts(PathId(parent))
        return (*known, self._table.names[path])


def _plain(entry: RegionEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def _shown(begin: int, end: int, at: int | None, *, whole: bool) -> list[tuple[int, int]]:
    """Return which bytes of a region to show: all of a short one, both ends of a long one, what is around
    ``at``.
    """
    if whole or end - begin <= _HEAD + 2 * _TAIL:
        return [(begin, end)]
    if at is None:
        return [(begin, begin + _HEAD), (end - _TAIL, end)]
    start = max(begin, (at - _AROUND) - (at - _AROUND - begin) % 16)
    return [(start, min(end, start + 2 * _AROUND))]
