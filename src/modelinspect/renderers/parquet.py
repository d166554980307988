"""Write a report's table as Parquet: typed columns that pandas and DuckDB open."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, assert_never

from modelinspect.errors import MissingExtraError, OutputError
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report
from modelinspect.reports.blocks import Cell, Table, Unit

_ROW_GROUP = 65_536
_LARGEST = 2**63 - 1


def render(report: Report, out: BinaryIO, look: Look) -> None:
    """Write the table, complete, a group of rows at a time. Raises `MissingExtraError`, `OutputError`."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as problem:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'modelinspect[parquet]'") from problem
    table = report.table()
    schema = pyarrow.schema(
        [(column.key, getattr(pyarrow, _type(column.unit))()) for column in table.columns]
    )
    with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for columns in _groups(table):
            arrays = [pyarrow.array(cells, field.type) for cells, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _type(unit: Unit) -> str:
    """Return the Arrow type of a column."""
    match unit:
        case Unit.TEXT:
            return "string"
        case Unit.BYTES | Unit.COUNT | Unit.OFFSET | Unit.CHANGE:
            return "int64"
        case Unit.SHARE:
            return "float64"
        case _:
            assert_never(unit)


def _groups(table: Table) -> Iterator[list[list[Any]]]:
    """Yield the columns of a group of rows after another."""
    rows = iter(table.rows)
    while group := list(islice(rows, _ROW_GROUP)):
        yield [[_value(cell) for cell in column] for column in zip(*group, strict=True)]


def _value(cell: Cell) -> Cell:
    match cell:
        case str():
            return cell.encode("utf-8", "backslashreplace").decode()
        case int() if abs(cell) > _LARGEST:
            raise OutputError(
                f"{cell:,} does not fit into the 64 bits of a Parquet number; --format csv writes it"
            )
        case _:
            return cell
