"""Which limits of a budget an artifact keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Heading, Lines, Note, Notes, Table, Unit
from modelinspect.reports.entries import ArtifactEntry
from modelinspect.reports.wording import plural, short_size


class CheckEntry(Part, frozen=True, kw_only=True):
    """One limit: what it is about, what is there, and what may be; floors of ``sparsity`` and ``efficiency``
    are the least that must be.

    ``check`` is ``size``, ``compressed``, ``category``, ``layer``, ``sparsity``, ``efficiency`` or
    ``growth``; ``subject`` the compressor, category or pattern. ``actual`` is null where nothing was there to
    check, which is a failure. ``remedy`` says what to do where the limit is exceeded.
    """

    check: str
    subject: str
    unit: str
    actual: int | float | None
    limit: int | float
    ok: bool
    message: str
    remedy: str = ""


class LockEntry(Part, frozen=True, kw_only=True):
    """What a lock of this artifact holds."""

    size: int
    categories: Mapping[str, int]
    compressed: Mapping[str, int]


class CheckReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.check/1"):
    """Every limit of a budget, in the budget's order; ``passed`` is whether all are kept."""

    artifact: ArtifactEntry
    budget: str
    passed: bool
    checks: tuple[CheckEntry, ...]
    lock: LockEntry

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        yield Heading(
            self.artifact.location, self.artifact.size, (self.artifact.format, f"against {self.budget}")
        )
        columns = (
            Column("check", "check"),
            Column("subject", "of", rank=1),
            Column("actual", "is"),
            Column("limit", "limit"),
            Column("room", "room", rank=2),
            Column("verdict", "verdict"),
        )
        if self.checks:
            yield Table("Limits", columns, [_row(entry) for entry in self.checks])
        failed = [entry for entry in self.checks if not entry.ok]
        if failed:
            yield Notes(
                "Exceeded",
                tuple(Note("error", _name(entry), entry.message, entry.remedy) for entry in failed),
            )
        yield Lines(
            (
                (
                    f"{plural(len(failed), 'limit')} of {len(self.checks)} exceeded."
                    if failed
                    else f"{_kept(len(self.checks))} kept."
                ),
            )
        )

    def table(self) -> Table:
        columns = (
            Column("check", "check"),
            Column("subject", "subject"),
            Column("unit", "unit"),
            Column("actual", "actual", Unit.BYTES),
            Column("limit", "limit", Unit.BYTES),
            Column("ok", "ok"),
            Column("message", "message"),
        )
        rows: list[tuple[Cell, ...]] = [
            (
                entry.check,
                entry.subject,
                entry.unit,
                entry.actual,
                entry.limit,
                str(entry.ok).lower(),
                entry.message,
            )
            for entry in self.checks
        ]
        return Table("", columns, rows)


def _kept(count: int) -> str:
    return "The one limit is" if count == 1 else f"All {count} limits are"


def _name(entry: CheckEntry) -> str:
    return f"{entry.check} {entry.subject}".strip()


def _row(entry: CheckEntry) -> tuple[Cell, ...]:
    return (
        entry.check,
        entry.subject,
        _number(entry.actual, entry),
        _number(entry.limit, entry),
        _room(entry),
        "ok" if entry.ok else "exceeded",
    )


def _room(entry: CheckEntry) -> str:
    """Return how far a number is from its limit, in the unit that suits it."""
    if entry.actual is None:
        return "-"
    if entry.unit == "share":
        return (
            f"{abs(entry.actual - entry.limit) * 100:.1f}\N{NO-BREAK SPACE}points"
            f" {'left' if entry.ok else 'short'}"
        )
    return f"{short_size(abs(int(entry.limit - entry.actual)))} {'left' if entry.ok else 'over'}"


def _number(value: float | None, entry: CheckEntry) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.1%}"
        if entry.unit == "share"
        else f"{value:+,}"
        if entry.check == "growth"
        else f"{value:,}"
    )
