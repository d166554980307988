"""Turn outcomes into Arrow tables: artifacts, and their tensors, findings and checks, which lead back by
location.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import accumulate
from typing import Any, NamedTuple

from modelinspect.errors import MissingExtraError
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.check import CheckEntry
from modelinspect.reports.entries import TensorEntry
from modelinspect.reports.lint import LintFinding
from modelinspect.reports.scan import ScanRow, figures
from modelinspect.scanning.looking import Begin, Outcome, Questions, Verdict, look
from modelinspect.scanning.tasks import Task
from modelinspect.version import VERSION

_LARGEST = 2**63 - 1
_Cells = tuple[object, ...]

_ARTIFACTS: tuple[tuple[str, str], ...] = (
    ("location", "string"),
    ("format", "string"),
    ("size", "int64"),
    ("members", "int64"),
    ("tensors", "int64"),
    ("parameters", "int64"),
    ("zero_parameters", "int64"),
    *((str(category), "int64") for category in CATEGORIES),
    ("findings", "strings"),
    ("diagnostics", "int64"),
    ("problem", "string"),
    ("error", "string"),
    ("passed", "bool_"),
    ("mark", "string"),
    ("version", "string"),
    ("options", "string"),
)
_TENSORS: tuple[tuple[str, str], ...] = (
    ("location", "string"),
    ("name", "string"),
    ("path", "string"),
    ("layer", "string"),
    ("role", "string"),
    ("dtype", "string"),
    ("bits", "int64"),
    ("shape", "numbers"),
    ("storage", "string"),
    ("stored_size", "int64"),
    ("logical_size", "int64"),
    ("element_count", "int64"),
    ("zero_count", "int64"),
    ("negative_zero_count", "int64"),
)
_FINDINGS: tuple[tuple[str, str], ...] = (
    ("location", "string"),
    ("rule", "string"),
    ("severity", "string"),
    ("message", "string"),
    ("bytes", "int64"),
    ("member", "string"),
    ("offset", "int64"),
    ("size", "int64"),
    ("remedy", "string"),
)
_CHECKS: tuple[tuple[str, str], ...] = (
    ("location", "string"),
    ("check", "string"),
    ("subject", "string"),
    ("unit", "string"),
    ("actual", "float64"),
    ("limit", "float64"),
    ("ok", "bool_"),
    ("message", "string"),
)
ARTIFACTS = "artifacts"
COLUMNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "tensors": _TENSORS,
    "findings": _FINDINGS,
    "checks": _CHECKS,
    ARTIFACTS: _ARTIFACTS,
}
"""The columns of each table; a part counts when its artifacts are written, so they are the last."""


class Tables(NamedTuple):
    """Tables by name, and how many tasks of the batch were not models, or unchanged."""

    tables: Mapping[str, Any]
    others: int
    unchanged: int


def look_into_tables(tasks: Sequence[Task], begin: Begin, questions: Questions) -> Tables:
    """Inspect a batch, in this process or another, and return its tables."""
    return tables_of(look(tasks, begin, questions), questions)


def tables_of(outcomes: Sequence[Outcome], questions: Questions) -> Tables:
    """Return the tables of outcomes. Raises `MissingExtraError`."""
    rows: dict[str, list[_Cells]] = {name: [] for name in COLUMNS}
    for outcome in outcomes:
        row = outcome.row
        if row is None:
            continue
        rows[ARTIFACTS].append(_artifact(row, outcome.mark, questions.options))
        rows["tensors"] += [_tensor(row.location, entry) for entry in outcome.tensors]
        rows["findings"] += [_finding(row.location, found) for found in row.lint or ()]
        rows["checks"] += [_check(row.location, check) for check in row.checks or ()]
    verdicts = [outcome.verdict for outcome in outcomes]
    tables = {name: _table(name, cells) for name, cells in rows.items() if cells}
    return Tables(tables, verdicts.count(Verdict.OTHER), verdicts.count(Verdict.UNCHANGED))


def one_table(outcomes: Sequence[Outcome], questions: Questions) -> Any:
    """Return one row for each outcome; what belongs to several rows of other tables is in columns of lists.

    Raises `MissingExtraError`.
    """
    arrow = pyarrow()
    rows = [outcome.row for outcome in outcomes if outcome.row is not None]
    cells = [
        _artifact(outcome.row, outcome.mark, questions.options)
        for outcome in outcomes
        if outcome.row is not None
    ]
    table = _table(ARTIFACTS, cells)
    if questions.tensors:
        lists = [
            [_tensor(outcome.row.location, entry) for entry in outcome.tensors]
            for outcome in outcomes
            if outcome.row is not None
        ]
        table = table.append_column("tensors_found", _lists(arrow, "tensors", lists))
    if questions.lint is not None:
        table = table.append_column(
            "lint_found",
            _lists(
                arrow, "findings", [[_finding(row.location, one) for one in row.lint or ()] for row in rows]
            ),
        )
    return table


def _lists(arrow: Any, name: str, lists: Sequence[Sequence[_Cells]]) -> Any:
    """Return a column of lists of rows, without their location."""
    flat = _table(name, [cells for inner in lists for cells in inner]).drop_columns(["location"])
    offsets = [0, *accumulate(len(inner) for inner in lists)]
    values = arrow.StructArray.from_arrays(
        [column.combine_chunks() for column in flat.columns], fields=list(flat.schema)
    )
    return arrow.ListArray.from_arrays(arrow.array(offsets, arrow.int32()), values)


def schema(name: str) -> Any:
    """Return the Arrow schema of a table. Raises `MissingExtraError`."""
    arrow = pyarrow()
    return arrow.schema([(column, _type(arrow, kind)) for column, kind in COLUMNS[name]])


def pyarrow() -> Any:
    """Return the package pyarrow. Raises `MissingExtraError`."""
    try:
        return import_module("pyarrow")
    except ImportError as problem:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'modelinspect[parquet]'") from problem


def text(value: str | None) -> str | None:
    """Return text that is Unicode: bytes of a file name that are not are shown as escapes."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()


