"""Find the files beside a model that hold buffers of it."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.records import dataclass, field
from modelinspect.errors import Code
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.model import ExternalBuffer, Model
from modelinspect.formats.tflite.trailing import claim_zeros


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
