"""The plots of a study: what they draw, that they are whole SVG, and the same bytes for the same table."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from modelinspect.pruning.charts import Bar, Line, bar_chart, line_chart
from modelinspect.pruning.study_plots import plots
from modelinspect.pruning.study_tables import CATEGORIES, COLUMNS, Row, markdown

SVG = "{http://www.w3.org/2000/svg}"


def row(**values: object) -> Row:
    made: Row = dict.fromkeys(COLUMNS)
    made |= dict.fromkeys(CATEGORIES, 0)
    made |= {
        "stage": "stripped",
        "schedule": "one-shot",
        "pattern": "element",
        "outcome": "made",
        "errors": "",
        "method": "keras-deflate",
    }
    return made | values  # type: ignore[return-value]


def study_rows() -> list[Row]:
    rows = [
        row(
            architecture="cnn",
            target=target,
            method=method,
            size=size,
            gzip_size=size // 2,
            dense_weights=size,
        )
        for method, sizes in {
            "keras-deflate": (900, 500, 100),
            "tflite-dynamic-int8-sparse": (200, 400, 100),
        }.items()
        for target, size in zip((0.0, 0.35, 0.95), sizes, strict=True)
    ]
    for stage in ("original", "wrapped", "stripped"):
        rows.append(
            row(
                architecture="mlp",
                target=0.8,
                schedule="gentle",
                stage=stage,
                method="h5",
                size=30,
                dense_weights=20,
                graph=10,
            )
        )
    for name, size in (("many-small-layers", 335), ("few-large-layers", 282)):
        rows.append(
            row(architecture=name, target=0.5, method="h5-no-optimizer", size=size, dense_weights=size)
        )
    for schedule, losses in {"sudden": (1.0, 2.0), "linear": (1.5, 1.25)}.items():
        for target, loss in zip((0.5, 0.8), losses, strict=True):
            rows.append(row(architecture="mlp", target=target, schedule=schedule, size=100, loss=loss))
    return rows


def test_a_study_is_drawn_by_sparsity_by_stage_by_layers_and_by_schedule() -> None:
    drawn = plots(study_rows())
    assert sorted(drawn) == [
        "gzip-size-by-sparsity-cnn.svg",
        "schedules-loss-mlp.svg",
        "schedules-size-mlp.svg",
        "size-by-sparsity-cnn.svg",
        "small-and-large-50.svg",
        "stored-original.svg",
        "stored-stripped.svg",
        "stored-wrapped.svg",
    ]
    for text in drawn.values():
        assert ElementTree.fromstring(text).tag == f"{SVG}svg"
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert plots(study_rows()) == drawn


def test_a_cell_that_lost_weights_is_not_drawn_and_is_marked_in_the_tables() -> None:
    rows = study_rows()
    rows[4] = rows[4] | {"errors": "sparse-weights-lost"}
    title = "tflite-dynamic-int8-sparse: 400 at 0.35"
    assert title in plots(study_rows())["size-by-sparsity-cnn.svg"]
    assert title not in plots(rows)["size-by-sparsity-cnn.svg"]
    text = markdown(rows, ["plots/size-by-sparsity-cnn.svg"])
    assert "| tflite-dynamic-int8-sparse | 200 | 400 (broken) | 100 |" in text
    assert "| cnn stripped tflite-dynamic-int8-sparse | 35% | 400 | sparse-weights-lost |" in text
    assert "![size by sparsity cnn](plots/size-by-sparsity-cnn.svg)" in text
    assert "| h5-no-optimizer | 50% | 335 | 282 | +18.8% |" in text


def test_points_stand_in_proportion_to_their_values() -> None:
    text = line_chart("t", "x", "y", [Line("a", ((0.0, 0.0), (0.5, 50.0), (1.0, 100.0)))])
    places = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert x0 < x1 < x2
    assert y0 > y1 > y2


def test_bars_are_as_long_as_their_parts_and_name_their_sum() -> None:
    text = bar_chart("t", [Bar("one & two", {"graph": 100, "free": 300}), Bar("half", {"free": 200})])
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="16"', text)]
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.3)
    assert widths[2] == pytest.approx(2 * widths[0], abs=0.3)
    assert "one &amp; two" in text
    assert ">400<" in text


@pytest.mark.parametrize("values", [(0.0, 0.0), (5.0, 5.0), (2.3, 2.31), (1e-3, 2e-3), (0.0, 123_456_789.0)])
def test_any_values_can_be_drawn(values: tuple[float, float]) -> None:
    for zero in (True, False):
        ElementTree.fromstring(
            line_chart("t", "x", "y", [Line("a", ((0.5, values[0]), (0.8, values[1])))], from_zero=zero)
        )
    ElementTree.fromstring(line_chart("t", "x", "y", [Line("a", ((0.5, values[0]),))]))
    ElementTree.fromstring(bar_chart("t", [Bar("nothing", {})]))
