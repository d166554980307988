"""Pages and tables that are written from data are what the data say, and the stories' files are what they
claim to be.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import h5py
import pytest

import modelinspect as mi
from modelinspect.cli.commands import COMMANDS
from tests.cases.bank import cases
from tests.support.corpus import PROJECT

DOCS = PROJECT / "docs"
STORIES = PROJECT / "fixtures" / "stories"
QUESTIONS = [
    question
    for group in tomllib.loads((DOCS / "faq.toml").read_text(encoding="utf-8"))["groups"]
    for question in group["questions"]
]


def test_the_pages_are_what_the_data_say() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate_tables.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_case_of_the_bank_belongs_to_one_question() -> None:
    assert sorted(number for question in QUESTIONS for number in question.get("cases", ())) == [
        case.number for case in cases()
    ]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["ask"])
def test_an_answer_is_short_and_its_command_exists(question: dict[str, str]) -> None:
    assert len(question["answer"]) < 330
    program, first, *_ = question["command"].split()
    assert program == "modelinspect"
    assert first in COMMANDS or "." in first or "/" in first or first == "--help"


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 155


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("story") / "mobilenet.h5"
    subprocess.run([sys.executable, DOCS / "guide" / "stories" / "deleted_layer.py", path], check=True)
    return path


def test_a_quarter_of_the_download_is_the_deleted_layer(mobilenet: Path) -> None:
    report = mi.inspect(mobilenet, measure=False)
    published, deleted = 17_225_924, 4 * (1024 * 1000 + 1000)
    assert abs(report.artifact.size - published) < 1_000
    assert 0.235 < deleted / report.artifact.size < 0.245
    assert deleted < report.categories.free < deleted + 150_000
    with h5py.File(mobilenet) as file:
        assert "conv_preds" not in file


def test_shrink_removes_the_deleted_layer_and_nothing_else(mobilenet: Path) -> None:
    report = mi.shrink(mobilenet, level=0)
    assert report.after is not None
    assert report.before.size - report.after.size > 4 * (1024 * 1000 + 1000)
    assert report.proof is not None
    assert report.proof.equal == 135


def test_shrink_takes_the_second_copy_out_of_the_export() -> None:
    report = mi.shrink(STORIES / "exported")
    weights = 4 * (64 * 256 + 256 + 256 * 10 + 10)
    assert {step.step: step.saved for step in report.steps}["alias-duplicates"] == weights
    assert (
        sum(
            tensor.stored_size
            for tensor in mi.inspect(STORIES / "exported").tensors
            if tensor.role == "weight"
        )
        == 2 * weights
    )


def test_more_than_three_quarters_of_the_int4_model_are_float() -> None:
    tensors = mi.tensors(STORIES / "int4.weights.h5").tensors
    stored = {
        dtype: sum(
            tensor.stored_size for tensor in tensors if tensor.role == "weight" and tensor.dtype == dtype
        )
        for dtype in ("float32", "int4")
    }
    assert stored == {"float32": 4 * (640 * 32 + 2 * 32), "int4": (32 * 576 + 576 * 32) // 2}
    assert 0.765 < stored["float32"] / sum(tensor.stored_size for tensor in tensors) < 0.775
