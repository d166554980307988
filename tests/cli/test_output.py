"""Reports arrive whole, where they should, and in a form that fits the place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelinspect.cli import output
from modelinspect.renderers.look import Look
from tests.support.cli import run_cli, run_process
from tests.support.fixtures import fixture_path

ORIGINAL = "mlp/original.h5"


def test_a_file_gets_what_the_pipe_would_get(tmp_path: Path) -> None:
    path, target = fixture_path(ORIGINAL), tmp_path / "report.json"
    result = run_cli(path, "--format", "json", "-o", target)
    assert (result.code, result.out, result.err) == (0, b"", "")
    assert target.read_bytes() == run_cli(path, "--format", "json").out
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_is_there_is_kept_without_force(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    target.write_text("mine")
    result = run_cli(fixture_path(ORIGINAL), "-o", target)
    assert result.code == 2
    assert "exists; --force replaces it" in result.err
    assert target.read_text() == "mine"
    assert run_cli(fixture_path(ORIGINAL), "-o", target, "--force").code == 0
    assert "57,352 bytes" in target.read_text()


def test_the_artifact_itself_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(fixture_path(ORIGINAL).read_bytes())
    result = run_cli(path, "-o", path, "--force")
    assert result.code == 2
    assert "is the artifact itself" in result.err
    assert path.stat().st_size == 57_352


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    result = run_cli(fixture_path(ORIGINAL), "-o", tmp_path)
    assert (result.code, "is a folder" in result.err) == (2, True)


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    result = run_cli(fixture_path(ORIGINAL), "-o", tmp_path / "gone" / "x.json")
    assert (result.code, "cannot be written: No such file or directory" in result.err) == (3, True)
    assert result.err.count("\n") == 1


def test_a_report_that_fails_half_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output, "render", fail)
    result = run_cli(fixture_path(ORIGINAL), "-o", tmp_path / "x.json")
    assert (result.code, "No space left on device" in result.err) == (3, True)
    assert list(tmp_path.iterdir()) == []


def test_an_output_file_gets_the_usual_rights(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    before = os.umask(0o022)
    try:
        run_cli(fixture_path(ORIGINAL), "--format", "json", "-o", target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_said_to_be_full() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "modelinspect", fixture_path(ORIGINAL)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 3
    assert (
        done.stderr.decode() == "modelinspect: standard output: cannot be written: No space left on device\n"
    )


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    script = (
        f"{sys.executable} -m modelinspect map '{fixture_path(ORIGINAL)}' --hex --from 0 --size 57352; echo"
        " $? >&2"
    )
    done = subprocess.run(["bash", "-c", f"({script}) | head -1"], capture_output=True, check=True)
    assert done.stderr == b"0\n"
    assert done.stdout.count(b"\n") == 1


def test_a_pipe_gets_no_colour_and_80_columns() -> None:
    result = run_process(fixture_path(ORIGINAL), env={"TERM": "xterm-256color", "COLUMNS": ""})
    assert b"\x1b" not in result.out
    lines = result.text.splitlines()[2:]
    assert (
        max(len(line) for line in lines if not line.startswith(" " * 6)) <= 80
    )  # commands stay whole, to be copied


def test_columns_set_the_width_of_a_pipe() -> None:
    lines = run_cli(fixture_path(ORIGINAL), columns=50).text.splitlines()[2:]
    assert max(len(line) for line in lines if not line.startswith(" " * 6)) <= 50


def test_a_terminal_gets_colour_unless_told_not_to() -> None:
    path = fixture_path(ORIGINAL)
    assert b"\x1b[" in run_cli(path, tty=True).out
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert b"\x1b" not in run_cli(path, tty=True, env=env).out
    assert re.sub(rb"\x1b\[[0-9;]*m", b"", run_cli(path, tty=True).out).split() == run_cli(path).out.split()


def test_an_old_locale_gets_ascii() -> None:
    result = run_process(
        fixture_path(ORIGINAL), env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert result.code == 0
    assert result.out.isascii()
    assert b"####" in result.out


def test_progress_appears_only_on_a_terminal_and_only_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from modelinspect.cli import progress as module

    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for tty, seconds, shown in ((True, 0.4, False), (True, 0.6, True), (False, 9.0, False)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda tty=tty: tty, raising=False)
        now[0] = 0.0
        with module.progress("reading weights") as meter:
            meter(1, 10)
            now[0] = seconds
            meter(5, 10)
            assert (meter._bar is not None) is shown


def test_help_loads_only_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "modelinspect", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    ours = {name for name in loaded if name.partition(".")[0] == "modelinspect"}
    inside = (
        "cli",
        "cli.app",
        "cli.commands",
        "cli.invocation",
        "cli.main",
        "cli.parameters",
        "cli.quick",
        "core",
        "core.records",
        "errors",
        "renderers",
        "renderers.look",
    )
    assert ours <= {"modelinspect", *(f"modelinspect.{name}" for name in inside)}
    assert not {name.partition(".")[0] for name in loaded} & {
        "numpy",
        "h5py",
        "google",
        "rich",
        "msgspec",
        "fsspec",
    }


def test_help_names_every_command_and_imports_none() -> None:
    from modelinspect.cli.commands import COMMANDS, module_name

    code = (
        "import sys; from modelinspect.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m in sys.argv[1:]])"
    )
    modules = [module_name(name) for name in COMMANDS] + [
        "numpy",
        "rich",
        "h5py",
        "google.protobuf",
        "msgspec",
    ]
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_is_printed() -> None:
    from modelinspect import __version__

    assert run_cli("--version").text == f"modelinspect {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered(shell: str) -> None:
    environment = {
        "_MODELINSPECT_COMPLETE": f"source_{shell}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    result = run_process(env=environment)
    assert b"modelinspect" in result.out


def test_a_look_has_the_usual_width_where_nobody_says() -> None:
    assert Look().width == 80


@pytest.mark.parametrize("arguments", [["--help"], ["map", "--help"], ["demo", "--help"]])
def test_help_fits_forty_columns(arguments: list[str]) -> None:
    lines = run_cli(*arguments, columns=40).text.splitlines()
    whole = [line for line in lines if line.lstrip().startswith(("modelinspect ", "-f, --format "))]
    assert [line for line in lines if len(line) > 40 and line not in whole] == []
    assert len(lines) < 90


def test_help_shows_examples_to_type() -> None:
    text = run_cli("--help").text
    assert "  modelinspect demo\n" in text
    assert "  modelinspect explain original.h5 pruned.h5\n" in text


def test_a_misspelt_option_of_the_program_is_answered_with_the_one_that_is_meant() -> None:
    result = run_cli("--verson")
    assert result.code == 2
    assert "did you mean --version?" in result.err
