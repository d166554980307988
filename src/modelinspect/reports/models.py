"""The models of a folder or an archive, each its own artifact."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Column, Heading, Lines, Table, Unit


class ModelEntry(Part, frozen=True, kw_only=True):
    """A model: its folder or file within the location ("." for all of it), its format and its stored size."""

    name: str
    format: str
    size: int


class ModelsReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.models/1"):
    """The models of a location; ``untried`` folders and files were too many to look at."""

    location: str
    models: tuple[ModelEntry, ...]
    untried: int = 0

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        count = len(self.models)
        yield Heading(
            self.location,
            sum(entry.size for entry in self.models),
            (f"{count:,} model{'' if count == 1 else 's'}",),
        )
        shown = self.table()
        yield Table("Models", shown.columns, shown.rows)
        if self.models:
            yield Lines((f"--model NAME chooses one, such as --model {self.models[0].name}",))
        if self.untried:
            yield Lines(
                (
                    (
                        f"{self.untried:,} more folders and files were not looked at: there may be other"
                        " models among them"
                    ),
                )
            )

    def table(self) -> Table:
        columns = (
            Column("name", "model"),
            Column("format", "format", rank=1),
            Column("size", "size", Unit.BYTES),
        )
        return Table("", columns, [(entry.name, entry.format, entry.size) for entry in self.models])
