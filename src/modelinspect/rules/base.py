"""What a rule is, what it finds, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Advice, Remedy, example

__all__ = ["NOWHERE", "Finding", "Group", "Place", "Rule", "Subject"]


class Group(StrEnum):
    """What a rule is about."""

    UNSAFE = "unsafe"
    WASTEFUL = "wasteful"


@dataclass(frozen=True, slots=True)
class Place:
    """A run of bytes of a member. ``within`` is the offset in what the run decompresses to, if it is compressed."""

    member: str
    offset: int | None = None
    size: int | None = None
    within: int | None = None


NOWHERE = Place("")
"""The place of what has none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: a sentence with exact figures, the bytes it is about, what to do, and the place where there is one.

    ``remedy`` is one of the table (`modelinspect.remedies`), or words where nothing can be run.
    """

    message: str
    bytes: int
    remedy: Advice | str | None = None
    place: Place | None = None

    @property
    def what_to_do(self) -> str:
        """The remedy in words and code, empty where there is none."""
        return self.remedy.text if isinstance(self.remedy, Advice) else self.remedy or ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing worth knowing of an artifact.

    ``reason`` says in a line why, ``example`` is a message as the rule gives it. What it may say to do is ``advice`` in words, or
    ``remedies`` of the table.
    """

    id: str
    severity: Severity
    reason: str
    find: Callable[[Subject], Iterator[Finding]]
    example: str = ""
    remedies: tuple[Remedy, ...] = ()
    advice: str = ""
    group: Group = Group.WASTEFUL

    @property
    def remedy(self) -> str:
        """What the rule says to do, for instance."""
        return self.advice or (example(self.remedies[0]).text if self.remedies else "")
