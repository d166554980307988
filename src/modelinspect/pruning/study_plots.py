"""Draw a study's table: size against sparsity, what methods store, small layers against large, schedule
against schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelinspect.pruning.charts import Bar, Line, bar_chart, line_chart
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.study_tables import CATEGORIES, Row, values

SHOWN = (
    *("h5-no-optimizer", "keras-deflate", "hdf5-gzip", "tflite-float32", "tflite-float32-sparse"),
    *("tflite-dynamic-int8", "tflite-dynamic-int8-sparse"),
)
"""The methods whose lines are drawn: one of each way to store zeros."""
SMALL_AND_LARGE = ("many-small-layers", "few-large-layers")


def plots(rows: Sequence[Row]) -> dict[str, str]:
    """Return the SVG text of each plot that the rows allow, by its file name."""
    made = [row for row in rows if row["outcome"] == "made" and row["engine"] in (None, Engine.TFMOT)]
    return dict([*_by_sparsity(made), *_stored(made), *_small_and_large(made), *_schedules(made)])


def _by_sparsity(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    chosen = [
        row
        for row in rows
        if (row["stage"], row["pattern"], row["schedule"]) == ("stripped", "element", "one-shot")
        and row["method"] in SHOWN
        and not row["errors"]
    ]
    for architecture in values(chosen, "architecture"):
        own = [row for row in chosen if row["architecture"] == architecture]
        if len(values(own, "target")) < 3:
            continue
        for key, word in (("size", "bytes"), ("gzip_size", "bytes under gzip -9")):
            lines = [_line(own, method, "method", "target", key) for method in SHOWN]
            title = f"Size against sparsity: {architecture}, {word}"
            yield (
                f"{key.replace('_', '-')}-by-sparsity-{architecture}.svg",
                line_chart(title, "sparsity", word, [line for line in lines if line.points]),
            )


def _stored(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for stage in ("original", "wrapped", "stripped"):
        chosen = _one_of_each_method(rows, stage)
        if chosen:
            bars = [
                Bar(str(row["method"]), {name.replace("_", "-"): _whole(row[name]) for name in CATEGORIES})
                for row in chosen
            ]
            yield (
                f"stored-{stage}.svg",
                bar_chart(f"What each method stores of the {stage} {chosen[0]['architecture']}, bytes", bars),
            )


def _one_of_each_method(rows: Sequence[Row], stage: str) -> list[Row]:
    """Return the rows of the runs that saved wrapped networks too, the first for each method."""
    runs = {_run(row) for row in rows if row["stage"] == "wrapped"}
    found: dict[object, Row] = {}
    for row in rows:
        if row["stage"] == stage and _run(row) in runs and not str(row["method"]).endswith(".gz"):
            found.setdefault(row["method"], row)
    return list(found.values())


def _run(row: Row) -> tuple[object, ...]:
    return row["architecture"], row["schedule"], row["target"], row["pattern"]


def _small_and_large(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    chosen = [
        row
        for row in rows
        if row["architecture"] in SMALL_AND_LARGE
        and row["stage"] == "stripped"
        and row["pattern"] == "element"
    ]
    for target in values(chosen, "target"):
        own = [row for row in chosen if row["target"] == target]
        bars = []
        for method in values(own, "method"):
            pair = {row["architecture"]: row for row in own if row["method"] == method}
            if len(pair) == 2:
                for name in SMALL_AND_LARGE:
                    parts = {part.replace("_", "-"): _whole(pair[name][part]) for part in CATEGORIES}
                    bars.append(Bar(f"{method}, {name.split('-')[1]}", parts))
        if bars:
            share = f"{100 * float(target or 0):g}"
            yield (
                f"small-and-large-{share}.svg",
                bar_chart(f"Many small layers against few large ones at {share} %, bytes", bars),
            )


def _schedules(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    chosen = [
        row
        for row in rows
        if row["stage"] == "stripped" and row["pattern"] == "element" and row["method"] == "keras-deflate"
    ]
    for architecture in values(chosen, "architecture"):
        own = [row for row in chosen if row["architecture"] == architecture]
        names = values(own, "schedule")
        if len(names) < 2:
            continue
        for key, word in (
            ("loss", "loss on the samples held back"),
            ("size", "bytes of the deflated .keras"),
        ):
            # a network pruned in one shot was never trained: its loss is that of chance
            lines = [
                _line(own, str(name), "schedule", "target", key)
                for name in names
                if (key, name) != ("loss", "one-shot")
            ]
            title = f"Schedule against schedule: {architecture}, {word}"
            drawn = [line for line in lines if len(line.points) > 1]
            if drawn:
                yield (
                    f"schedules-{key}-{architecture}.svg",
                    line_chart(title, "sparsity", word, drawn, from_zero=key == "size"),
                )


def _line(rows: Sequence[Row], name: str, by: str, across: str, up: str) -> Line:
    points = {
        float(row[across] or 0): float(value)
        for row in rows
        if row[by] == name and isinstance(value := row[up], int | float)
    }
    return Line(name, tuple(sorted(points.items())))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
