"""Why an artifact has its size, or why two sizes differ: causes that sum to the difference, and findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelinspect.reports.answer import STANDARD_INPUT, Advisor, finding_command, next_commands
from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import (
    Block,
    Cell,
    Column,
    Heading,
    Lines,
    Note,
    Notes,
    Step,
    Steps,
    Table,
    Unit,
)
from modelinspect.reports.diff import DAMAGE_SHOWN, SideEntry, signed
from modelinspect.reports.entries import DiagnosticEntry, FindingEntry
from modelinspect.reports.pictures import Comparison, Picture
from modelinspect.reports.plan import OptionEntry
from modelinspect.reports.wording import plural

EVIDENCE_SHOWN = 3
PRUNED_SHOWN = 8


class Evidence(Part, frozen=True, kw_only=True):
    """Where a cause shows: a tensor or, where ``tensor`` is null, a structure; ``bytes`` is its part of the
    difference.
    """

    tensor: str | None
    place: str
    bytes: int


class CauseEntry(Part, frozen=True, kw_only=True):
    """A cause and its part of the difference; ``evidence`` are the largest places, ``evidence_count`` counts
    all.

    ``remedy`` is a line of words; lines after it are code to run. It is empty where nothing is to be done.
    """

    cause: str
    delta: int
    message: str
    evidence: tuple[Evidence, ...]
    evidence_count: int
    remedy: str


class PrunedKernel(Part, frozen=True, kw_only=True):
    """A kernel and whether pruning was applied to it.

    ``verdict`` is yes, no, short (of the target), lost (the mask has more zeros) or not begun (the mask has
    none). ``pattern`` is what the zeros keep to, outputs by inputs as TFLite lays them; ``dead_outputs`` and
    ``dead_inputs`` are slices of zeros only, and all. ``zero_points`` are the elements that stand for zero
    where integers do, each once.

    ``removable`` are the bytes that go with the dead slices that the network can do without: of this layer,
    and of all others that make, scale or read those channels, as ``removable_elsewhere`` has them by layer.
    ``removable_outputs`` are the outputs that go, counted from 0, also those that nobody reads;
    ``removable_notes`` say under which condition, and which dead slices stay and why.
    """

    tensor: str
    layer: str | None
    elements: int
    zeros: int
    negative_zeros: int
    target: float | None
    mask_zeros: int | None
    verdict: str
    pattern: str
    dead_outputs: tuple[int, int]
    dead_inputs: tuple[int, int]
    removable: int
    zero_points: tuple[int, ...] = ()
    removable_elsewhere: Mapping[str, int] = {}
    removable_outputs: tuple[int, ...] = ()
    removable_notes: tuple[str, ...] = ()


class Compressed(Part, frozen=True, kw_only=True):
    """What a compressor, run for real, makes of both sides; ``before`` is null where there is none.

    ``zeros`` are the bytes of the zeros that kernels of ``after`` store one by one, and ``zeros_compressed``
    what they take then: the compressed kernels, less what is not zero of them, compressed by itself. Null
    where there are few, or they were not read.
    """

    compressor: str
    before: int | None
    after: int
    zeros: int | None
    zeros_compressed: int | None


class ExplainReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.explain/1"):
    """Why the size is as it is: ``causes`` sum to ``delta``, which is after less before.

    ``before`` is null where a single artifact is explained; its size is then the difference from nothing.
    ``summary`` is the answer in a few sentences; ``compressed`` is null where nothing was compressed, and
    ``options`` are those of the plan that store zeros in less.
    """

    before: SideEntry | None
    after: SideEntry
    measured: bool
    delta: int
    categories: Mapping[str, int]
    causes: tuple[CauseEntry, ...]
    findings: tuple[FindingEntry, ...]
    notes: tuple[str, ...] = ()
    diagnostics: tuple[DiagnosticEntry, ...] = ()
    pruning: tuple[PrunedKernel, ...] = ()
    summary: tuple[str, ...] = ()
    compressed: Compressed | None = None
    options: tuple[OptionEntry, ...] = ()

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        advisor = Advisor(more=self._more)
        yield self._heading()
        if self.diagnostics:
            yield Notes(
                "Damaged",
                tuple(
                    Note(entry.severity, entry.member, entry.problem)
                    for entry in self.diagnostics[:DAMAGE_SHOWN]
                ),
            )
        for sentence in self.summary:
            yield Lines((sentence,))
        if self.notes:
            yield Lines(self.notes)
        if self.causes:
            steps = tuple(Step(self._label(entry), entry.delta) for entry in self.causes)
            start = 0 if self.before is None else self.before.size
            title = "What its size is made of" if self.before is None else "From before to after"
            yield Steps(title, steps, start, self.after.size)
            shown = self.causes if top is None else self.causes[:top]
            size = _counted if self.before is None else signed
            yield Notes(
                "Why",
                tuple(
                    advisor.note(size(entry.delta), entry.cause, _message(entry, size), entry.remedy)
                    for entry in shown
                ),
                len(self.causes) - len(shown),
            )
        if self.findings:
            findings = self.findings if top is None else self.findings[:top]
            notes = tuple(
                advisor.note(entry.severity, entry.rule, entry.message, entry.remedy) for entry in findings
            )
            yield Notes("Findings", notes, len(self.findings) - len(findings))
        if self.pruning:
            yield self._pruning_table(PRUNED_SHOWN if top is None else top)
            channels = [entry for entry in self.pruning if entry.removable_elsewhere or entry.removable_notes]
            if channels:
                shown_ones = channels[: PRUNED_SHOWN if top is None else top]
                yield Notes(
                    "Dead channels", tuple(map(_channel_note, shown_ones)), len(channels) - len(shown_ones)
                )
        following = next_commands(self.after.location, ("plan {}", "how small it gets"))
        if following is not None:
            yield following

    def _more(self, label: str) -> str:
        """Return the command that prints the code of a finding or cause; only findings of a single artifact
        have their own code.
        """
        is_own = self.before is None and any(entry.rule == label for entry in self.findings)
        return finding_command(label, self.after.location if is_own else STANDARD_INPUT)

    def _label(self, entry: CauseEntry) -> str:
        """Return a cause's name; of a single artifact, nothing has changed its structure: those bytes are its
        weights.
        """
        return "weights" if self.before is None and entry.cause == "structure-change" else entry.cause

    def _pruning_table(self, top: int) -> Table:
        shown, rest = self.pruning[:top], self.pruning[top:]
        targets = any(entry.target is not None for entry in self.pruning)
        columns = (
            Column("tensor", "kernel"),
            Column("zeros", "zero", Unit.SHARE),
            *((Column("target", "target", Unit.SHARE),) if targets else ()),
            Column("mask", "mask", Unit.SHARE, rank=4),
            Column("verdict", "applied"),
            Column("pattern", "pattern", rank=1),
            Column("dead", "dead outputs", rank=2, quiet=True),
            Column("dead_inputs", "dead inputs", rank=6, quiet=True),
            Column("removable", "removable", Unit.BYTES, rank=5, quiet=True),
            Column("negative_zeros", "-0.0", Unit.COUNT, rank=3, quiet=True),
            Column("zero_points", "zero is", rank=3, quiet=True),
        )
        last: tuple[Cell, ...] | None = None
        if rest:
            share = sum(entry.zeros for entry in rest) / max(sum(entry.elements for entry in rest), 1)
            negative = sum(entry.negative_zeros for entry in rest) or None
            removable = sum(entry.removable for entry in rest) or None
            last = (
                f"{len(rest):,} more",
                share,
                *((None,) if targets else ()),
                *(None,) * 5,
                removable,
                negative,
                None,
            )
        return Table(
            "Was pruning applied?", columns, [_kernel_row(entry, targets=targets) for entry in shown], last
        )

    def table(self) -> Table:
        """Return all causes, which sum to the difference, then the findings, then the kernels."""
        columns = (
            Column("kind", "kind"),
            Column("name", "name"),
            Column("bytes", "bytes", Unit.BYTES),
            Column("message", "message"),
            Column("remedy", "remedy"),
            Column("elements", "elements", Unit.COUNT),
            Column("zeros", "zeros", Unit.COUNT),
            Column("negative_zeros", "negative zeros", Unit.COUNT),
            Column("mask_zeros", "mask zeros", Unit.COUNT),
            Column("target", "target", Unit.SHARE),
            Column("pattern", "pattern"),
            Column("dead_outputs", "dead outputs", Unit.COUNT),
            Column("outputs", "outputs", Unit.COUNT),
            Column("dead_inputs", "dead inputs", Unit.COUNT),
            Column("inputs", "inputs", Unit.COUNT),
        )
        none = (None,) * 10
        rows: list[tuple[Cell, ...]] = [
            ("cause", entry.cause, entry.delta, entry.message, entry.remedy, *none) for entry in self.causes
        ]
        rows += [
            ("finding", entry.rule, entry.bytes, entry.message, entry.remedy, *none)
            for entry in self.findings
        ]
        rows += [
            (
                *("kernel", entry.tensor, entry.removable, entry.verdict, ""),
                *(
                    entry.elements,
                    entry.zeros,
                    entry.negative_zeros,
                    entry.mask_zeros,
                    entry.target,
                    entry.pattern,
                ),
                *(*entry.dead_outputs, *entry.dead_inputs),
            )
            for entry in self.pruning
        ]
        return Table("", columns, rows)

    def _heading(self) -> Heading:
        if self.before is None:
            return Heading(self.after.location, self.after.size, (self.after.format,))
        return Heading(
            f"{self.before.location} → {self.after.location}",
            self.after.size,
            (
                (
                    self.after.format
                    if self.before.format == self.after.format
                    else f"{self.before.format} → {self.after.format}"
                ),
                f"{self.before.size:,} → {self.after.size:,} bytes",
                f"{signed(self.delta)} bytes" if self.delta else "same size",
            ),
        )


class DrawnExplainReport(ExplainReport, frozen=True, kw_only=True, tag="modelinspect.explain/1"):
    """An `ExplainReport` with a picture of both artifacts; it is in no JSON."""

    drawn: Comparison

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, without the picture."""
        return ExplainReport(
            **{name: getattr(self, name) for name in ExplainReport.__struct_fields__}
        ).to_dict()

    def pictures(self) -> Iterator[Picture]:
        """Yield the two trees."""
        yield self.drawn


