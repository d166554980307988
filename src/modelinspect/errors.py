"""Every exception that modelinspect raises.

::

    ModelInspectError            the base of all
    ├── LocationError            nothing can be opened there
    ├── SourceChangedError       a file became shorter while it was read
    ├── FormatError              bytes that do not follow their specification
    │   ├── TruncatedError       a member that ends before what it declares
    │   ├── IncompleteError      a report that could cover only a part of the artifact
    │   ├── UnsupportedFeatureError   bytes that follow it in a way not read here
    │   └── LimitError           bytes that ask for more than `Limits` allows
    ├── UnknownFormatError       no format recognises the artifact
    ├── SelectionError           the artifact has no such member, byte or tensor
    ├── UsageError               the command line asks for something that is invalid
    ├── OutputError              the result cannot be written
    ├── MissingExtraError        an optional dependency is not installed
    └── InvariantError           a bug in modelinspect

Some are built-in errors as well, so code that does not know modelinspect catches them: `LocationError` is an
`OSError`, `UsageError` and `UnknownFormatError` are `ValueError`, `SelectionError` is a `LookupError`,
`MissingExtraError` an `ImportError`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Self


class ModelInspectError(Exception):
    """Says in one line what is wrong and what to do next.

    Names that come from a file cannot break the line: control characters are shown as escapes.
    """

    def __str__(self) -> str:
        return _one_line(super().__str__())


class LocationError(ModelInspectError, OSError):
    """Nothing can be opened at the location."""


class SourceChangedError(ModelInspectError):
    """A file became shorter while it was being read."""


class Code(StrEnum):
    """What kind of trouble an error or a diagnostic is about.

    Rules decide by it, never by the words of a message.
    """

    MALFORMED = "malformed"
    """The bytes do not follow the specification."""
    TRUNCATED = "truncated"
    """Bytes that were declared are not there."""
    INCOMPLETE = "incomplete"
    """A part of the artifact is missing, or was not looked at."""
    UNSUPPORTED = "unsupported"
    """A feature of the format that is not read here."""
    LIMIT = "limit"
    """More time or memory than `Limits` allows."""
    EXPANSION = "expansion"
    """A few stored bytes that decompress to far more: what bombs do."""
    CHECKSUM = "checksum"
    """A checksum does not match its bytes."""
    OUTSIDE = "outside"
    """A name or reference leads out of the artifact's folder."""
    LINK = "link"
    """A link, device or pipe, which is not followed."""
    AMBIGUOUS = "ambiguous"
    """Readers of the format may understand the same bytes differently."""
    TRAILING = "trailing"
    """Bytes after the end of what the format reads."""
    COLLISION = "collision"
    """Two structures claim the same bytes."""


class UnknownFormatError(ModelInspectError, ValueError):
    """No format recognises the artifact."""


class SelectionError(ModelInspectError, LookupError):
    """The artifact has no such member, byte or tensor."""


class UsageError(ModelInspectError, ValueError):
    """The command line asks for something that is invalid."""


class OutputError(ModelInspectError):
    """The result cannot be written where it should go."""


class MissingExtraError(ModelInspectError, ImportError):
    """A command needs an optional dependency that is not installed."""


class InvariantError(ModelInspectError):
    """Something that modelinspect promises does not hold: a mistake of ours."""


class FormatError(ModelInspectError):
    """The bytes of a member do not follow the format's specification.

    ``offset`` counts from the start of ``member``, in bytes; ``code`` says what kind of trouble it is.
    """

    kind: ClassVar[Code] = Code.MALFORMED

    def __init__(
        self, problem: str, member: str = "", offset: int | None = None, code: Code | None = None
    ) -> None:
        super().__init__(problem, member, offset, code)
        self.problem = problem
        self.member = member
        self.offset = offset
        self.code = code or self.kind

    def reworded(self, problem: str, member: str, offset: int | None) -> Self:
        """Return the same error in other words, at another place."""
        return type(self)(problem, member, offset, self.code)

    def __str__(self) -> str:
        where = self.member
        if self.offset is not None:
            place = f"byte {self.offset:,} ({self.offset:#x})"
            where = f"{where} at {place}" if where else place
        return _one_line(f"{where}: {self.problem}" if where else self.problem)


class TruncatedError(FormatError):
    """A member ends before what it declares: the rest is missing from the report."""

    kind = Code.TRUNCATED


class IncompleteError(FormatError):
    """A report could cover only what is there of an artifact."""

    kind = Code.INCOMPLETE


class UnsupportedFeatureError(FormatError):
    """The bytes use a feature of the format that is not read here."""

    kind = Code.UNSUPPORTED


class LimitError(FormatError):
    """The bytes ask for more time or memory than `Limits` allows."""

    kind = Code.LIMIT


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)
