"""A process that is asked to end leaves no half-written file behind, and says by which signal it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fixtures import fixture_path

SCRIPT = """
import os, signal, sys
from modelinspect.cli import output
from modelinspect.cli.main import entry

class Half:
    # writes half of a report, tells so, and waits for the signal
    def __init__(self, real):
        self.real = real
    def __call__(self, report, form, out, *rest, **settings):
        out.write("half of it")
        out.flush()
        print("writing", flush=True)
        signal.pause()

output.render = Half(output.render)
sys.argv = ["modelinspect", *sys.argv[1:]]
entry()
"""


def begun(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    """Start a report and return when half of it is written."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    command = [
        sys.executable,
        str(script),
        "inspect",
        str(fixture_path("mlp/original.h5")),
        "-o",
        str(folder / "report.json"),
        *more,
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "writing\n", process.communicate()[1]
    return process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_takes_the_temporary_file_away(tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    # nohup ignores SIGHUP and a shell's background job SIGINT, and a child inherits that.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        process = begun(tmp_path)
    finally:
        signal.signal(number, before)
    assert len(list((tmp_path / "out").iterdir())) == 1  # the temporary file
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert list((tmp_path / "out").iterdir()) == []
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == 1


def test_a_file_that_is_to_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    report = tmp_path / "out" / "report.json"
    report.write_text("the previous report", encoding="utf-8")
    process = begun(tmp_path, "--force")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert [path.name for path in report.parent.iterdir()] == ["report.json"]
    assert report.read_text(encoding="utf-8") == "the previous report"


def test_a_hang_up_that_the_parent_ignores_stays_ignored(tmp_path: Path) -> None:
    """``nohup modelinspect ...`` goes on: the first request to end is the second signal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = begun(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
