"""Whether two artifacts hold the same tensors and documents."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Column, Heading, Lines, Table, Unit
from modelinspect.reports.diff import SideEntry
from modelinspect.reports.wording import plural

_SHOWN = 15


class ContentEntry(Part, frozen=True, kw_only=True):
    """A tensor that is not the same in both: ``difference`` is ``elements``, ``type``, ``missing`` (not in
    after) or ``added``.
    """

    tensor: str
    difference: str
    role: str
    before: str | None
    after: str | None


class ContentReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.content/1"):
    """A comparison by name: type, shape and SHA-256 of the elements of every tensor, and every document byte
    by byte.

    ``unread`` tensors hold strings or objects, whose elements were not compared.
    """

    before: SideEntry
    after: SideEntry
    delta: int
    tensors: int
    equal: int
    unread: int
    differing: tuple[ContentEntry, ...]
    documents: int
    documents_equal: int

    @property
    def same(self) -> bool:
        """Whether no difference was found."""
        return not self.differing and self.documents_equal == self.documents

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        yield Heading(self.before.location, self.before.size, (self.before.format,))
        yield Heading(self.after.location, self.after.size, (self.after.format,))
        lines = [
            f"{len(self.differing):,} of {plural(self.tensors, 'tensor')}"
            f" differ{'s' if len(self.differing) == 1 else ''}."
        ]
        verb = "is" if self.documents == 1 else "are"
        lines.append(
            f"{self.documents_equal:,} of {plural(self.documents, 'document')} {verb} equal byte by byte."
        )
        if self.unread:
            lines.append(
                f"{plural(self.unread, 'tensor')} of strings or objects: names, types and shapes were"
                " compared, elements were not."
            )
        yield Lines(tuple(lines))
        if self.differing:
            columns = (
                Column("tensor", "tensor"),
                Column("difference", "differs in"),
                Column("role", "role", rank=1),
            )
            shown = self.differing[: _SHOWN if top is None else top]
            yield Table(
                "Differences", columns, [(entry.tensor, entry.difference, entry.role) for entry in shown]
            )

    def table(self) -> Table:
        columns = (
            Column("tensor", "tensor", Unit.TEXT),
            Column("difference", "difference"),
            Column("role", "role"),
            Column("before", "before"),
            Column("after", "after"),
        )
        return Table(
            "",
            columns,
            [(one.tensor, one.difference, one.role, one.before, one.after) for one in self.differing],
        )
