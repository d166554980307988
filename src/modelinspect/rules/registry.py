"""Runs the rules about unsafe and wasteful content that were chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import import_module

from modelinspect.core.artifact import Severity
from modelinspect.errors import UsageError
from modelinspect.reports.lint import LintFinding, RuleEntry
from modelinspect.rules.base import Context, Rule
from modelinspect.rules.base import rules as wasteful_rules
from modelinspect.rules.unsafe.base import Subject, UnsafeRule

UNSAFE: tuple[str, ...] = (
    "ambiguous_archive",
    "archive_bomb",
    "archive_link",
    "asset_code",
    "asset_operator",
    "checkpoint_operator",
    "checksum",
    "code_operator",
    "config_file",
    "config_import",
    "custom_object",
    "custom_operator",
    "decode_operator",
    "external_link",
    "external_storage",
    "file_read_operator",
    "file_write_operator",
    "flex_operator",
    "hidden_content",
    "incomplete",
    "lambda_code",
    "lambda_layer",
    "network_operator",
    "path_outside",
    "print_operator",
    "trailing_data",
    "unread_bytes",
    "unread_operator",
    "virtual_dataset",
)
"""The modules of this package that hold a ``RULE``."""
GROUPS = ("unsafe", "wasteful")
_RANK = {severity: rank for rank, severity in enumerate((Severity.ERROR, Severity.WARNING, Severity.NOTE))}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rules that are to run."""

    unsafe: tuple[UnsafeRule, ...]
    wasteful: tuple[Rule, ...]

    def entries(self) -> tuple[RuleEntry, ...]:
        """Describe the rules, sorted by id."""
        made = [(rule, "unsafe") for rule in self.unsafe] + [(rule, "wasteful") for rule in self.wasteful]
        entries = [
            RuleEntry(id=rule.id, group=group, severity=str(rule.severity), reason=rule.reason, remedy=rule.remedy) for rule, group in made
        ]
        return tuple(sorted(entries, key=lambda entry: entry.id))


def unsafe_rules() -> list[UnsafeRule]:
    """Load every rule about unsafe content, sorted by id."""
    return [import_module(f"modelinspect.rules.unsafe.{name}").RULE for name in UNSAFE]


def choose(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> Chosen:
    """Return the rules that a selection leaves: ids, patterns or groups. Raises `UsageError` for what names no rule."""
    unsafe, wasteful = unsafe_rules(), wasteful_rules()
    groups = {**dict.fromkeys((rule.id for rule in unsafe), "unsafe"), **dict.fromkeys((rule.id for rule in wasteful), "wasteful")}
    for pattern in (*select, *ignore):
        if not any(_matches(id, groups[id], pattern) for id in groups):
            close = get_close_matches(pattern, [*groups, *GROUPS], 1)
            raise UsageError(f"there is no rule {pattern!r}" + (f"; did you mean {close[0]}?" if close else "; modelinspect lint --rules"))

    def kept(id: str) -> bool:
        chosen = not select or any(_matches(id, groups[id], pattern) for pattern in select)
        return chosen and not any(_matches(id, groups[id], pattern) for pattern in ignore)

    return Chosen(tuple(rule for rule in unsafe if kept(rule.id)), tuple(rule for rule in wasteful if kept(rule.id)))


def _matches(id: str, group: str, pattern: str) -> bool:
    return pattern in (id, group, "all") or fnmatchcase(id, pattern)


def run_rules(subject: Subject, chosen: Chosen) -> tuple[LintFinding, ...]:
    """Run the rules; the severest findings come first, then those of a rule in the order of the file."""
    found = [
        LintFinding(
            rule=rule.id,
            severity=str(rule.severity),
            message=finding.message,
            bytes=finding.bytes,
            remedy=finding.remedy,
            member=finding.place.member if finding.place is not None else None,
            offset=finding.place.offset if finding.place is not None else None,
            size=(finding.place.size or None) if finding.place is not None else None,
        )
        for rule in chosen.unsafe
        for finding in rule.find(subject)
    ]
    found += _wasteful(subject.context, chosen.wasteful)
    return tuple(sorted(dict.fromkeys(found), key=_order))


def _wasteful(context: Context, rules: Iterable[Rule]) -> list[LintFinding]:
    return [
        LintFinding(
            rule=rule.id,
            severity=str(rule.severity),
            message=finding.message,
            bytes=finding.bytes,
            remedy=finding.what_to_do,
            member=None,
            offset=None,
            size=None,
        )
        for rule in rules
        for finding in rule.find(context)
    ]


def _order(finding: LintFinding) -> tuple[int, str, str, int, str]:
    return _RANK[Severity(finding.severity)], finding.rule, finding.member or "", finding.offset or 0, finding.message
