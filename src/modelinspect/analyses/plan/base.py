"""What an option is and what computing one may look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from modelinspect.conversion.releases import NEWEST, Release
from modelinspect.core.artifact import FormatName
from modelinspect.core.records import dataclass, field
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.networks.subject import Subject

Progress = Callable[[int, int], None]

MOST_ERROR = 0.02
"""The largest stated error, as a fraction of the size, with which an estimate is given."""

LATE = "the time for the plan was over; --no-limit computes everything"


class Basis(StrEnum):
    """How a size is known."""

    MEASURED = "measured"
    EXACT = "exact"
    ESTIMATE = "estimate"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Option:
    """A way to make an artifact smaller; ``error`` is what an estimate is off by at most, as a fraction."""

    option: str
    size: int
    basis: Basis
    lossless: bool
    loads_as: str
    command: str
    notes: str = ""
    error: float | None = None
    download_size: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for whoever reads the plan: a warning about what an option does."""

    text: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An option, or several, that are not in the plan, and why."""

    options: tuple[str, ...]
    reason: str
    is_late: bool = False
    """Whether the time for the plan was over before they were computed."""

    @property
    def text(self) -> str:
        """Both in a line."""
        return f"{', '.join(self.options)}: {self.reason}"


Outcome = Option | Note | LeftOut
"""What a family of options yields."""


@dataclass
class Planning:
    """A subject whose files are open, and what is asked of its plan.

    ``wanted`` are the names of the options to compute, empty for all; ``reached`` is the smallest size of the
    rows before; ``downloads`` asks what forms are once they are gzipped; ``prefixes`` has what the bytes
    before an offset of a large file deflate to.
    """

    subject: Subject
    progress: Progress | None = None
    wanted: frozenset[str] = frozenset()
    reached: int | None = None
    downloads: bool = True
    release: Release = NEWEST
    """The TensorFlow release whose converter is predicted."""
    prefixes: dict[int, int] = field(default_factory=dict)
    found: Callable[[Option], None] = lambda option: None
    """Receives each option as soon as its size is known."""
    deadline: float | None = None
    """When the plan should be done, on the monotonic clock; what is not computed by then is left out, and the
    plan says so.
    """

    @property
    def is_late(self) -> bool:
        """Whether the time for the plan is over."""
        return self.deadline is not None and time.monotonic() > self.deadline

    def require_time(self) -> None:
        """Raise `UnmeasurableError` when the time for the plan is over."""
        if self.is_late:
            raise UnmeasurableError(LATE)

    def in_time(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield blocks while there is time. Raises `UnmeasurableError` when it is over."""
        for block in blocks:
            self.require_time()
            yield block

    def in_time_progress(self) -> Progress:
        """Return a meter that passes on what it is given while there is time.

        It raises `UnmeasurableError` when it is over.
        """

        def meter(done: int, total: int) -> None:
            self.require_time()
            if self.progress is not None:
                self.progress(done, total)

        return meter

    def wants(self, *options: str) -> bool:
        """Return whether any of these options is asked for."""
        return not self.wanted or any(option in self.wanted for option in options)


@dataclass(frozen=True, slots=True)
class Family:
    """Options that are computed together; ``reads_weights`` means that they cannot be computed from only the
    structure.
    """

    options: tuple[str, ...]
    find: Callable[[Planning], Iterator[Outcome]]
    reads_weights: bool = True
    formats: frozenset[FormatName] = frozenset(FormatName)
