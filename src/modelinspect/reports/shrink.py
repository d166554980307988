"""What a shrink did to a model file, and the proof that nothing in it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Cell, Column, Heading, Lines, Table, Unit
from modelinspect.reports.wording import plural


class Outcome(StrEnum):
    """What became of a model."""

    SMALLER = "smaller"
    """A smaller one was made and proved, and written where that was asked for."""
    UNCHANGED = "unchanged"
    """Nothing could be saved."""
    REFUSED = "refused"
    """It is not written again, or what was written was not proved."""
    FAILED = "failed"
    """It could not be read."""


class ShrinkFile(Part, frozen=True, kw_only=True):
    """A file of the model, with the SHA-256 of its bytes."""

    name: str
    size: int
    sha256: str


class ShrinkSide(Part, frozen=True, kw_only=True):
    """The model before or after."""

    location: str
    format: str
    size: int
    files: tuple[ShrinkFile, ...]


class ShrinkStep(Part, frozen=True, kw_only=True):
    """A step: ``saved`` are the bytes that it took off, and the steps sum to the difference.

    ``level`` is ``lossless`` or what was dropped.
    """

    step: str
    level: str
    saved: int
    note: str = ""


class ShrinkProof(Part, frozen=True, kw_only=True):
    """What was compared, once the result was read again.

    ``equal`` of the ``tensors`` of the input have the same name, type, shape and elements (SHA-256) in the
    result; ``unread`` of these hold strings or objects, which only the independent reader compared;
    ``dropped`` went on request. ``documents`` are configurations and graphs, byte by byte. ``readers`` are
    the independent readers, with the number of things that each found equal. ``loads_in`` are the programs
    whose rules the result keeps.
    """

    tensors: int
    equal: int
    unread: int = 0
    dropped: int = 0
    documents: int
    documents_equal: int
    documents_changed: int = 0
    readers: Mapping[str, int]
    loads_in: tuple[str, ...]


class ShrinkEntry(Part, frozen=True, kw_only=True):
    """One of several models; ``outcome`` is also ``failed`` where one could not be read, and ``error`` says
    why.
    """

    outcome: str
    before: ShrinkSide | None
    after: ShrinkSide | None
    written: str | None
    steps: tuple[ShrinkStep, ...]
    proof: ShrinkProof | None
    certificate: str | None
    reason: str
    error: str = ""
    notes: tuple[str, ...] = ()


class ShrinkReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.shrink/1"):
    """What became of one model: ``after``, ``proof`` and ``certificate`` are null where it stays as it is,
    and ``reason`` says why.

    ``outcome`` is ``smaller``, ``unchanged`` (nothing could be saved) or ``refused`` (not written again, or
    not proved). ``written`` is where the result is, null where nothing was written (``--check``,
    ``--dry-run``).
    """

    outcome: str
    before: ShrinkSide
    after: ShrinkSide | None
    written: str | None
    steps: tuple[ShrinkStep, ...]
    proof: ShrinkProof | None
    certificate: str | None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def saved(self) -> int:
        """The bytes that the result has less."""
        return 0 if self.after is None else self.before.size - self.after.size

    def entry(self) -> ShrinkEntry:
        """Return the report as a row of a report on several models."""
        return ShrinkEntry(
            outcome=self.outcome,
            before=self.before,
            after=self.after,
            written=self.written,
            steps=self.steps,
            proof=self.proof,
            certificate=self.certificate,
            reason=self.reason,
            notes=self.notes,
        )

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        yield Heading(self.before.location, self.before.size, (self.before.format,))
        if self.after is None or self.proof is None:
            yield Lines((f"Not written again: {self.reason}.", *_sentences(self.notes)))
            return
        share = self.after.size / self.before.size
        verb = "is" if self.written is not None else "would take"
        place = f"{self.written} {verb}" if self.written is not None else f"It {verb}"
        yield Lines(
            (
                f"{place} {self.after.size:,} bytes, {100 * share:.1f} % of before. {told_proof(self.proof)}",
                *_sentences(self.notes),
            )
        )
        columns = (
            Column("step", "step"),
            Column("level", "level", rank=1),
            Column("saved", "saved", Unit.BYTES),
            Column("note", "what was done", rank=2),
        )
        yield Table("Steps", columns, [(step.step, step.level, step.saved, step.note) for step in self.steps])
        if self.certificate is not None:
            yield Lines((f"Certificate: {self.certificate}",))

    def table(self) -> Table:
        return _table([self.entry()])


class ShrinkAllReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.shrink-all/1"):
    """What became of several models, in the order in which they were named."""

    results: tuple[ShrinkEntry, ...]

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        table = _table(list(self.results))
        shown = tuple(column for column in table.columns if column.key != "certificate")
        keep = [index for index, column in enumerate(table.columns) if column.key != "certificate"]
        yield Table("Models", shown, [tuple(row[index] for index in keep) for row in table.rows])
        smaller = [entry for entry in self.results if entry.after is not None]
        saved = sum(
            entry.before.size - entry.after.size
            for entry in smaller
            if entry.before is not None and entry.after is not None
        )
        yield Lines(
            (f"{len(smaller):,} of {plural(len(self.results), 'model')} smaller, by {saved:,} bytes.",)
        )

    def table(self) -> Table:
        return _table(list(self.results))


def told_proof(proof: ShrinkProof) -> str:
    """Return the proof as a sentence."""
    kept = [f"{proof.equal:,} of {plural(proof.tensors - proof.dropped, 'tensor')}"]
    if unchanged := proof.documents - proof.documents_changed:
        kept.append(f"{proof.documents_equal:,} of {plural(unchanged, 'document')}")
    parts = [f"{' and '.join(kept)} are equal bit by bit"]
    if proof.dropped:
        parts.append(f"{plural(proof.dropped, 'tensor')} dropped on request")
    if proof.documents_changed:
        parts.append(f"{plural(proof.documents_changed, 'document')} changed")
    readers = ", ".join(sorted(proof.readers))
    return f"{'; '.join(parts)} (read again by modelinspect{f' and {readers}' if readers else ''})."


def _sentences(notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{note[:1].upper()}{note[1:]}." for note in notes)


def _table(entries: list[ShrinkEntry]) -> Table:
    columns = (
        Column("location", "model"),
        Column("format", "format", rank=2),
        Column("before", "before", Unit.BYTES),
        Column("after", "after", Unit.BYTES),
        Column("share", "of before", Unit.SHARE, rank=1),
        Column("equal", "equal tensors", Unit.COUNT, rank=3),
        Column("certificate", "certificate", rank=5),
        Column("outcome", "outcome", machine_only=True),
        Column("reason", "not written because", rank=4),
    )
    rows: list[tuple[Cell, ...]] = []
    for entry in entries:
        before, after = entry.before, entry.after
        rows.append(
            (
                before.location if before is not None else "",
                before.format if before is not None else "",
                before.size if before is not None else None,
                after.size if after is not None else None,
                (
                    after.size / before.size
                    if before is not None and after is not None and before.size
                    else None
                ),
                entry.proof.equal if entry.proof is not None else None,
                entry.certificate,
                entry.outcome,
                entry.error or entry.reason,
            )
        )
    return Table("", columns, rows)
