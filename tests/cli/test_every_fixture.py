"""Every fixture can be looked at with every command, and its reports add up."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from tests.support.cli import run_cli
from tests.support.fixtures import fixture_names, fixture_path


@pytest.mark.parametrize("name", fixture_names())
def test_every_command_shows_the_fixture(name: str) -> None:
    path = fixture_path(name)
    if path.is_dir() and not any(path.iterdir()):
        pytest.skip("an empty folder")
    report = run_cli(path, "--format", "json")
    if report.code == 3 and not report.out:
        assert report.err.count("\n") == 1
        return
    said = json.loads(report.text)
    assert sum(said["categories"].values()) == said["artifact"]["size"]
    assert report.code == (3 if any(entry["severity"] == "error" for entry in said["diagnostics"]) else 0)
    screen = run_cli(path.name, columns=60, cwd=path.parent).text
    assert all(
        cell_len(line) <= 60 for line in screen.splitlines() if not line.startswith(" " * 6)
    )  # commands stay whole, to be copied
    assert run_cli("tensors", path, "--no-measure").out
    regions = json.loads(run_cli("map", path, "--format", "json").text)["regions"]
    assert sum(region["size"] for region in regions) == said["artifact"]["size"]
