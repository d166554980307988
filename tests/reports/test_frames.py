"""Every report gives its table to Arrow and pandas, and names the extra that is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

import modelinspect
from modelinspect.core.artifact import Artifact
from modelinspect.reports.blocks import Column, Table, Unit
from modelinspect.reports.frames import arrow_table, data_frame
from tests.support.fixtures import fixture_path

PATH = fixture_path("mlp/stripped.h5")
REPORTS: dict[str, Callable[[], Any]] = {
    "inspect": lambda: modelinspect.inspect(PATH),
    "tensors": lambda: modelinspect.tensors(PATH),
    "diff": lambda: modelinspect.diff(fixture_path("mlp/original.h5"), PATH),
    "explain": lambda: modelinspect.explain(PATH, compressors=False),
    "plan": lambda: modelinspect.plan(PATH, only=["gzip-9"]),
    "lint": lambda: modelinspect.lint(PATH),
    "check": lambda: modelinspect.check(PATH, {"size": 1}),
    "scan": lambda: modelinspect.scan([str(PATH)]),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_a_table_of_its_rows(name: str) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    report = REPORTS[name]()
    rows, keys = list(report.table().rows), [column.key for column in report.table().columns]
    arrow, frame = report.to_arrow(), report.to_pandas()
    assert arrow.column_names == list(frame.columns) == keys
    assert arrow.num_rows == len(frame) == len(rows)
    for index, key in enumerate(keys):
        told = [row[index] for row in rows]
        assert arrow.column(key).to_pylist() == told
        assert [
            None if value is None or value != value else value
            for value in frame[key].astype(object).where(frame[key].notna(), None)
        ] == told


def test_the_stored_bytes_of_a_model_can_be_summed_by_role() -> None:
    pytest.importorskip("pandas")
    frame = modelinspect.tensors(fixture_path("mlp/wrapped.h5")).to_pandas()
    assert frame.groupby("role")["stored_size"].sum().to_dict() == {
        "optimizer": 21_592,
        "weight": 10_792,
        "pruning": 10_264,
    }


@pytest.mark.parametrize(
    ("method", "package", "extra"), [("to_arrow", "pyarrow", "parquet"), ("to_pandas", "pandas", "pandas")]
)
def test_a_missing_package_is_named_with_its_extra(method: str, package: str, extra: str) -> None:
    report = modelinspect.tensors(PATH)
    with (
        mock.patch.dict("sys.modules", {package: None}),
        pytest.raises(ImportError, match=rf"modelinspect\[{extra}\]") as raised,
    ):
        getattr(report, method)()
    assert isinstance(raised.value, modelinspect.MissingExtraError)


def test_numbers_beyond_64_bits_are_text() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    table = Table("", (Column("n", "n", Unit.COUNT), Column("t", "t")), [(2**70, "a\ud800"), (None, None)])
    assert arrow_table(table).to_pylist() == [{"n": str(2**70), "t": "a\\ud800"}, {"n": None, "t": None}]
    assert data_frame(table)["n"][0] == str(2**70)


def test_opening_gives_an_artifact() -> None:
    assert isinstance(modelinspect.open(PATH), Artifact)
