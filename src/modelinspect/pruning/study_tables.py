"""Turn a study's results into one tidy table and the Markdown tables that answer its questions."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from math import prod
from pathlib import Path

from modelinspect.errors import MissingExtraError
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.study_plan import Run
from modelinspect.reports.inspect import Categories
from modelinspect.reports.manifest import ArtifactRow, PruneReport

Value = str | int | float | None
Row = dict[str, Value]

CATEGORIES = Categories.__struct_fields__
COLUMNS = (
    "tensorflow",
    *("engine", "architecture", "schedule", "target", "pattern", "stage", "method", "outcome", "reason"),
    *("size", "gzip_size", "reached", "loss", "metric", "metric_name"),
    *CATEGORIES,
    *("diagnostic_count", "errors"),
)
"""The columns of the tidy table: one row for each artifact."""


def tidy(results: Sequence[tuple[Run, PruneReport]]) -> list[Row]:
    """Return one row for each artifact."""
    return [_row(run, report, artifact) for run, report in results for artifact in report.artifacts]


def write_csv(rows: Sequence[Row], place: Path, columns: Sequence[str] = COLUMNS) -> None:
    """Write the tidy table as CSV."""
    with place.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(rows: Sequence[Row], place: Path) -> None:
    """Write the tidy table as Parquet. Raises `MissingExtraError`."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as problem:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'modelinspect[parquet]'") from problem
    parquet.write_table(arrow.Table.from_pylist(list(rows)), place)


def markdown(rows: Sequence[Row], plots: Sequence[str] = ()) -> str:
    """Return the tables that answer the study's questions, and the plots by their paths."""
    every = [row for row in rows if row["outcome"] == "made"]
    made = [row for row in every if row["engine"] in (None, Engine.TFMOT)]
    parts = [
        "# Study\n",
        (
            f"{len(rows):,} cells, {len(every):,} made, {len(rows) - len(every):,} that a method could not"
            " make.\n"
        ),
        *(f"![{Path(plot).stem.replace('-', ' ')}]({plot})\n" for plot in plots),
        _sizes_by_sparsity(made, "size", "Bytes against sparsity"),
        _sizes_by_sparsity(made, "gzip_size", "Gzipped bytes against sparsity"),
        _stored(made),
        _small_and_large(made),
        _patterns(made),
        _schedules(made),
        _engines(every),
        _broken(made),
        _not_made(rows),
    ]
    return "\n".join(part for part in parts if part)


def _row(run: Run, report: PruneReport, artifact: ArtifactRow) -> Row:
    stage = next((stage for stage in report.stages if stage.stage == artifact.stage), None)
    pruned = [weight for weight in (stage.weights if stage else ()) if weight.target is not None]
    elements = sum(prod(weight.shape) for weight in pruned)
    row: Row = {
        "tensorflow": report.versions.get("tensorflow", ""),
        "engine": run.engine,
        "architecture": run.job.model,
        "schedule": run.schedule,
        "target": run.job.target,
        "pattern": run.pattern,
        "stage": artifact.stage,
        "method": artifact.method,
        "outcome": artifact.outcome,
        "reason": artifact.reason,
        "size": artifact.size,
        "gzip_size": artifact.gzip_size,
        "reached": sum(weight.zero_count for weight in pruned) / elements if elements else None,
        "loss": stage.loss if stage else None,
        "metric": stage.metric if stage else None,
        "metric_name": stage.metric_name if stage else None,
    }
    row |= {
        name: None if artifact.categories is None else getattr(artifact.categories, name)
        for name in CATEGORIES
    }
    return row | {"diagnostic_count": artifact.diagnostic_count, "errors": " ".join(artifact.errors)}


def _sizes_by_sparsity(rows: Sequence[Row], key: str, title: str) -> str:
    chosen = [
        row
        for row in rows
        if row["stage"] == "stripped" and row["pattern"] == "element" and row["schedule"] == "one-shot"
    ]
    chosen = [row for row in chosen if row[key] is not None]  # a .gz is not gzipped again
    parts = []
    for architecture in values(chosen, "architecture"):
        own = [row for row in chosen if row["architecture"] == architecture]
        parts.append(_pivot(f"{title}: {architecture}", own, "method", "target", key))
    return "\n".join(parts)


def _stored(rows: Sequence[Row]) -> str:
    chosen = [
        row for row in rows if row["schedule"] != "one-shot" and str(row["method"]).endswith(".gz") is False
    ]
    wide = [row for row in chosen if row["stage"] == "wrapped"]
    shown = [name for name in CATEGORIES if any(row[name] for row in wide)]
    if not wide:
        return ""
    lines = [[str(row["method"]), *(_number(row[name]) for name in shown)] for row in wide]
    return markdown_table(
        "What each method stores of a wrapped network",
        ["method", *(name.replace("_", "-") for name in shown)],
        lines,
    )


