"""Finds programs and pickles among a model's assets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.rules.unsafe.base import Located, Place, Subject, UnsafeRule

_SUFFIXES = (
    *(".py", ".pyc", ".pyo", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".js", ".jar"),
    *(".pkl", ".pickle", ".joblib", ".dill", ".pt"),
)


def _find(subject: Subject) -> Iterator[Located]:
    for member in subject.artifact.members:
        rows = np.flatnonzero(member.map.columns.kinds == RegionKind.ASSET.code)
        for row in rows.tolist():
            region = member.map[row]
            name = member.name if len(subject.artifact.members) > 1 else "/".join(region.path)
            if name.lower().endswith(_SUFFIXES):
                place = Place(member.name, region.span.offset, region.span.size)
                yield Located(f"{name} is a program or a pickle among the model's files", region.span.size, "take it out", place)


RULE = UnsafeRule(
    "asset-code",
    Severity.WARNING,
    "A program that comes with a model is there to be run.",
    _find,
    remedy="take it out",
    example="setup.py is a program or a pickle among the model's files",
)
