"""Meanings of a word: why it matters, what to do, how it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from modelinspect.reports.answer import Advisor
from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Column, Lines, Note, Notes, Table
from modelinspect.reports.entries import FindingEntry


class Kind(StrEnum):
    """What a word names."""

    RULE = "rule"
    CAUSE = "cause"
    CATEGORY = "category"
    OPTION = "option"
    BASIS = "basis"
    RESULT = "result"
    COLUMN = "column"

    @property
    def words(self) -> str:
        """The kind in words."""
        return _KINDS[self]


_KINDS: dict[Kind, str] = {
    Kind.RULE: "a finding",
    Kind.CAUSE: "a cause of size",
    Kind.CATEGORY: "a category of bytes",
    Kind.OPTION: "an option of plan",
    Kind.BASIS: "how a size is known",
    Kind.RESULT: "a kind of result of plan",
    Kind.COLUMN: "a column",
}


class Meaning(Part, frozen=True, kw_only=True):
    """One meaning of a word.

    ``kind`` is a `Kind`; ``remedies`` are by name, or under ``""`` where there is one.

    ``evidence`` is what a rule looks at, and ``least`` the smallest finding that it reports; both are empty
    for other words.
    """

    kind: str
    severity: str | None
    meaning: str
    example: str
    remedies: Mapping[str, str]
    evidence: tuple[str, ...] = ()
    least: str = ""


class MeaningReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.meaning/1"):
    """What a word of the reports means: a rule, a cause, a category, an option, a column, or several of them.

    ``location`` is the model in which the rule was run, and ``findings`` what it found there; null where no
    model was named.
    """

    name: str
    meanings: tuple[Meaning, ...]
    location: str | None = None
    findings: tuple[FindingEntry, ...] = ()

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        advisor = Advisor(partly=False)
        for found in self.meanings:
            severity = f", {found.severity}" if found.severity else ""
            yield Lines((f"{self.name}: {Kind(found.kind).words}{severity}", "", found.meaning))
            if found.evidence:
                yield Lines(
                    (
                        f"It looks at {' and '.join(found.evidence)}.",
                        *([f"It reports {found.least} or more."] if found.least else []),
                    )
                )
            if self.location is not None and found.kind == Kind.RULE:
                yield self._found(self.location)
                continue
            if found.example:
                yield Notes("For example", (Note(found.severity or "", self.name, found.example),))
            if found.remedies:
                notes = tuple(_what_to_do(advisor, name, remedy) for name, remedy in found.remedies.items())
                yield Notes("What to do, depending on the model" if len(notes) > 1 else "What to do", notes)

    def _found(self, location: str) -> Block:
        if not self.findings:
            return Lines((f"Not found in {location}.",))
        advisor = Advisor()
        notes = (
            advisor.note(entry.severity, entry.rule, entry.message, entry.remedy) for entry in self.findings
        )
        return Notes(f"In {location}", tuple(notes))

    def table(self) -> Table:
        columns = (
            Column("name", "name"),
            Column("kind", "kind"),
            Column("format", "format"),
            Column("remedy", "remedy"),
        )
        rows = [
            (self.name, found.kind, format, remedy)
            for found in self.meanings
            for format, remedy in (found.remedies or {"": ""}).items()
        ]
        return Table("", columns, rows)


def _what_to_do(advisor: Advisor, name: str, remedy: str) -> Note:
    """Return a note that is only a remedy."""
    words, _, code = remedy.partition("\n")
    return advisor.command("", name or "remedy", words.removesuffix(":"), code)
