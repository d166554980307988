"""``--limit`` and ``--follow`` are options of every command that opens artifacts, and each command obeys
them.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from modelinspect.cli.commands import COMMANDS
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

OPENING = tuple(name for name in COMMANDS if name not in ("embed", "prune", "study", "demo"))
"""What reads artifacts that somebody else made."""
ARGUMENTS = {
    "check": ["--budget", "BUDGET"],
    "shrink": ["--check"],
    "diff": ["OTHER"],
    "scan": ["--jobs", "1"],
}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Return a gzip file that decompresses to more than the limit below."""
    path = tmp_path / "model.h5.gz"
    path.write_bytes(gzip.compress(fixture_path("mlp/original.h5").read_bytes()))
    return path


def run(command: str, path: Path, *more: str) -> tuple[int, str]:
    budget = path.parent / "budget.toml"
    budget.write_text("size = 1000000\n", encoding="utf-8")
    arguments = [
        str(budget) if each == "BUDGET" else str(path) if each == "OTHER" else each
        for each in ARGUMENTS.get(command, [])
    ]
    result = run_cli(command, path, *arguments, "--quiet", *more)
    return result.code, result.text + result.err


@pytest.mark.parametrize("command", OPENING)
def test_a_command_obeys_a_limit(command: str, packed: Path) -> None:
    usual = run(command, packed)
    lowered = run(command, packed, "--limit", "decompressed_size=4KiB")
    assert usual[0] in (0, 1)
    assert lowered != usual
    assert "limit" in lowered[1]


@pytest.mark.parametrize("command", OPENING)
@pytest.mark.parametrize("setting", ["nonsense=1", "nesting", "nesting=0", "nesting=many"])
def test_a_limit_that_makes_no_sense_is_an_error_of_usage(command: str, setting: str, packed: Path) -> None:
    assert run(command, packed, "--limit", setting)[0] == 2


@pytest.mark.parametrize("command", OPENING)
def test_every_command_can_follow(command: str, packed: Path) -> None:
    assert run(command, packed, "--follow")[0] in (0, 1)
