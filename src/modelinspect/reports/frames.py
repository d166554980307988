"""Turn the table of a report into an Arrow table or a pandas data frame."""

from __future__ import annotations

from typing import Any

from modelinspect.errors import MissingExtraError
from modelinspect.reports.blocks import Cell, Table, Unit

_LARGEST = 2**63 - 1
_FRAME_TYPES = {"text": "string", "float": "Float64", "int": "Int64"}


def arrow_table(table: Table) -> Any:
    """Return a `pyarrow.Table`: texts, 64-bit integers and fractions, null where a value is unknown.

    An integer that does not fit into 64 bits makes its column text. Raises `MissingExtraError` where pyarrow
    is not installed.
    """
    try:
        import pyarrow
    except ImportError as problem:
        raise MissingExtraError("to_arrow() needs pyarrow: pip install 'modelinspect[parquet]'") from problem
    rows = list(table.rows)
    arrays = [
        _array(pyarrow, column.unit, [row[index] for row in rows])
        for index, column in enumerate(table.columns)
    ]
    return pyarrow.Table.from_arrays(arrays, names=[column.key for column in table.columns])


def data_frame(table: Table) -> Any:
    """Return a `pandas.DataFrame` with nullable types.

    Raises `MissingExtraError` where pandas is not installed.
    """
    try:
        import pandas
    except ImportError as problem:
        raise MissingExtraError("to_pandas() needs pandas: pip install 'modelinspect[pandas]'") from problem
    rows = list(table.rows)
    columns = {}
    for index, column in enumerate(table.columns):
        cells = [row[index] for row in rows]
        kind = _kind(column.unit, cells)
        columns[column.key] = pandas.array(
            _texts(cells) if kind == "text" else cells, dtype=_FRAME_TYPES[kind]
        )
    return pandas.DataFrame(columns, columns=[column.key for column in table.columns])


def _array(pyarrow: Any, unit: Unit, cells: list[Cell]) -> Any:
    match _kind(unit, cells):
        case "text":
            return pyarrow.array(_texts(cells), pyarrow.string())
        case "float":
            return pyarrow.array(cells, pyarrow.float64())
        case _:
            return pyarrow.array(cells, pyarrow.int64())


def _texts(cells: list[Cell]) -> list[str | None]:
    """Return cells as text that is Unicode: broken surrogates are shown as escapes."""
    return [
        None if cell is None else str(cell).encode("utf-8", "backslashreplace").decode() for cell in cells
    ]


def _kind(unit: Unit, cells: list[Cell]) -> str:
    """Return what the cells of a column are: text, float or int; what its unit says, unless a cell does not
    fit it.
    """
    if unit is Unit.TEXT or any(
        isinstance(cell, str) or (isinstance(cell, int) and abs(cell) > _LARGEST) for cell in cells
    ):
        return "text"
    return "float" if unit is Unit.SHARE or any(isinstance(cell, float) for cell in cells) else "int"