def with_comparison(report: ExplainReport, drawn: Comparison) -> DrawnExplainReport:
    """Return the report with a picture of both artifacts."""
    return DrawnExplainReport(
        **{name: getattr(report, name) for name in ExplainReport.__struct_fields__}, drawn=drawn
    )


def _counted(size: int) -> str:
    return f"{size:,}"


def _message(entry: CauseEntry, size: Callable[[int], str]) -> str:
    places = [f"{evidence.place} ({size(evidence.bytes)})" for evidence in entry.evidence[:EVIDENCE_SHOWN]]
    rest = entry.evidence_count - len(places)
    if not places:
        return entry.message
    more = f" and {rest:,} more" if rest else ""
    return f"{entry.message}. Where: {', '.join(places)}{more}"


def _kernel_row(entry: PrunedKernel, *, targets: bool) -> tuple[Cell, ...]:
    points = [point for point in entry.zero_points if point]
    return (
        entry.tensor,
        entry.zeros / max(entry.elements, 1),
        *((entry.target,) if targets else ()),
        None if entry.mask_zeros is None else entry.mask_zeros / max(entry.elements, 1),
        entry.verdict,
        entry.pattern,
        _of(entry.dead_outputs),
        _of(entry.dead_inputs),
        entry.removable or None,
        entry.negative_zeros or None,
        (
            None
            if not points
            else (
                f"{points[0]}"
                if len(entry.zero_points) == 1
                else f"{min(entry.zero_points)} to {max(entry.zero_points)}"
            )
        ),
    )


def _channel_note(entry: PrunedKernel) -> Note:
    """Describe where the removable bytes of a kernel's dead channels are, and why other channels stay."""
    own = entry.removable - sum(entry.removable_elsewhere.values())
    others = sorted(entry.removable_elsewhere.items(), key=lambda item: (-item[1], item[0]))
    places = [
        f"{plural(own, 'byte')} of this layer",
        *(f"{size:,} of {layer}" for layer, size in others[:EVIDENCE_SHOWN]),
    ]
    rest = [size for _, size in others[EVIDENCE_SHOWN:]]
    places += [f"{sum(rest):,} of {len(rest):,} more"] if rest else []
    text = [", ".join(places)] if entry.removable_elsewhere else []
    return Note(_counted(entry.removable), entry.tensor, "; ".join((*text, *entry.removable_notes)))


def _of(slices: tuple[int, int]) -> str | None:
    return f"{slices[0]:,} of {slices[1]:,}" if slices[0] else None