def _table(name: str, rows: Sequence[_Cells]) -> Any:
    arrow = pyarrow()
    made = schema(name)
    columns = zip(*rows, strict=True) if rows else ([] for _ in made)
    arrays = [
        arrow.array(list(map(_CELLS.get(kind, _same), cells)), field.type)
        for cells, field, (_, kind) in zip(columns, made, COLUMNS[name], strict=True)
    ]
    return arrow.Table.from_arrays(arrays, schema=made)


def _type(arrow: Any, kind: str) -> Any:
    match kind:
        case "strings":
            return arrow.list_(arrow.string())
        case "numbers":
            return arrow.list_(arrow.int64())
        case _:
            return getattr(arrow, kind)()


def _number(value: Any) -> int | None:
    """Return a number, None where a hostile file asks for one that takes more than 64 bits."""
    return value if value is None or abs(value) <= _LARGEST else None


def _numbers(values: Iterable[int]) -> list[int | None]:
    return [_number(value) for value in values]


def _texts(values: Iterable[str]) -> list[str | None]:
    return [text(value) for value in values]


def _same(value: Any) -> Any:
    return value


_CELLS: Mapping[str, Callable[[Any], Any]] = {
    "string": text,
    "int64": _number,
    "strings": _texts,
    "numbers": _numbers,
}


def _artifact(row: ScanRow, mark: str, options: str) -> _Cells:
    return (
        *figures(row),
        row.findings,
        row.diagnostics,
        row.problem,
        row.error,
        row.passed,
        mark,
        VERSION,
        options,
    )


def _tensor(location: str, entry: TensorEntry) -> _Cells:
    return (
        location,
        entry.name,
        entry.path,
        entry.layer,
        entry.role,
        entry.dtype,
        entry.bits,
        entry.shape,
        entry.storage,
        entry.stored_size,
        entry.logical_size,
        entry.element_count,
        entry.zero_count,
        entry.negative_zero_count,
    )


def _finding(location: str, found: LintFinding) -> _Cells:
    return (
        location,
        found.rule,
        found.severity,
        found.message,
        found.bytes,
        found.member,
        found.offset,
        found.size,
        found.remedy,
    )


def _check(location: str, check: CheckEntry) -> _Cells:
    return (
        location,
        check.check,
        check.subject,
        check.unit,
        check.actual,
        check.limit,
        check.ok,
        check.message,
    )
