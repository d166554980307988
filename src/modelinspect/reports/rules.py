"""The rules of ``lint``."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.reports.base import StructReport
from modelinspect.reports.blocks import Block, Column, Lines, Note, Notes, Table
from modelinspect.reports.lint import RuleEntry


class RulesReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.rules/1"):
    """The rules that a selection leaves, in the order in which they run."""

    rules: tuple[RuleEntry, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        for group in dict.fromkeys(rule.group for rule in self.rules):
            rules = [rule for rule in self.rules if rule.group == group]
            shown = rules if top is None else rules[:top]
            notes = tuple(Note(rule.severity, rule.id, rule.reason) for rule in shown)
            yield Notes(f"Rules about {group} content", notes, len(rules) - len(shown))
        yield Lines(("modelinspect explain RULE shows what a rule looks at, and what to do.",))

    def table(self) -> Table:
        keys = ("id", "group", "severity", "reason", "remedy")
        rows = [(rule.id, rule.group, rule.severity, rule.reason, rule.remedy) for rule in self.rules]
        return Table("", tuple(Column(key, key) for key in keys), rows)