def _small_and_large(rows: Sequence[Row]) -> str:
    names = ("many-small-layers", "few-large-layers")
    found = {
        (row["target"], row["method"], row["architecture"]): row
        for row in rows
        if row["architecture"] in names and row["stage"] == "stripped" and row["pattern"] == "element"
    }
    lines = []
    for target, method in dict.fromkeys((target, method) for target, method, _ in found):
        small, large = (found.get((target, method, name)) for name in names)
        if small and large and isinstance(small["size"], int) and isinstance(large["size"], int):
            sizes = [_number(row[key]) for key in ("size", "gzip_size") for row in (small, large)]
            lines.append(
                [
                    str(method),
                    f"{target:.0%}",
                    *sizes[:2],
                    f"{small['size'] / large['size'] - 1:+.1%}",
                    *sizes[2:],
                ]
            )
    heads = ["method", "target", "small layers", "large layers", "difference", "small, gzip", "large, gzip"]
    return markdown_table("Many small layers against few large ones", heads, lines) if lines else ""


def _patterns(rows: Sequence[Row]) -> str:
    names = ("many-small-layers", "few-large-layers")
    chosen = [
        row
        for row in rows
        if row["architecture"] in names and row["stage"] == "stripped" and row["target"] == 0.5
    ]
    parts = []
    for architecture in names:
        own = [row for row in chosen if row["architecture"] == architecture]
        if own:
            parts.append(_pivot(f"Patterns at 50 %: {architecture}", own, "method", "pattern", "size"))
    return "\n".join(parts)


def _schedules(rows: Sequence[Row]) -> str:
    chosen = [
        row
        for row in rows
        if row["architecture"] == "mlp" and row["method"] == "keras-deflate" and row["stage"] == "stripped"
    ]
    lines = [
        [
            str(row["schedule"]),
            f"{float(row['target'] or 0):.0%}",
            f"{float(row['reached'] or 0):.1%}",
            _number(row["metric"]),
            _number(row["size"]),
        ]
        for row in chosen
        if row["pattern"] == "element"
    ]
    once = sorted({tuple(line) for line in lines})
    return (
        markdown_table(
            "Schedule against schedule (mlp)",
            ["schedule", "target", "reached", "metric", "deflated .keras"],
            once,
        )
        if once
        else ""
    )


def _engines(rows: Sequence[Row]) -> str:
    """Return the sizes of the same cell under each engine, where more than one made it: file / gzip -9."""
    after = [
        row
        for row in rows
        if row["stage"] in ("stripped", "pruned") and not str(row["method"]).endswith(".gz")
    ]
    engines = values(after, "engine")
    cells: dict[tuple[Value, ...], dict[Value, Row]] = {}
    for row in after:
        cell = tuple(row[name] for name in ("architecture", "schedule", "target", "pattern", "method"))
        cells.setdefault(cell, {})[row["engine"]] = row
    lines = []
    for (architecture, schedule, target, pattern, method), found in cells.items():
        if len(found) > 1:
            made = [found.get(engine) for engine in engines]
            sizes = [
                "" if one is None else f"{_number(one['size'])} / {_number(one['gzip_size'])}" for one in made
            ]
            lines.append([f"{architecture} {method}", f"{schedule}, {target:.0%}, {pattern}", *sizes])
    heads = ["artifact", "pruning", *(f"{engine}, file / gzip" for engine in engines)]
    return markdown_table("Engine against engine, bytes", heads, lines) if lines else ""


def _broken(rows: Sequence[Row]) -> str:
    lines = [
        [
            f"{row['architecture']} {row['stage']} {row['method']}",
            f"{row['target']:.0%}",
            _number(row["size"]),
            str(row["errors"]),
        ]
        for row in rows
        if row["errors"] and not str(row["method"]).endswith(".gz")
    ]
    once = [list(line) for line in sorted({tuple(line) for line in lines})]
    title = "Broken: smaller because weights were lost"
    return markdown_table(title, ["artifact", "target", "size", "rule"], once) if lines else ""


def _not_made(rows: Sequence[Row]) -> str:
    lines = sorted(
        {
            (str(row["architecture"]), f"{row['stage']} {row['method']}", str(row["reason"]))
            for row in rows
            if row["outcome"] == "failed"
        }
    )
    return (
        markdown_table("Not made", ["architecture", "artifact", "reason"], [list(line) for line in lines])
        if lines
        else ""
    )


def _pivot(title: str, rows: Sequence[Row], down: str, across: str, key: str) -> str:
    heads = values(rows, across)
    found = {
        (row[down], row[across]): _number(row[key]) + (" (broken)" if row["errors"] else "") for row in rows
    }
    name: Callable[[Value], str] = lambda value: f"{value:.0%}" if isinstance(value, float) else str(value)  # noqa: E731
    lines = [[str(first), *(found.get((first, head), "") for head in heads)] for first in values(rows, down)]
    return markdown_table(title, [down, *map(name, heads)], lines)


def values(rows: Iterable[Row], key: str) -> list[Value]:
    """Return the different values of a column, in the order of the rows."""
    return list(dict.fromkeys(row[key] for row in rows))


def markdown_table(title: str, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a heading and a Markdown table."""
    rule = ["---", *("---:" for _ in heads[1:])]
    body = [[cell.replace("|", "\\|") for cell in line] for line in (heads, rule, *lines)]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in body)


def _number(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if isinstance(value, float) else value
