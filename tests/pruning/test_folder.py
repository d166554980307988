"""A directory that appears whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from modelinspect.errors import OutputError
from modelinspect.pruning.errors import JobError
from modelinspect.pruning.folder import whole_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_in(target: Path, problem: BaseException, *, force: bool = False) -> None:
    with whole_folder(target, force=force) as (folder, _scratch):
        (folder / "half").write_text("x")
        raise problem


def fill(target: Path, *, force: bool = False, text: str = "new") -> None:
    with whole_folder(target, force=force) as (folder, _scratch):
        (folder / "manifest.json").write_text(text)
        assert not (target / "manifest.json").exists() or (target / "manifest.json").read_text() != text


def test_the_folder_is_there_only_at_the_end_and_nothing_else_is(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "manifest.json").read_text() == "new"
    assert names(tmp_path / "a") == ["b"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), ValueError("x")])
def test_trouble_leaves_nothing(tmp_path: Path, problem: BaseException) -> None:
    with pytest.raises(type(problem)):
        fail_in(tmp_path / "b", problem)
    assert names(tmp_path) == []


def test_trouble_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    fill(tmp_path / "b", text="old")
    with pytest.raises(KeyboardInterrupt):
        fail_in(tmp_path / "b", KeyboardInterrupt(), force=True)
    assert (tmp_path / "b" / "manifest.json").read_text() == "old"
    assert names(tmp_path) == ["b"]


def test_an_existing_folder_is_replaced_only_by_force(tmp_path: Path) -> None:
    fill(tmp_path / "b", text="old")
    with pytest.raises(JobError, match="--force"):
        fill(tmp_path / "b")
    fill(tmp_path / "b", force=True)
    assert (tmp_path / "b" / "manifest.json").read_text() == "new"
    assert names(tmp_path) == ["b"]


def test_a_folder_that_is_not_ours_is_not_replaced_even_by_force(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis").write_text("precious")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    for name, message in (
        ("home", "did not make it"),
        ("file", "not a directory"),
        ("link", "not a directory"),
    ):
        with pytest.raises(JobError, match=message):
            fill(tmp_path / name, force=True)
    assert (tmp_path / "home" / "thesis").read_text() == "precious"


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no space is left"):
        fail_in(tmp_path / "b", OSError(errno.ENOSPC, "No space left on device"))
    assert names(tmp_path) == []
