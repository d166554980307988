"""Recognize the structures of a TFLite model that exist for its operators: tables of operators and of
intermediate tensors.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.networks.subject import Subject

_INDEXED = re.compile(r"^(\w+)\[(\d+)\]$")
_NAMED = 3


class OperatorStructures:
    """The structures of one TFLite model that exist for operators.

    Those are the tables, names and shapes of operators, of the tensors between them, of subgraphs, signatures
    and operator codes, and the tables of buffers without data. ``scales`` counts the quantization of
    intermediate tensors among them. Structures of tensors with stored elements are not among them.
    """

    def __init__(self, side: Subject, *, scales: bool) -> None:
        self._stored = _stored_tensors(side.artifact)
        self._filled = _filled_buffers(side.artifact)
        self._scales = scales

    def group(self, kind: RegionKind, parts: tuple[str, ...]) -> str | None:
        """Return what a structure belongs to, as evidence names it; None where it does not exist for an
        operator.
        """
        if kind is RegionKind.FREE or not parts:
            return None
        name, index = _split(parts[0])
        match name:
            case "subgraphs" if index is not None:
                return self._of_subgraph(kind, index, parts[1:])
            case "subgraphs" | "signature_defs":
                return name
            case "operator_codes":
                return "operator codes"
            case "buffers" if index is None or index not in self._filled:
                return "buffers without data"
            case _:
                return None

    def _of_subgraph(self, kind: RegionKind, subgraph: int, parts: tuple[str, ...]) -> str | None:
        name, index = _split(parts[0]) if parts else ("", None)
        if name == "tensors":
            if index is not None and (subgraph, index) in self._stored:
                return None
            if not self._scales and _is_scale(kind, parts):
                return None
            return f"subgraph {subgraph}: intermediate tensors"
        return f"subgraph {subgraph}: {'operators' if name == 'operators' else 'inputs and outputs'}"


def differ_in_operators(before: Subject, after: Subject) -> bool:
    """Return whether both are single TFLite models that have other numbers of operators."""
    sides = before.artifact, after.artifact
    if any(side.format is not FormatName.TFLITE or len(side.members) != 1 for side in sides):
        return False
    counts = [sum(operators(side).values()) for side in sides]
    return counts[0] != counts[1] and all(counts)


def have_scales(before: Subject, after: Subject) -> bool:
    """Return whether intermediate tensors are quantized on both sides: then a scale comes with its tensor."""
    return all(_has_scales(side.artifact) for side in (before, after))


def operators(artifact: Artifact) -> Counter[str]:
    """Return how many operators of each name a model has, custom ones too."""
    found: Counter[str] = Counter()
    for key in (artifact.facts.get("operators"), artifact.facts.get("custom_operators")):
        if isinstance(key, Mapping):
            found.update({str(name): count for name, count in key.items() if isinstance(count, int)})
    return found


def operators_text(before: Subject, after: Subject) -> str:
    """Say how many operators each side has, and which names changed most."""
    then, now = operators(before.artifact), operators(after.artifact)
    changed = sorted(
        ((now[name] - then[name], name) for name in {*then, *now}), key=lambda pair: (-abs(pair[0]), pair[1])
    )
    named = ", ".join(f"{name} {count:+,}" for count, name in changed[:_NAMED] if count)
    return (
        f"{sum(then.values()):,} operators before, {sum(now.values()):,} after ({named}), with the tensors"
        " between them"
    )


def _split(part: str) -> tuple[str, int | None]:
    found = _INDEXED.match(part)
    return (found[1], int(found[2])) if found else (part, None)


def _is_scale(kind: RegionKind, parts: tuple[str, ...]) -> bool:
    return kind is RegionKind.QUANTIZATION or any(part.partition(" ")[0] == "quantization" for part in parts)


def _stored_tensors(artifact: Artifact) -> frozenset[tuple[int, int]]:
    """Return subgraph and index of every tensor with stored elements."""
    subgraphs = artifact.facts.get("subgraphs")
    found: set[tuple[int, int]] = set()
    for graph, entry in enumerate(subgraphs if isinstance(subgraphs, tuple) else ()):
        ranges = entry.get("stored_tensors") if isinstance(entry, Mapping) else None
        for run in ranges if isinstance(ranges, tuple) else ():
            if isinstance(run, tuple):
                first, last = (int(str(place)) for place in run)
                found.update((graph, index) for index in range(first, last + 1))
    return frozenset(found)


def _filled_buffers(artifact: Artifact) -> frozenset[int]:
    """Return the indices of the buffers that hold data, or say where it is."""
    table = artifact.members[0].map.path_table
    found: set[int] = set()
    for path in range(len(table.parents)):
        parts = table.parts(PathId(path))[:2]
        if len(parts) == 2:
            name, index = _split(parts[0])
            if (
                name == "buffers"
                and index is not None
                and parts[1].partition(" ")[0] in ("data", "offset", "size")
            ):
                found.add(index)
    return frozenset(found)


def _has_scales(artifact: Artifact) -> bool:
    stored = _stored_tensors(artifact)
    map = artifact.members[0].map
    rows = np.flatnonzero(map.columns.kinds == RegionKind.QUANTIZATION.code)
    for path in np.unique(map.columns.paths[rows]).tolist():
        parts = map.path_table.parts(PathId(path))
        if len(parts) > 2:
            (name, graph), (inner, tensor) = _split(parts[0]), _split(parts[1])
            if (
                name == "subgraphs"
                and inner == "tensors"
                and graph is not None
                and tensor is not None
                and (graph, tensor) not in stored
            ):
                return True
    return False
