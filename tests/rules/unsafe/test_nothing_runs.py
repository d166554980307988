"""lint executes nothing, opens nothing but the artifact, and talks to nobody: held by an audit hook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.corpus import PROJECT
from tests.support.fixtures import FOLDER

SCRIPT = """
import json, marshal, os, sys
from pathlib import Path

FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "socket.", "pickle.", "shutil.",
             "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "urllib.", "http.", "ftplib.", "code.__new__")
RUNS_CODE = ("exec", "compile", "marshal.loads", "import", "ctypes.dlopen", "ctypes.call_function")
PYTHON = tuple(str(Path(path).resolve()) for path in {*sys.path, sys.prefix, sys.base_prefix, os.path.dirname(os.__file__)} if path)
state = {"inside": None, "strict": False}
violations, seen = [], set()

def allowed_open(path, mode, flags):
    if not isinstance(path, (str, bytes, os.PathLike)):
        return True  # a descriptor that is open
    name = str(Path(os.fsdecode(path)).resolve())
    writes = isinstance(mode, str) and any(letter in mode for letter in "wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes:
        return False
    return name.startswith(state["inside"]) or (not state["strict"] and name.startswith(PYTHON))

def hook(event, arguments):
    if state["inside"] is None:
        return
    seen.add(event)
    bad = event.startswith(FORBIDDEN) or (state["strict"] and event in RUNS_CODE)
    if event == "open":
        bad = not allowed_open(*arguments)
    if event == "exec" and not state["strict"]:
        bad = arguments[0].co_filename in ("model.py", "unsafe.py")
    if bad:
        violations.append([state["inside"], event, repr(arguments)[:200]])

sys.addaudithook(hook)
import modelinspect

folder = Path(sys.argv[1])
for strict in (False, True):  # what is imported when first used is imported in the first round
    state["strict"] = strict
    for path in sorted(folder.iterdir()):
        state["inside"] = str(path.resolve())
        report = modelinspect.lint(path)
        state["inside"] = None
        assert report.findings, path
found = list(violations)
state["inside"] = str(folder)
marshal.loads(marshal.dumps(1))
open(os.devnull).close()
state["inside"] = None
print(json.dumps({"found": found, "caught": [event for _, event, _ in violations[len(found):]], "opened": "open" in seen}))
"""  # noqa: E501


def test_lint_opens_the_artifact_alone_and_runs_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT, FOLDER / "unsafe"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["found"] == []
    assert said["opened"]
    assert said["caught"] == ["marshal.loads", "open"]


def test_the_code_of_lint_names_no_way_to_run_anything() -> None:
    words = ("pickle.load", "marshal.load", "exec(", "eval(", "subprocess", "import_module(name", "b64decode")
    for path in sorted((PROJECT / "src" / "modelinspect" / "analyses" / "lint").glob("*.py")):
        if path.name not in ("signatures.py", "config_import.py"):  # they list such words
            text = path.read_text(encoding="utf-8")
            assert [word for word in words if word in text] == [], path.name
