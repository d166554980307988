"""No command runs, imports, unpickles or connects to anything, or opens a file outside the artifact, whatever
the artifact asks for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpus import PROJECT, find_hostile
from tests.support.fixtures import fixture_names, fixture_path

COMMANDS = (
    ["inspect", "{}"],
    ["tensors", "{}", "--json"],
    ["map", "{}"],
    ["map", "{}", "--hex"],
    ["explain", "{}", "--no-compressors"],
    ["explain", "{}", "{}", "--no-compressors"],
    ["diff", "{}", "{}"],
    ["lint", "{}"],
    ["plan", "{}", "--only", "tflite-float32,strip-optimizer,drop-duplicates,hdf5-repack,entropy-bound"],
    ["shrink", "{}", "--check"],
    ["check", "{}", "--budget", "BUDGET"],
    ["scan", "{}", "--executor", "threads", "--lint"],
    ["inspect", "{}", "-o", "{out}.html"],
    ["shrink", "{}", "-o", "{out}"],
    ["embed", "{document}", "--check"],
)
"""``{document}`` is a Markdown document that shows the artifact; the hook sees a scan by threads only."""
CHEAP = tuple(command for command in COMMANDS if command[0] in ("inspect", "lint", "tensors"))
"""What runs on inputs that are made to be dear."""


def audited(artifacts: list[Path], commands: tuple[list[str], ...], folder: Path) -> tuple[int, list[str]]:
    budget = folder / "budget.toml"
    budget.write_text("size = 1000000\n", encoding="utf-8")
    told = [[part.replace("BUDGET", str(budget)) for part in command] for command in commands]
    task = {
        "artifacts": [str(path) for path in artifacts],
        "commands": told,
        "warm": str(fixture_path("mlp/original.h5")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.audited"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(PROJECT), os.environ.get("PYTHONPATH", "")))},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["runs"], answer["violations"]


def test_no_command_does_what_unsafe_fixtures_ask_for(tmp_path: Path) -> None:
    artifacts = [fixture_path(name) for name in fixture_names(under="unsafe/")]
    runs, violations = audited(artifacts, COMMANDS, tmp_path)
    assert runs == len(artifacts) * len(COMMANDS)
    assert violations == []


@pytest.mark.parametrize(("part", "commands"), [("lint", COMMANDS), ("resources", CHEAP)])
def test_no_command_does_what_hostile_files_ask_for(
    tmp_path: Path, part: str, commands: tuple[list[str], ...]
) -> None:
    folder = find_hostile()
    if folder is None:
        pytest.skip("no hostile files here; set MODELINSPECT_HOSTILE to their folder")
    artifacts = sorted((folder / part).iterdir())
    runs, violations = audited(artifacts, commands, tmp_path)
    assert runs == len(artifacts) * len(commands)
    assert violations == []


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("open('/etc/hostname').close()", "open"),
        ("exec('1')", "exec"),
        ("import socket; socket.socket().close()", "socket"),
        ("import subprocess; subprocess.run(['true'])", "subprocess"),
        ("import pickle, os; pickle.loads(pickle.dumps(os.getcwd))", "pickle"),
        ("import marshal; marshal.loads(marshal.dumps(1))", "marshal"),
    ],
)
def test_the_hook_sees_what_it_looks_for(tmp_path: Path, code: str, event: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from tests.support.audited import Audit\n"
        "audit = Audit()\nsys.addaudithook(audit)\naudit.is_on = True\n"
        f"{code}\naudit.is_on = False\n"
        "print([v for v in audit.violations])\n",
        encoding="utf-8",
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PROJECT), os.environ.get("PYTHONPATH", "")))}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, check=True)
    assert event in done.stdout
