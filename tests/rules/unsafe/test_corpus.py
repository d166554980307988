"""The samples that somebody made for a scanner of models are found, or are harmless for a reason that the
documents state.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import modelinspect
from modelinspect.errors import ModelInspectError
from tests.support.corpus import PROJECT, corpus_file, corpus_files

PREFIX = "git/promptfoo+modelaudit"
SAMPLES = {
    "HEAD/tests/assets/samples/keras/malicious_lambda.h5": "lambda-layer",
    "b36fd65b0c05/tests/assets/malicious_keras.h5": "lambda-layer",
    "HEAD/tests/assets/samples/tensorflow/malicious_pyfunc/saved_model.pb": "code-operator",
    "c1ca43136d94/tests/assets/tensorflow/malicious_pyfunc/saved_model.pb": "code-operator",
    "c1ca43136d94/tests/assets/tensorflow/malicious_readfile/saved_model.pb": "file-read-operator",
    "c1ca43136d94/tests/assets/tensorflow/malicious_writefile/saved_model.pb": "file-write-operator",
    "b36fd65b0c05/tests/assets/malicious_tf/saved_model.pb": "unread-operator",
}
HARMLESS = {
    "HEAD/tests/assets/samples/keras/safe_model.h5",
    "HEAD/tests/assets/samples/tensorflow/safe_savedmodel/saved_model.pb",
    "b36fd65b0c05/tests/assets/safe_keras.h5",
    "c1ca43136d94/tests/assets/tensorflow/safe_model/saved_model.pb",
}
NO_MODEL = {
    "32215f5395a1/.local/test_models/keras_model.h5",
    "32215f5395a1/.local/test_models/mobile_model.tflite",
}

pytestmark = pytest.mark.corpus


def test_the_list_has_every_sample() -> None:
    names = {file.name.removeprefix(f"{PREFIX}/") for file in corpus_files() if file.name.startswith(PREFIX)}
    if not names:
        pytest.skip("no corpus here")
    assert names == SAMPLES.keys() | HARMLESS | NO_MODEL


@pytest.mark.parametrize("name", SAMPLES)
def test_an_unsafe_sample_is_found(name: str) -> None:
    report = modelinspect.lint(corpus_file(f"{PREFIX}/{name}"), select=["unsafe"])
    assert SAMPLES[name] in {finding.rule for finding in report.findings}
    assert report.reaches("warning")


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_a_safe_sample_has_no_finding(name: str) -> None:
    assert modelinspect.lint(corpus_file(f"{PREFIX}/{name}"), select=["unsafe"]).findings == ()


@pytest.mark.parametrize("name", sorted(NO_MODEL))
def test_what_is_no_model_is_refused_and_the_documents_say_why(name: str) -> None:
    with pytest.raises(ModelInspectError):
        modelinspect.lint(corpus_file(f"{PREFIX}/{name}"))
    assert Path(name).name in (PROJECT / "docs" / "guide" / "lint.md").read_text(encoding="utf-8")
