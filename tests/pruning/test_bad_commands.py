"""Commands that cannot be done, as far as TensorFlow is not needed to know: one line, exit code 2 or 3,
nothing left behind.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from modelinspect.pruning import process
from tests.support.cli import run_cli


@pytest.mark.parametrize("command", ["prune", "study"])
def test_without_tensorflow_one_line_says_what_to_install(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "NEEDED", {"tensorflow_is_not_here": "tensorflow"})
    model = ("mlp",) if command == "prune" else ()
    result = run_cli(command, *model, "-o", tmp_path / "out")
    assert (result.code, result.out) == (3, b"")
    assert result.err == "modelinspect: pruning needs tensorflow: pip install 'modelinspect[prune]'\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.toml",), 2, "none.toml: cannot be read"),
        (("bad.toml",), 2, "no architecture is named 'mpl'"),
        (("torn.toml",), 2, "torn.toml"),
        (
            ("--releases", "newest"),
            2,
            "--releases takes TensorFlow releases such as 2.16,2.18, or all, not newest",
        ),
        (("--workers", "0"), 2, "--workers"),
    ],
)
def test_a_study_that_cannot_be_done_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "bad.toml").write_text('[[grids]]\narchitectures = ["mpl"]\nsparsities = [0.5]\n')
    (tmp_path / "torn.toml").write_text("[[grids")
    result = run_cli("study", "-o", tmp_path / "out", *arguments, cwd=tmp_path)
    assert (result.code, result.out) == (code, b"")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_study_does_not_write_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    result = run_cli("study", "-o", tmp_path / "out")
    assert (result.code, result.out) == (3, b"")
    assert result.err.count("\n") == 1
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(40), "model.h5"),
        ("model.keras", b"PK\x03\x04" + bytes(100), "model.keras"),
        ("model.h5", b"", "model.h5"),
        ("model.txt", b"no model", "model.txt"),
    ],
)
def test_a_corrupt_model_is_one_line_and_leaves_nothing(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    result = run_cli("prune", tmp_path / name, "-o", tmp_path / "out")
    assert (result.code, result.out) == (3, b"")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
