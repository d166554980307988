"""Whatever is wrong with the input is said in one line on the error stream, with exit code 3 or 2, and no
traceback.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelinspect import api
from modelinspect.core.limits import Limits
from modelinspect.sources import local_files
from tests.support.cli import CliResult, run_cli
from tests.support.fixtures import fixture_path

COMMANDS = ["inspect", "tensors", "map"]


def model(folder: Path, name: str = "model.h5") -> Path:
    path = folder / name
    path.write_bytes(fixture_path("mlp/stripped.h5").read_bytes())
    return path


def the_line(result: CliResult, code: int) -> str:
    assert result.code == code, result
    assert result.err.count("\n") == 1
    assert result.err.startswith("modelinspect: ")
    assert "Traceback" not in result.err
    return result.err


def refused(result: CliResult, code: int = 3) -> str:
    assert result.out == b""
    return the_line(result, code)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_file_is_named_with_the_one_that_may_be_meant(command: str, tmp_path: Path) -> None:
    (tmp_path / "original.h5").touch()
    line = refused(run_cli(command, tmp_path / "orginal.h5"))
    assert "No such file or directory" in line
    assert "did you mean" in line
    assert "original.h5?" in line


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'gone'}" in refused(run_cli(tmp_path / "gone" / "model.h5"))


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_directory_is_called_one(command: str, tmp_path: Path) -> None:
    assert "is an empty folder" in refused(run_cli(command, tmp_path))


def test_a_directory_with_a_model_in_it_names_the_model(tmp_path: Path) -> None:
    model(tmp_path)
    assert "inspect one of its files, such as model.h5" in refused(run_cli(tmp_path))


def test_a_directory_of_other_files_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "is a folder of 1 file, none of which is a model" in refused(run_cli(tmp_path))


LOOKS: list[tuple[bytes, str]] = [
    (b"", "an empty file"),
    (b"hello\nworld\n", "a text file"),
    ("Grüße, 世界".encode() * 200, "a text file"),
    (b'{"a": 1}', "a JSON file"),
    (b'[{"a": 1}]', "a JSON file"),
    (b'[project]\nname = "x"\n', "a text file"),
    (b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG image"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"\x80\x02}q\x00.", "a Python pickle"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
    (b"<!DOCTYPE html><html>", "an HTML page"),
    (bytes(100), "a file of zeros"),
    (bytes(range(1, 256)) * 9, "a binary file of an unknown kind"),
    (b"GGUF\x03\x00\x00\x00", "a GGUF model"),
    (b"\x93NUMPY\x01\x00", "a NumPy array"),
    (b"\x7fELF\x02\x01", "an ELF program"),
]


@pytest.mark.parametrize(
    ("data", "looks"), LOOKS, ids=[f"{looks}-{index}" for index, (_, looks) in enumerate(LOOKS)]
)
def test_a_file_of_another_kind_is_called_what_it_looks_like(data: bytes, looks: str, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(data)
    line = refused(run_cli(tmp_path / "model.bin"))
    assert f"looks like {looks}" in line
    assert "modelinspect reads Keras" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_without_permission_says_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    path = model(tmp_path)
    monkeypatch.setattr(local_files.os, "open", refuse)
    assert "Permission denied" in refused(run_cli(command, path))


def test_a_device_is_not_read() -> None:
    assert "is neither a file nor a directory" in refused(run_cli("/dev/zero"))


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    assert "not a path" in refused(run_cli("inspect", path))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("size", [60, 100, 2_000, -1])
def test_a_truncated_file_shows_what_is_there_and_fails(command: str, size: int, tmp_path: Path) -> None:
    path = model(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    result = run_cli(command, path)
    line = the_line(result, 3)
    assert "model.h5 at byte" in line
    if size != 60:
        assert "the file is truncated" in line
        assert result.out


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98, 0.999])
def test_a_truncated_archive_is_shown_and_fails_wherever_it_is_cut(share: float, tmp_path: Path) -> None:
    """Also between two members and in the central directory, where no member lacks a byte."""
    data = fixture_path("archives/model.keras").read_bytes()
    path = tmp_path / "model.keras"
    path.write_bytes(data[: int(share * len(data))])
    result = run_cli("inspect", path)
    assert "the file is truncated" in the_line(result, 3)
    assert result.out


def test_strict_shows_nothing_of_a_truncated_file(tmp_path: Path) -> None:
    path = model(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert "1 byte missing" in refused(run_cli(path, "--strict"))


@pytest.mark.parametrize("command", ["inspect", "tensors"])
def test_a_file_that_shrinks_while_it_is_read_says_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path)
    measure = api.measure_files

    def late(*arguments: Any, **options: Any) -> Any:
        os.truncate(path, 3_000)
        return measure(*arguments, **options)

    monkeypatch.setattr(api, "measure_files", late)
    assert "became shorter while it was read" in refused(run_cli(command, path))


def test_too_little_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(api, "inspect", starve)
    assert "not enough memory" in refused(run_cli(model(tmp_path)))


def test_a_mistake_of_ours_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelinspect.errors import InvariantError

    def fail(*_: object, **__: object) -> None:
        raise InvariantError("the rows sum to 3 bytes of 4")

    monkeypatch.setattr(api, "inspect", fail)
    assert "this is a bug in modelinspect" in refused(run_cli(model(tmp_path)))


def test_an_interrupt_ends_quietly_with_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "inspect", interrupt)
    assert refused(run_cli(model(tmp_path)), 130) == "modelinspect: interrupted\n"


def test_names_in_errors_cannot_steer_the_terminal(tmp_path: Path) -> None:
    line = refused(run_cli(tmp_path / "a\x1b[2Jb\nc.h5"))
    assert "\\x1b[2Jb\\nc.h5" in line


def usage(check: Callable[[str], bool] | str, *arguments: str | Path) -> None:
    line = refused(run_cli(*arguments), 2)
    assert check in line if isinstance(check, str) else check(line)


def test_a_misspelt_option_is_answered_with_the_one_that_is_meant(tmp_path: Path) -> None:
    usage("--format", model(tmp_path), "--fromat", "json")


def test_a_misspelt_command_is_answered_with_the_one_that_is_meant(tmp_path: Path) -> None:
    usage("did you mean tensors?", "tensor", model(tmp_path))


def test_an_unknown_format_is_answered_with_those_there_are(tmp_path: Path) -> None:
    usage("'markdown'", model(tmp_path), "--format", "yaml")


def test_an_unknown_key_is_answered_with_those_there_are(tmp_path: Path) -> None:
    usage("did you mean layer?", model(tmp_path), "--by", "layr")


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_a_top_that_is_no_count_is_refused(top: str, tmp_path: Path) -> None:
    usage("--top", model(tmp_path), "--top", top)


@pytest.mark.parametrize("at", ["-5", "x", "0xzz", "", "1.5"])
def test_an_offset_that_is_none_is_refused(at: str, tmp_path: Path) -> None:
    usage("--at", "map", model(tmp_path), "--at", at)


def test_an_offset_behind_the_end_is_refused_with_the_last_byte(tmp_path: Path) -> None:
    path = model(tmp_path)
    usage(f"its bytes are 0 to {path.stat().st_size - 1:,}", "map", path, "--at", "99,999,999")


def test_a_member_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    usage("it has model.h5", "map", model(tmp_path), "--member", "other.h5")


def test_a_command_without_a_path_shows_its_help() -> None:
    result = run_cli("tensors")
    assert result.code == 2
    assert b"Usage: modelinspect tensors" in result.out


def test_limits_are_kept_by_the_api(tmp_path: Path) -> None:
    from modelinspect.errors import LimitError

    with pytest.raises(LimitError, match="the limit is 3"):
        api.open(model(tmp_path), limits=Limits(regions=3))
