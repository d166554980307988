"""Inspects many artifacts on any executor, into one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import PurePosixPath

from modelinspect import api
from modelinspect.core.limits import Limits
from modelinspect.errors import InvariantError, ModelInspectError
from modelinspect.reports.scan import ScanReport, ScanRow
from modelinspect.sources.opening import open_location

Progress = Callable[[int, int], None]
"""Is told how many artifacts are done, and how many there are."""

_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
_SUFFIXES = (".h5", ".hdf5", ".keras", ".tflite", ".lite", ".pb", ".pbtxt", ".meta", ".task", ".ckpt", ".weights.json")
_WRAPPINGS = (".gz", ".zip", ".tar", ".tgz")


def scan(
    roots: Sequence[str],
    executor: Executor | None = None,
    *,
    measure: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> ScanReport:
    """Inspect every artifact below the roots: files, folders, remote locations.

    What cannot be inspected is a row with its problem; the rest goes on. Raises `ModelInspectError` for a root that
    cannot be opened.
    """
    locations: list[str] = []
    skipped = 0
    for root in roots:
        found, others = find_artifacts(root, limits)
        locations += found
        skipped += others
    locations = list(dict.fromkeys(locations))
    look = partial(_look, measure=measure, limits=limits)
    answers: Iterable[ScanRow] = map(look, locations) if executor is None else executor.map(look, locations)
    rows: list[ScanRow] = []
    for row in answers:
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(locations))
    return ScanReport(roots=tuple(roots), measured=measure, size=sum(row.size or 0 for row in rows), artifacts=tuple(rows), skipped=skipped)


def find_artifacts(root: str, limits: Limits | None = None) -> tuple[list[str], int]:
    """Return the artifacts below a root and how many other files there are. A file is taken as it is."""
    with open_location(root, limits) as files:
        if files.primary is not None:
            return [root], 0
        found, skipped = group(files.names())
    base = root.rstrip("/") or "/"
    return [base if name == "." else f"{base.rstrip('/')}/{name}" for name in found], skipped


def group(names: Iterable[str]) -> tuple[list[str], int]:
    """Return which of the names of a folder's files are artifacts ("." is the folder itself), and how many others there are.

    A folder with a SavedModel is one artifact with all that is in it, a checkpoint's index one with its shards, a
    TensorFlow.js ``model.json`` one with its weights.
    """
    paths = [PurePosixPath(name) for name in names]
    folders = {path.parent for path in paths if path.name in _SAVED_MODEL}
    folders = {folder for folder in folders if not any(parent in folders for parent in folder.parents)}
    found = {str(folder) for folder in folders}
    loose = [path for path in paths if not folders.intersection((*path.parents,))]
    stems = {str(path)[: -len(".index")] for path in loose if path.suffix == ".index"}
    models = {path.parent for path in loose if path.name == "model.json"}
    skipped = 0
    for path in loose:
        text = str(path)
        shard_of, separator, _ = text.rpartition(".data-")
        if text.endswith(".index") or path.name == "model.json" or _is_artifact(path):
            found.add(text)
        elif (separator and shard_of in stems) or (path.suffix in (".bin", "") and path.parent in models) or path.name == "checkpoint":
            continue
        else:
            skipped += 1
    return sorted(found), skipped


def _is_artifact(path: PurePosixPath) -> bool:
    name = path.name.lower()
    for wrapping in _WRAPPINGS:
        if name.endswith(wrapping):
            return True
    return name.endswith(_SUFFIXES)


def _look(location: str, *, measure: bool, limits: Limits | None) -> ScanRow:
    """Inspect one artifact, in this process or another."""
    try:
        report = api.inspect(location, measure=measure, limits=limits)
    except InvariantError:
        raise
    except (ModelInspectError, OSError) as error:
        return ScanRow(location=location, problem=str(error))
    model = [entry for entry in report.tensors if entry.role in ("weight", "statistic")]
    zeros = [entry.zero_count for entry in model]
    return ScanRow(
        location=location,
        format=report.artifact.format,
        size=report.artifact.size,
        members=len(report.artifact.members),
        tensors=len(report.tensors),
        parameters=sum(entry.element_count for entry in model),
        zero_parameters=sum(count or 0 for count in zeros) if any(count is not None for count in zeros) else None,
        categories=report.categories,
        findings=tuple(sorted({entry.rule for entry in report.findings})),
        diagnostics=report.diagnostic_count,
    )
