"""Hostile files are refused or shrunk correctly: never executed, never changed, within time and memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpus import find_hostile

_CODE = """
import json, sys
import modelinspect as mi
from pathlib import Path

out = Path(sys.argv[1])
found = []
for number, (path, drop) in enumerate(json.loads(sys.argv[2])):
    place = out / str(number) / Path(path).name
    place.parent.mkdir()
    try:
        report = mi.shrink(path, place, drop=drop)
    except mi.ModelInspectError as error:
        found.append((path, drop, "error", str(error)[:80]))
        continue
    if report.after is None:
        found.append((path, drop, report.outcome, report.reason))
    else:
        compared = mi.compare_content(path, place)
        gone = {each.tensor for each in compared.differing if each.difference != "missing"}
        found.append((path, drop, "smaller" if compared.same or (drop and not gone) else "wrong", ""))
status = Path("/proc/self/status")  # getrusage starts with the peak of the process that forked this one
lines = status.read_text().splitlines() if status.exists() else []
peak = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)
print(json.dumps({"found": found, "peak": peak, "modules": sorted(sys.modules)}))
"""


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_hostile_file_is_refused_or_shrunk_correctly(tmp_path: Path) -> None:
    root = find_hostile()
    if root is None:
        pytest.skip("no folder of hostile files here")
    before = hashes(root)
    paths = [path for group in ("lint", "resources") for path in sorted((root / group).iterdir())]
    jobs = [(str(path), []) for path in paths]
    jobs += [(str(path), ["training"]) for path in paths if path.suffix in (".h5", ".keras")][::3]
    out, place = tmp_path / "out", tmp_path / "working"
    out.mkdir()
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(out), json.dumps(jobs)],
        capture_output=True,
        text=True,
        cwd=place,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert [each for each in result["found"] if each[2] == "wrong"] == []
    assert len(result["found"]) == len(jobs) > 50
    assert {each[2] for each in result["found"]} >= {"refused", "smaller"}
    assert all(each[3] for each in result["found"] if each[2] != "smaller")
    assert result["peak"] < 600
    assert not {"tensorflow", "keras", "tf_keras", "pickle5"} & set(result["modules"])
    assert not list(place.iterdir())  # where a payload runs, it writes a file here
    assert hashes(root) == before
