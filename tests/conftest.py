"""Options and fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.corpus import find_corpus
from tests.support.golden import Golden


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files with what the code says now"
    )


SLOW = (
    "tests/analyses/plan/test_commands.py",
    "tests/analyses/plan/test_stripped.py",
    "tests/analyses/test_compare_corpus.py",
    "tests/cases/test_cases.py",
    "tests/cases/test_controls.py",
    "tests/cli/test_audit.py",
    "tests/cli/test_pre_commit.py::test_pre_commit_itself",
    "tests/contract/test_format_contract.py::test_mutated",
    "tests/contract/test_format_contract.py::test_truncated",
    "tests/conversion/test_any_configuration.py",
    "tests/conversion/test_fresh.py",
    "tests/conversion/test_recurrent.py",
    "tests/conversion/test_signatures.py",
    "tests/conversion/test_unseen.py",
    "tests/docs/test_article.py",
    "tests/docs/test_documents.py",
    "tests/docs/test_examples.py",
    "tests/docs/test_prune_guide.py",
    "tests/docs/test_published.py::test_rebuilt",
    "tests/docs/test_site.py",
    "tests/encodings/hdf5/test_flip.py",
    "tests/encodings/test_sstable.py::test_any_bytes",
    "tests/fixtures",
    "tests/formats/test_checkpoint_hostile.py",
    "tests/formats/test_dear_inputs.py",
    "tests/formats/tflite/test_tflite_flips.py",
    "tests/formats/tflite/test_verifier.py",
    "tests/integrations/test_sphinx.py",
    "tests/measure/test_hostile.py",
    "tests/networks/channels",
    "tests/pruning/test_magnitude",
    "tests/pruning/test_prune_command.py",
    "tests/pruning/test_prune_keras.py",
    "tests/pruning/test_study.py",
    "tests/remedies",
    "tests/renderers/test_html_browser.py",
    "tests/renderers/test_many_hostile_names.py",
    "tests/rules/unsafe/test_differential.py",
    "tests/shrinking/test_tflite.py::test_the_interpreter",
    "tests/shrinking/test_writing.py",
    "tests/test_release.py::test_the_file",
)
"""What trains, converts, loads a browser, builds documents, or tries thousands of inputs: `make test-slow`
runs it.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    if find_corpus() is None:
        skip = pytest.mark.skip(reason="no corpus here; set MODELINSPECT_CORPUS to its folder")
        for item in items:
            if item.get_closest_marker("corpus"):
                item.add_marker(skip)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Golden files in the folder ``golden`` beside the test module."""
    return Golden(
        Path(request.node.path).parent / "golden", bool(request.config.getoption("--update-golden"))
    )
