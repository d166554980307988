"""One text or path is one value of an argument that takes several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.api.opening import several
from modelinspect.errors import UsageError
from tests.support.fixtures import fixture_path

MODEL = fixture_path("mlp/original.h5")


def test_a_text_is_not_its_letters() -> None:
    assert several("training") == ("training",)
    assert several(Path("models")) == (Path("models"),)
    assert several(["a", "b"]) == ("a", "b")
    assert several(()) == ()


def test_every_argument_that_takes_names_takes_one() -> None:
    assert {step.level for step in mi.shrink(MODEL, drop="training").steps} == {"training", "lossless"}
    assert mi.lint(MODEL, select="optimizer-state").findings
    assert [option.option for option in mi.plan(MODEL, only="gzip-9").options] == ["gzip-9"]
    assert mi.inspect(MODEL, by="layer").rollup is not None
    assert [row.location for row in mi.scan(MODEL).artifacts] == [str(MODEL)]
    assert len(list(mi.scan_iter(str(MODEL)))) == 1


def test_a_wrong_name_is_answered_by_those_that_exist() -> None:
    with pytest.raises(UsageError, match="drop may name training, names, unreachable"):
        mi.shrink(MODEL, drop="optimizer")


def test_a_scan_that_is_printed_first_is_text() -> None:
    code = "import sys, modelinspect as mi; print(mi.scan(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(MODEL)], capture_output=True, text=True, check=True, timeout=600
    )
    assert "Largest models" in done.stdout
    assert "ScanRow(" not in done.stdout
