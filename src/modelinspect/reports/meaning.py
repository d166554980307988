"""Says what a rule or a cause means: why it matters, what to do, how it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.reports.advice import Advisor
from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Column, Lines, Note, Notes, Table


class Meaning(Part, frozen=True, kw_only=True):
    """One meaning of a word. ``kind`` is rule or cause; ``remedies`` are by name, or the one that there is under ``""``.

    ``evidence`` is what a rule looks at, and ``least`` the smallest finding that it reports; both are empty for causes.
    """

    kind: str
    severity: str | None
    meaning: str
    example: str
    remedies: Mapping[str, str]
    evidence: tuple[str, ...] = ()
    least: str = ""


class MeaningReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.meaning/1"):
    """What a word of the reports means: a rule, a cause, or both."""

    name: str
    meanings: tuple[Meaning, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        advisor = Advisor(partly=False)
        for found in self.meanings:
            what = f"a finding, {found.severity}" if found.severity else "a cause of size"
            yield Lines((f"{self.name}: {what}", "", found.meaning))
            if found.evidence:
                yield Lines(
                    (f"It looks at {' and '.join(found.evidence)}.", *([f"It reports {found.least} or more."] if found.least else []))
                )
            if found.example:
                yield Notes("For example", (Note(found.severity or "", self.name, found.example),))
            if found.remedies:
                notes = tuple(_what_to_do(advisor, name, remedy) for name, remedy in found.remedies.items())
                yield Notes("What to do, as it applies" if len(notes) > 1 else "What to do", notes)

    def table(self) -> Table:
        columns = (Column("name", "name"), Column("kind", "kind"), Column("format", "format"), Column("remedy", "remedy"))
        rows = [
            (self.name, found.kind, format, remedy) for found in self.meanings for format, remedy in (found.remedies or {"": ""}).items()
        ]
        return Table("", columns, rows)


def _what_to_do(advisor: Advisor, name: str, remedy: str) -> Note:
    """Return a note of a remedy alone."""
    words, _, code = remedy.partition("\n")
    return advisor.command("", name or "remedy", words.removesuffix(":"), code)
