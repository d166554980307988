"""Find the files beside a model that hold buffers of it, and claim what is after the flatbuffer: buffers'
pads, byte code, an archive of associated files.
"""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, Facts
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.zip import find_end_record, walk_zip
from modelinspect.errors import Code, FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.model import ExternalBuffer, Model


@dataclass(slots=True)
class ExternalFiles:
    """The files that a model's external buffers name, opened when first needed; only files beside the model
    count.
    """

    site: Site
    model: Model
    opened: dict[str, Site | None] = field(default_factory=dict)

    def find(self, id: int) -> tuple[Site, ExternalBuffer] | None:
        """Return where an external buffer is; None, and a diagnostic, where it is not there."""
        entry = self.model.external.get(id)
        if entry is None:
            self.site.diagnose(f"a tensor names the external buffer {id:#x}, which the model does not list")
            return None
        site = self._open(entry.group)
        if site is None:
            return None
        if entry.offset + entry.length > site.source.size:
            left = max(site.source.size - entry.offset, 0)
            site.diagnose(
                f"external buffer {id:#x} needs {entry.length:,} bytes at byte {entry.offset:,} but {left:,}"
                " are left",
                0,
            )
            return None
        return site, entry

    def _open(self, name: str) -> Site | None:
        if name not in self.opened:
            site = self.opened[name] = self.site.parsing.beside(name)
            if site is None:
                self.site.diagnose(
                    f"the file {name!r} with external buffers is missing",
                    None,
                    Severity.ERROR,
                    Code.INCOMPLETE,
                )
        return self.opened[name]

    def finish(self) -> None:
        """Claim the zeros between the buffers of each file, and what the model lists but no tensor uses."""
        used = {row.external for graph in self.model.subgraphs for row in graph.tensors if row is not None}
        groups: dict[str, tuple[Site, set[str]]] = {}  # several names may lead to the same file
        for name, site in self.opened.items():
            if site is not None:
                groups.setdefault(f"{site.claims.member} {site.claims.base}", (site, set()))[1].add(name)
        for site, names in groups.values():
            entries = [entry for entry in self.model.external.values() if entry.group in names]
            entries = [
                entry for entry in entries if entry.length and entry.offset + entry.length <= site.source.size
            ]
            for entry in entries:
                if entry.id not in used:
                    path = site.claims.path(f"external_buffers[{entry.id:#x}]", "unused")
                    site.claims.claim(entry.offset, entry.length, RegionKind.FREE, path)
            claim_zeros(site, [(entry.offset, entry.length) for entry in entries], 0, site.source.size)


_LONGEST_PAD = 4096
"""Accelerators want their byte code on its own page; no pad is longer."""


def claim_archive(site: Site, end: int, facts: Facts) -> int:
    """Claim the zip archive that ends the file, if there is one after ``end``; return where it begins.

    Metadata writers append it to the model, so its offsets count from the start of the file.
    """
    if site.source.size - end < 22:
        return site.source.size
    record = find_end_record(site.source)
    if record is None or record < end:
        return site.source.size
    path = site.claims.path("associated files")
    try:
        directory = walk_zip(site.walk, path)
    except FormatError as error:
        site.survive(error)
        return site.source.size
    files: dict[str, Fact] = {}
    for member in directory.members:
        if member.data is not None and member.data.offset >= end:
            place = site.claims.paths.child(path, member.name)
            site.claims.claim(member.data.offset, member.data.size, RegionKind.ASSET, place)
            files[member.name] = member.size
    facts["associated_files"] = files
    trailing = site.source.size - directory.end
    if trailing:
        _claim_trailing(site, directory.end, trailing)
    return max(directory.begin, end)


def claim_zeros(site: Site, taken: list[tuple[int, int]], begin: int, end: int) -> None:
    """Claim the zeros between spans of ``[begin, end)`` as padding, and other bytes as trailing ones, which
    the facts count.
    """
    position = begin
    for offset, size in [*sorted(taken), (end, 0)]:
        if offset > position:
            _claim_gap(site, position, min(offset, end) - position)
        position = max(position, offset + size)
        if position >= end:
            break


def _claim_gap(site: Site, offset: int, size: int) -> None:
    if size <= 0:
        return
    if size <= _LONGEST_PAD and not any(site.source.read_at(offset, size)):
        site.claims.claim(offset, size, RegionKind.FREE, site.claims.path("padding"))
        return
    _claim_trailing(site, offset, size)


def _claim_trailing(site: Site, offset: int, size: int) -> None:
    """Claim bytes that nothing in the model leads to: a tool's output that went into the file, or something
    hidden.
    """
    site.claims.claim(offset, size, RegionKind.FREE, site.claims.path("trailing bytes"))
    known = site.parsing.facts.get("trailing_bytes", 0)
    site.parsing.facts["trailing_bytes"] = size + (known if isinstance(known, int) else 0)
