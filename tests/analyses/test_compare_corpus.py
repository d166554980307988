"""Diff and explain over random pairs of real artifacts: nothing raises, causes sum and mirror, nothing is
unexplained without need.

MODELINSPECT_PAIRS sets how many pairs are tried (500 unless it is set).
"""

from __future__ import annotations

import os
import random
from functools import lru_cache
from pathlib import Path

import pytest

from modelinspect import api
from modelinspect.analyses.diff import diff
from modelinspect.analyses.explain.compare import explain
from modelinspect.core.bytemap import RegionKind
from modelinspect.errors import ModelInspectError
from modelinspect.networks.subject import Subject
from tests.support.corpus import corpus_files

LARGEST = 4 * 2**20
COUNT = int(os.environ.get("MODELINSPECT_PAIRS", "500"))

pytestmark = pytest.mark.corpus


@lru_cache(maxsize=64)
def side(path: Path) -> Subject | None:
    """Return an artifact with its measurements; None where it is refused, which other tests look at."""
    try:
        return api.side(path)
    except ModelInspectError:
        return None


def pairs() -> list[tuple[Path, Path]]:
    """Return random pairs, those of one first artifact together."""
    files = sorted(file.path for file in corpus_files() if file.size <= LARGEST)
    if len(files) < 2:
        return []
    chosen = random.Random(6)
    firsts = chosen.sample(files, min(max(COUNT // 10, 1), len(files)))
    return [(one, chosen.choice(files)) for one in firsts for _ in range(10)][:COUNT]


def test_random_pairs_of_the_corpus_are_explained() -> None:
    compared = 0
    for one, other in pairs():
        before, after = side(one), side(other)
        if before is None or after is None:
            continue
        forth, back = explain(before, after), explain(after, before)
        where = f"{one.name} and {other.name}"
        assert (
            sum(entry.delta for entry in forth.causes)
            == forth.delta
            == after.artifact.size - before.artifact.size
        ), where
        assert {entry.cause: entry.delta for entry in forth.causes} == {
            entry.cause: -entry.delta for entry in back.causes
        }, where
        if not unattributed(before) + unattributed(after):
            assert "unexplained" not in {entry.cause for entry in forth.causes}, where
        report = diff(before, after)
        assert report.delta == sum(report.categories.values()), where
        list(forth.blocks())
        list(report.blocks())
        compared += 1
    if not pairs():
        pytest.skip("no corpus here")
    assert compared >= COUNT // 2


def unattributed(one: Subject) -> int:
    return sum(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] for member in one.artifact.members)
