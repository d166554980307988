"""No rule about unsafe content fires at warning or above on honest models of the corpus."""

from __future__ import annotations

import pytest

import modelinspect
from modelinspect.errors import ModelInspectError
from tests.support.corpus import corpus_files

MADE_TO_BE_ODD = ("git/promptfoo+modelaudit", "complex_graphdefs", "hdf5")
"""Samples of a scanner, graphs with PyFunc nodes, and the HDF5 library's own test files (external links,
damage).
"""
KNOWN = {
    "quantized_with_gather.bin": {"trailing-data"},  # 64 bytes behind the flatbuffer
}
"""What is true of files that are honest all the same.

Weights that the corpus does not have are `incomplete`.
"""


@pytest.mark.corpus
@pytest.mark.slow
def test_no_rule_fires_at_warning_or_above_on_honest_models() -> None:
    files = [
        file
        for file in corpus_files()
        if not any(part in file.name for part in MADE_TO_BE_ODD) and file.size < 20 << 20
    ]
    if not files:
        pytest.skip("no corpus here")
    looked, wrong = 0, []
    for file in files[:: max(len(files) // 300, 1)]:
        try:
            report = modelinspect.lint(file.path, select=["unsafe"], measure=False)
        except ModelInspectError:  # not a model
            continue
        looked += 1
        allowed = {"incomplete", *KNOWN.get(file.path.name, ())}
        wrong += [
            (file.name, found.rule)
            for found in report.findings
            if found.severity != "note" and found.rule not in allowed
        ]
    assert wrong == []
    assert looked >= 200
