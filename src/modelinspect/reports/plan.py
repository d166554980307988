"""How small an artifact could be: options with their sizes, how each size is known, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from modelinspect.reports.answer import Advisor, next_commands
from modelinspect.reports.base import Part, StructReport
from modelinspect.reports.blocks import Block, Column, Heading, Lines, Notes, Table, Unit
from modelinspect.reports.entries import ArtifactEntry, DiagnosticEntry
from modelinspect.reports.wording import plural

TENSORS_SHOWN = 12


class Group(StrEnum):
    """What kind of result an option gives."""

    SAME_FILE = "same-file"
    TRANSPORT = "transport"
    CONVERSION = "conversion"
    BOUND = "bound"


def group_of(option: str) -> Group:
    """Return the group of an option by its name; the last step of a combination decides."""
    last = option.rpartition("+")[2]
    if last in _TRANSPORT:
        return Group.TRANSPORT
    if last == "entropy-bound":
        return Group.BOUND
    is_converted = last.startswith(("tflite-", "keras-")) and last != "tflite-pack"
    return Group.CONVERSION if is_converted else Group.SAME_FILE


def is_tflite_form(option: str) -> bool:
    """Return whether an option is a TFLite file that the converter writes."""
    return option.startswith("tflite-") and group_of(option) is Group.CONVERSION


_UNCHANGED = frozenset(
    (
        "hdf5-repack",
        "hdf5-gzip",
        "zip-deflate",
        "hdf5-repack+hdf5-gzip",
        "alias-duplicates",
        "tflite-pack",
        "shrink-members",
        "merge-shards",
        "compact-json",
    )
)
"""Options that change neither an element nor a document."""
_TRANSPORT = frozenset(("gzip-9", "zstd-19", "brotli-11", "canonical-zeros"))


class OptionEntry(Part, frozen=True, kw_only=True):
    """A way to make the artifact smaller.

    ``basis`` is ``measured``, ``exact``, ``estimate`` (off by ``error``, a fraction, at most) or ``bound``.
    ``download_size`` is the size after gzip, null where it was not measured. ``group`` is ``same-file``
    (loads as before), ``transport`` (compressed for download), ``conversion`` or ``bound``. An option ``a+b``
    is the steps in that order. ``command`` is code of a shell or lines of Python, to be run in the artifact's
    folder.
    """

    option: str
    size: int
    delta: int
    basis: str
    error: float | None = None
    download_size: int | None = None
    lossless: bool
    group: str
    loads_as: str
    command: str
    notes: str


class TensorPlan(Part, frozen=True, kw_only=True):
    """A kernel that TFLite could store sparsely: from ``break_even`` zeros on, sparse is smaller than dense,
    for each width of its values.

    ``gzip_size`` is what its dense elements deflate to, ``floor`` what no encoding of the place of its zeros
    goes below.
    """

    tensor: str
    shape: tuple[int, ...]
    dense_size: int
    sparsity: float | None
    gzip_size: int | None
    floor: int | None
    break_even_float32: float | None
    break_even_float16: float | None
    break_even_int8: float | None


class PlanReport(StructReport, frozen=True, kw_only=True, tag="modelinspect.plan/1"):
    """The options that apply, the smallest first; ``notes`` are warnings, ``left_out`` says why an option is
    not there, ``late`` for how many of these the time did not suffice. ``tensorflow`` is the release whose
    converter the sizes of TFLite files are of, null where there are none.
    """

    artifact: ArtifactEntry
    measured: bool
    options: tuple[OptionEntry, ...]
    tensors: tuple[TensorPlan, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    late: int = 0
    tensorflow: str | None = None
    diagnostics: tuple[DiagnosticEntry, ...] = ()

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        yield Heading(self.artifact.location, self.artifact.size, (self.artifact.format,))
        if best := tuple(self._best()):
            yield Lines(best)
        if self.notes:
            yield Lines(self.notes)
        shown = self.options if top is None else self.options[:top]
        columns = (
            Column("option", "option"),
            Column("size", "bytes", Unit.BYTES),
            Column("share", "of now", Unit.SHARE, rank=1),
            Column("download", "gzipped", Unit.BYTES, rank=2),
            Column("group", "result", rank=4),
            Column("lossless", "lossless", rank=4),
            Column("loads", "loads in", rank=5),
            Column("basis", "basis", rank=3),
        )
        rows = [
            (
                entry.option,
                entry.size,
                self._share(entry),
                entry.download_size,
                entry.group,
                "yes" if entry.lossless else "no",
                entry.loads_as,
                basis_text(entry),
            )
            for entry in shown
        ]
        if rows:
            yield Table("How small it could be", columns, rows)
        if self.tensorflow is not None:
            yield Lines((f"TFLite files are those that TensorFlow {self.tensorflow} writes.",))
        advisor = Advisor(more=self._more if len(self.options) > 1 else None)
        notes = tuple(
            advisor.command(entry.basis, entry.option, _notes(entry), entry.command)
            for entry in shown
            if entry.command
        )
        if notes:
            yield Notes("How to get there", notes)
        if self.tensors:
            yield self._tensor_table()
        if self.left_out:
            yield Lines(self.left_out)

    def _more(self, option: str) -> str:
        """Return the command that prints the whole code of an option."""
        found = next_commands(self.artifact.location, (f"plan {{}} --only {option}", ""))
        return found.commands[0].line if found is not None else f"modelinspect plan - --only {option}"

    def table(self) -> Table:
        columns = (
            Column("option", "option"),
            Column("size", "size", Unit.BYTES),
            Column("delta", "delta", Unit.BYTES),
            Column("basis", "basis"),
            Column("error", "error", Unit.SHARE),
            Column("download_size", "download size", Unit.BYTES),
            Column("lossless", "lossless"),
            Column("group", "group"),
            Column("loads_as", "loads as"),
            Column("command", "command"),
            Column("notes", "notes"),
        )
        rows = [
            (
                entry.option,
                entry.size,
                entry.delta,
                entry.basis,
                entry.error,
                entry.download_size,
                "yes" if entry.lossless else "no",
                entry.group,
                entry.loads_as,
                entry.command,
                entry.notes,
            )
            for entry in self.options
        ]
        return Table("", columns, rows)

    def _best(self) -> Iterator[str]:
        """Say what is smallest of what loads as before: with everything in it, and without training state
        where that is less.
        """
        usable = [
            entry for entry in self.options if entry.group == Group.SAME_FILE and entry.basis == "measured"
        ]
        plain = [entry for entry in usable if entry.option in _UNCHANGED]
        if not plain and len(self.options) != 1:  # a single option was asked for by name
            yield (
                f"Not computed in the time for the plan: {plural(self.late, 'option')}."
                if self.late
                else "No option measured here makes it smaller without changing it."
            )
        for kind, found in (("with nothing changed", plain), ("without training state", usable)):
            best = min(found, key=lambda entry: (entry.size, entry.option), default=None)
            if best is None or (found is usable and plain and best in plain):
                continue
            share = self._share(best)
            part = "" if share is None else f" ({100 * share:.1f} % of now)"
            command = f": {best.command}" if "\n" not in best.command else "."
            yield (
                f"Smallest that loads as before, {kind}: {best.size:,} bytes{part} by {best.option}{command}"
            )

    def _share(self, entry: OptionEntry) -> float | None:
        return entry.size / self.artifact.size if self.artifact.size else None

    def _tensor_table(self) -> Table:
        columns = (
            Column("tensor", "kernel"),
            Column("dense", "bytes", Unit.BYTES, rank=1),
            Column("gzip", "deflated", Unit.BYTES, rank=2, quiet=True),
            Column("floor", "floor", Unit.BYTES, rank=3, quiet=True),
            Column("sparsity", "zeros", Unit.SHARE),
            Column("float32", "float32", Unit.SHARE, rank=1),
            Column("float16", "float16", Unit.SHARE, rank=2),
            Column("int8", "int8", Unit.SHARE, rank=1),
        )
        rows = [
            (
                entry.tensor,
                entry.dense_size,
                entry.gzip_size,
                entry.floor,
                entry.sparsity,
                entry.break_even_float32,
                entry.break_even_float16,
                entry.break_even_int8,
            )
            for entry in self.tensors[:TENSORS_SHOWN]
        ]
        return Table("Break-even sparsity: sparse TFLite is smaller from this share of zeros", columns, rows)


def basis_text(entry: OptionEntry) -> str:
    """Return how a size is known, with the error of an estimate."""
    return f"{entry.basis} ±{100 * entry.error:.1f} %" if entry.error is not None else entry.basis


def _notes(entry: OptionEntry) -> str:
    return f"{entry.notes}; loads {entry.loads_as}" if entry.notes else f"loads {entry.loads_as}"
