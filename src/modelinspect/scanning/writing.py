"""Scan into a dataset of Parquet files: only what it does not hold in the same state already.

Every part is whole, and every artifact is in one of them, so a scan can be continued.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any

import numpy as np

from modelinspect.core.artifact import Severity
from modelinspect.core.limits import MIB, Limits
from modelinspect.errors import ModelInspectError, OutputError, UsageError
from modelinspect.reports.dataset import DatasetReport
from modelinspect.reports.scan import Failure
from modelinspect.scanning.engine import Engine, Progress, run
from modelinspect.scanning.looking import Questions, failed
from modelinspect.scanning.store import open_store
from modelinspect.scanning.tables import (
    ARTIFACTS,
    COLUMNS,
    Tables,
    look_into_tables,
    pyarrow,
    schema,
    tables_of,
    text,
)
from modelinspect.scanning.tasks import MOST, Search, Task, digest_of, state_of
from modelinspect.scanning.workers import Done
from modelinspect.version import VERSION


@dataclass(slots=True)
class _Counts:
    scanned: int = 0
    failed: int = 0
    unchanged: int = 0
    others: int = 0


def scan_into(
    location: str,
    search: Search,
    engine: Engine,
    questions: Questions,
    *,
    resume: bool = False,
    part_rows: int | None = None,
    progress: Progress | None = None,
) -> DatasetReport:
    """Inspect what a dataset does not hold, and write it there. Raises `ModelInspectError`."""
    asked = replace(questions, tensors=True, marks=True, options=options_of(questions))
    dataset = Dataset(location, resume=resume, part_rows=part_rows or _PART_ROWS)
    counts = _Counts()
    try:
        for found in run(
            engine, look_into_tables, asked, _changed(search, dataset, asked, counts), progress, MOST
        ):
            made = (
                found.result
                if isinstance(found, Done)
                else tables_of([failed(found.task, found.failure, found.problem)], asked)
            )
            dataset.add(made.tables)
            _count(made, counts)
    except BaseException:
        with suppress(ModelInspectError):
            dataset.flush()  # an interrupt costs nothing that was done
        raise
    dataset.flush()
    totals = dataset.totals()
    return DatasetReport(
        dataset=location,
        roots=tuple(search.roots),
        measured=questions.measure,
        artifacts=totals.artifacts,
        size=totals.size,
        parts=totals.parts,
        scanned=counts.scanned,
        failed=counts.failed,
        unchanged=counts.unchanged,
        skipped=search.skipped + counts.others,
        formats=dict(totals.formats),
        errors=dict(totals.errors),
        lint=None if questions.lint is None else {str(one): totals.severities[str(one)] for one in Severity},
        exceeded=None if questions.budget is None else totals.exceeded,
    )


def options_of(questions: Questions) -> str:
    """Return what changes the rows of an artifact, as JSON: another text means that it has to be inspected
    again.
    """
    limits = questions.limits or Limits()
    usual = Limits()
    named = {one.name: getattr(limits, one.name) for one in fields(Limits) if one.compare}
    asked = {
        "measure": questions.measure,
        "lint": (
            None
            if questions.lint is None
            else [*questions.lint.select, *(f"-{rule}" for rule in questions.lint.ignore)]
        ),
        "budget": questions.budget,
        "limits": {name: value for name, value in named.items() if value != getattr(usual, name)},
    }
    return json.dumps(
        {name: value for name, value in asked.items() if value not in (None, {})}, sort_keys=True, default=str
    )


def _changed(search: Search, dataset: Dataset, questions: Questions, counts: _Counts) -> Iterator[Task]:
    """Yield what the dataset does not hold in its present state; of what was not listed, a worker finds that
    out.
    """
    for task in search.tasks():
        state = dataset.state(task.location)
        if not state:
            yield task
        elif task.mark is None:
            yield replace(task, known=state)
        elif state_of(task.mark, questions.options) == state:
            counts.unchanged += 1
        else:
            yield task


def _count(made: Tables, counts: _Counts) -> None:
    counts.others += made.others
    counts.unchanged += made.unchanged
    artifacts = made.tables.get(ARTIFACTS)
    if artifacts is not None:
        counts.scanned += artifacts.num_rows
        counts.failed += artifacts.num_rows - artifacts.column("error").null_count


_PART_ROWS = 5_000
"""Artifacts in a part."""
_PART_SIZE = 64 * MIB
"""Bytes of tables in memory after which a part is written."""
_PART_SECONDS = 30.0
"""Seconds after which a part is written, however few artifacts are in it: what a killed scan has to do
again.
"""
_PART = re.compile(r"part-(?P<number>\d+)-(?P<run>[0-9a-f]+)(?:\.r(?P<revision>\d+))?\.parquet")
_SUFFIX = ".parquet"
_STATE_COLUMNS = 5
_PASSING = frozenset(
    (
        *(
            Failure.LOCATION,
            Failure.SYSTEM,
            Failure.CHANGED,
            Failure.MEMORY,
            Failure.TIMEOUT,
            Failure.KILLED,
            Failure.MISSING_EXTRA,
        ),
        Failure.BUG,
    )
)
"""Failures that are not about the bytes of an artifact: a scan that goes on tries it again."""


class Dataset:
    """The parts of a dataset: ``artifacts/part-*.parquet``, and parts of the same names for tensors, findings
    and checks.

    A part of the artifacts is written after those of the other tables, and counts from then on; parts of
    other tables without one are left from a scan that was killed, and are removed. Rows of an artifact that
    changed are removed by writing their part again as its next revision (``.r1``), before the part with the
    new row is written. One scan at a time may write into a dataset.

    Raises `UsageError` where the dataset exists and is not to be resumed, `OutputError`, `MissingExtraError`.
    """

    def __init__(self, location: str, *, resume: bool = False, part_rows: int = _PART_ROWS) -> None:
        pyarrow()
        self._store = open_store(location)
        self.location = location
        self._part_rows = part_rows
        self._run = os.urandom(4).hex()
        self._known_rows: list[tuple[int, int, int]] = []
        self._parts = self._whole_parts(resume=resume)
        self._number = 1 + max(
            (int(match["number"]) for name in self._parts if (match := _PART.fullmatch(name))), default=-1
        )
        self._known = _Known(self._known_rows)
        self._known_rows.clear()
        self._waiting: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._stale: dict[int, list[str]] = {}
        self._rows = self._size = 0
        self._began = time.monotonic()

    def state(self, location: str) -> int | None:
        """Return the state (`state_of`) of an artifact that is in the dataset, None where it is not."""
        found = self._known.find(location) if self._known else None
        return None if found is None else found[0]

    def add(self, tables: Mapping[str, Any]) -> None:
        """Take rows; they replace those of the same locations.

        Parts are written as they are full. Raises `OutputError`.
        """
        artifacts = tables.get(ARTIFACTS)
        if artifacts is None:
            return
        for location in artifacts.column("location").to_pylist() if self._known else ():
            found = self._known.find(location)
            if found is not None:
                self._stale.setdefault(found[1], []).append(location)
        for name, table in tables.items():
            self._waiting[name].append(table)
            self._size += table.nbytes
        self._rows += artifacts.num_rows
        if (
            self._rows >= self._part_rows
            or self._size >= _PART_SIZE
            or time.monotonic() - self._began >= _PART_SECONDS
        ):
            self.flush()

    def flush(self) -> None:
        """Write what was added as a part. Raises `OutputError`."""
        self._began = time.monotonic()
        for part, locations in self._stale.items():
            self._without(part, locations)
        self._stale.clear()
        if not self._waiting[ARTIFACTS]:
            return
        name = f"part-{self._number:06d}-{self._run}{_SUFFIX}"
        self._number += 1
        for folder, tables in self._waiting.items():
            if tables:
                self._write(folder, name, pyarrow().concat_tables(tables))
                tables.clear()
        self._rows = self._size = 0
        self._parts.append(name)

    def totals(self) -> _Totals:
        """Return what the dataset holds, all scans together. Raises `OutputError`."""
        totals = _Totals()
        for part in self._parts:
            table = self._read(ARTIFACTS, part, ["format", "size", "error", "passed"]) if part else None
            if table is None:
                continue
            totals.parts += 1
            totals.artifacts += table.num_rows
            totals.size += import_module("pyarrow.compute").sum(table.column("size")).as_py() or 0
            totals.formats.update(one for one in table.column("format").to_pylist() if one is not None)
            totals.errors.update(one for one in table.column("error").to_pylist() if one is not None)
            totals.exceeded += table.column("passed").to_pylist().count(False)
        for part in sorted(set(self._store.names("findings")).intersection(self._parts)):
            totals.severities.update(
                self._read("findings", part, ["severity"]).column("severity").to_pylist()
            )
        return totals

    def _whole_parts(self, *, resume: bool) -> list[str]:
        """Return the names of the parts that count, and remove what a killed scan left."""
        latest: dict[str, tuple[int, str]] = {}
        listed = self._store.names(ARTIFACTS)
        names = [name for name in listed if _PART.fullmatch(name)]
        if names and not resume:
            raise UsageError(f"{self.location}: holds a dataset already; --resume goes on with it")
        for name in names:
            match = _PART.fullmatch(name)
            if match is not None:
                revision = int(match["revision"] or 0)
                base = f"{match['number']}-{match['run']}"
                if base not in latest or latest[base][0] < revision:
                    latest[base] = (revision, name)
        whole: list[str] = []
        for _, name in sorted(latest.values(), key=lambda one: one[1]):
            if self._note_states(name, len(whole)):
                whole.append(name)
        for name in sorted(set(names) - set(whole)):
            self._store.remove(f"{ARTIFACTS}/{name}")
        for folder in COLUMNS:
            if folder != ARTIFACTS:
                for name in self._store.names(folder):
                    if _PART.fullmatch(name) and name not in whole:
                        self._store.remove(f"{folder}/{name}")
        return whole

    def _note_states(self, name: str, number: int) -> bool:
        """Note the artifacts of a part; return False where it cannot be read: a file system without renaming
        may have cut it short.
        """
        try:
            table = self._read(ARTIFACTS, name, ["location", "mark", "version", "options", "error"])
        except pyarrow().ArrowInvalid:
            return False
        if table.num_columns != _STATE_COLUMNS:
            raise OutputError(f"{self.location}/{ARTIFACTS}/{name}: is not a part of a scan")
        for location, mark, version, options, error in zip(
            *(column.to_pylist() for column in table.columns), strict=True
        ):
            is_final = mark and version == VERSION and error not in _PASSING
            self._known_rows.append((digest_of(location), state_of(mark, options) if is_final else 0, number))
        return True

    def _without(self, number: int, locations: list[str]) -> None:
        """Write a part again without the rows of some locations, or remove it where nothing is left."""
        part = self._parts[number]
        match = _PART.fullmatch(part)
        if match is None:
            return
        compute = import_module("pyarrow.compute")
        unwanted = pyarrow().array(locations, pyarrow().string())
        name = f"part-{match['number']}-{match['run']}.r{int(match['revision'] or 0) + 1}{_SUFFIX}"
        left = 0
        held = [folder for folder in COLUMNS if folder == ARTIFACTS or part in self._store.names(folder)]
        for folder in held:
            table = self._read(folder, part)
            table = table.filter(compute.invert(compute.is_in(table.column("location"), value_set=unwanted)))
            left = table.num_rows
            if left:
                self._write(folder, name, table)
        for folder in reversed(held):
            self._store.remove(f"{folder}/{part}")
        self._parts[number] = name if left else ""

    def _read(self, folder: str, name: str, columns: list[str] | None = None) -> Any:
        """Read a table in this thread: a thread of Arrow that still holds bytes of Python when the
        interpreter ends aborts the process.
        """
        source = pyarrow().BufferReader(self._store.read(f"{folder}/{name}"))
        return import_module("pyarrow.parquet").read_table(
            source, columns=columns, use_threads=False, pre_buffer=False
        )

    def _write(self, folder: str, name: str, table: Any) -> None:
        out = pyarrow().BufferOutputStream()
        import_module("pyarrow.parquet").write_table(table.cast(schema(folder)), out, compression="zstd")
        self._store.write(f"{folder}/{name}", out.getvalue().to_pybytes())


class _Totals:
    """What a dataset holds: parts, artifacts and their bytes; how many of each format and error; findings,
    and what exceeds its budget.
    """

    def __init__(self) -> None:
        self.parts = 0
        self.artifacts = 0
        self.size = 0
        self.formats: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.severities: Counter[str] = Counter()
        self.exceeded = 0


class _Known:
    """The artifacts of a dataset: 20 bytes each, 2 MB for a hundred thousand."""

    def __init__(self, rows: list[tuple[int, int, int]]) -> None:
        table = np.array(rows, dtype=[("key", "u8"), ("state", "u8"), ("part", "u4")])
        self._table = table[np.argsort(table["key"], kind="stable")]

    def __bool__(self) -> bool:
        return bool(len(self._table))

    def find(self, location: str) -> tuple[int, int] | None:
        """Return the state of a location and its part."""
        key = digest_of(text(location) or "")
        index = int(np.searchsorted(self._table["key"], np.uint64(key)))
        if index >= len(self._table) or int(self._table["key"][index]) != key:
            return None
        return int(self._table["state"][index]), int(self._table["part"][index])
