"""What a rule is, what it finds, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import assert_never

from modelinspect.core.artifact import Severity
from modelinspect.core.records import dataclass
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Advice, Remedy, example

__all__ = ["ALWAYS", "NOWHERE", "Evidence", "Finding", "Group", "Place", "Rule", "Subject", "Threshold"]


class Group(StrEnum):
    """What a rule is about."""

    UNSAFE = "unsafe"
    WASTEFUL = "wasteful"


class Evidence(StrEnum):
    """What a rule looks at. Where it is missing the rule is silent: it did not examine anything."""

    STRUCTURE = "structure"
    """Names, types, shapes and places of tensors and structures, which parsing gives."""
    VALUES = "values"
    """The elements of tensors: zeros, distinct values, digests."""
    FREE_BYTES = "free-bytes"
    """The bytes of free space."""
    COMPARISON = "comparison"
    """A second artifact."""

    @property
    def meaning(self) -> str:
        """What is read for it, in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Evidence.STRUCTURE: "the structure: names, types, shapes and places of tensors",
    Evidence.VALUES: "the elements of every tensor (not with --no-measure)",
    Evidence.FREE_BYTES: "the bytes of free space (not with --no-measure)",
    Evidence.COMPARISON: "a second file to compare with",
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least that is worth a reader's time: a size in bytes, and a share of the artifact.

    A finding must reach both.
    """

    size: int = 0
    share: float = 0.0

    def is_reached(self, size: int, whole: int) -> bool:
        """Return whether bytes of an artifact of ``whole`` bytes are worth a finding."""
        return size >= self.size and size >= self.share * whole

    @property
    def text(self) -> str:
        """The threshold in words, empty where there is none."""
        parts = [f"{self.size:,} bytes"] if self.size else []
        parts += [f"{100 * self.share:.3g} % of the file"] if self.share else []
        return " and ".join(parts)


ALWAYS = Threshold()
"""The threshold of rules whose findings matter whatever their size."""


@dataclass(frozen=True, slots=True)
class Place:
    """A run of bytes of a member.

    ``within`` is the offset in what the run decompresses to, if it is compressed.
    """

    member: str
    offset: int | None = None
    size: int | None = None
    within: int | None = None


NOWHERE = Place("")
"""The place of what has none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: a sentence with exact figures, the bytes it is about, what to do, and the place
    where there is one.

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

    ``reason`` says in a line why, ``example`` is a message as the rule gives it. What it may say to do is
    ``advice`` in words, or ``remedies`` of the table. ``evidence`` is what it looks at, and ``worth`` the
    least bytes of a finding that it reports.
    """

    id: str
    severity: Severity
    reason: str
    find: Callable[[Subject], Iterator[Finding]]
    example: str = ""
    remedies: tuple[Remedy, ...] = ()
    advice: str = ""
    group: Group = Group.WASTEFUL
    evidence: tuple[Evidence, ...] = (Evidence.STRUCTURE,)
    worth: Threshold = ALWAYS

    @property
    def remedy(self) -> str:
        """What the rule says to do, for instance."""
        return self.advice or (example(self.remedies[0]).text if self.remedies else "")

    def run(self, subject: Subject) -> Iterator[Finding]:
        """Yield the findings that are worth reporting; none where evidence that the rule needs is missing."""
        if all(_is_there(each, subject) for each in self.evidence):
            yield from (
                found for found in self.find(subject) if self.worth.is_reached(found.bytes, subject.size)
            )


def _is_there(evidence: Evidence, subject: Subject) -> bool:
    match evidence:
        case Evidence.STRUCTURE:
            return True
        case Evidence.VALUES:
            return subject.measurements is not None
        case Evidence.FREE_BYTES:
            return subject.hidden is not None
        case Evidence.COMPARISON:
            return subject.comparison is not None
        case _:
            assert_never(evidence)
