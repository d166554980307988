"""Reads what the article is about: the fixtures, through modelinspect itself, and the tables of three
studies.
"""

from __future__ import annotations

import csv
import gzip
import re
from functools import cache
from pathlib import Path

import modelinspect as mi
from modelinspect.reports.inspect import InspectReport

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "fixtures"

MLP = "pruned_mlp"
"""A network of two dense layers, pruned to 80 % by `modelinspect prune`, in every stage and saving method."""


@cache
def report(path: str) -> InspectReport:
    """Inspect a fixture."""
    return mi.inspect(FIXTURES / path)


def size(path: str) -> int:
    """Return the bytes of a fixture on disk."""
    return report(path).artifact.size


def categories(path: str) -> dict[str, int]:
    """Return the bytes of a fixture by category."""
    found: dict[str, int] = report(path).to_dict()["categories"]
    return found


def part(path: str, *names: str) -> int:
    """Return the bytes of some categories of a fixture."""
    return sum(categories(path)[name] for name in names)


def share(path: str, *names: str) -> float:
    """Return the share of some categories in a fixture."""
    return part(path, *names) / size(path)


def gzipped(path: str) -> int:
    """Return the bytes of a fixture, which is one file, under gzip -9."""
    return len(gzip.compress((FIXTURES / path).read_bytes(), 9, mtime=0))


def weights_stored(path: str) -> int:
    """Return the bytes of all tensors whose role is weight."""
    return sum(tensor.stored_size for tensor in report(path).tensors if tensor.role == "weight")


def lost_weights(path: str) -> int:
    """Return how many weights the converter dropped from a sparse fixture, as its finding says.

    Raises `LookupError` for none.
    """
    for finding in report(path).findings:
        if finding.rule == "sparse-weights-lost" and (
            told := re.search(r"dropped the ([\d,]+) elements", finding.message)
        ):
            return int(told[1].replace(",", ""))
    raise LookupError(f"{path}: no weights are lost")


@cache
def releases() -> list[dict[str, str]]:
    """Return the rows of the study under several TensorFlow releases."""
    with (HERE / "releases.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def release_names() -> list[str]:
    """Return the releases, oldest first."""
    return list(dict.fromkeys(row["release"] for row in releases()))


def under(
    release: str, architecture: str, method: str, *, stage: str = "stripped", column: str = "size"
) -> int:
    """Return a number of what a release saved. Raises `LookupError` where there is no such cell."""
    wanted = {"release": release, "architecture": architecture, "method": method, "stage": stage}
    for row in releases():
        if all(row[key] == value for key, value in wanted.items()):
            return int(row[column])
    raise LookupError(f"no release study has {wanted}")


@cache
def engines() -> list[dict[str, str]]:
    """Return the rows of the study of both engines."""
    with (HERE / "engines.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def by_engine(engine: str, architecture: str, method: str, *, column: str = "size") -> float:
    """Return a number of what an engine saved of a pruned network.

    Raises `LookupError` where there is no such cell.
    """
    wanted = {"engine": engine, "architecture": architecture, "method": method, "outcome": "made"}
    for row in engines():
        if row["stage"] in ("stripped", "pruned") and all(row[key] == value for key, value in wanted.items()):
            return float(row[column])
    raise LookupError(f"no study of engines has {wanted}")


@cache
def networks() -> list[dict[str, str]]:
    """Return the rows of the full-size networks, which benchmarks/accuracy/article_networks.py measured."""
    with (HERE / "networks.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def full(network: str, keras: int, stage: str, method: str, *, column: str = "size") -> int:
    """Return a number of what a full-size network takes. Raises `LookupError` where it was not measured."""
    wanted = {"network": network, "keras": str(keras), "stage": stage, "method": method, "outcome": "made"}
    for row in networks():
        if all(row[key] == value for key, value in wanted.items()) and row[column]:
            return int(row[column])
    raise LookupError(f"no full-size network has {column} of {wanted}")


def has(network: str, keras: int, stage: str, method: str, column: str = "size") -> bool:
    """Return whether a full-size network was measured so."""
    try:
        full(network, keras, stage, method, column=column)
    except LookupError:
        return False
    return True


def full_parameters(network: str) -> int:
    """Return the parameters of a full-size network."""
    return next(int(row["parameters"]) for row in networks() if row["network"] == network)


@cache
def study() -> list[dict[str, str]]:
    """Return the rows of the study's table."""
    with (HERE / "study.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def cell(
    architecture: str,
    method: str,
    target: float,
    *,
    schedule: str = "one-shot",
    pattern: str = "element",
    stage: str = "stripped",
    column: str = "size",
) -> int:
    """Return a number of the one cell of the study that fits.

    Raises `LookupError` where there is none or more than one.
    """
    wanted = {
        "architecture": architecture,
        "method": method,
        "schedule": schedule,
        "pattern": pattern,
        "stage": stage,
    }
    rows = [
        row
        for row in study()
        if float(row["target"]) == target and all(row[key] == value for key, value in wanted.items())
    ]
    found = {int(row[column]) for row in rows}
    if len(found) != 1:
        raise LookupError(f"the study has {len(rows)} cells for {wanted} at {target}")
    return found.pop()
