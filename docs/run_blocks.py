"""Runs the commands that the documents show and puts what they print beneath them.

A fenced block that begins with ```` ```console ```` holds commands behind ``$``, run in the project's root,
and their output. A number in prose stands between ``<!-- value: inspect PATH KEY.KEY -->`` and ``<!-- /value
-->``: the value at that key of ``modelinspect.inspect(PATH).to_dict()``, thousands separated.

Commands of different pages run at once, and each once. A page with ``<!-- blocks: scratch -->`` makes files:
its commands run one after another in a new folder, in which the folders of the project are links.

    python docs/run_blocks.py           rewrite README.md and docs/
    python docs/run_blocks.py PAGE...   rewrite these pages
    python docs/run_blocks.py --check   say which documents are not what the tool prints now, and exit with 1
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^(?P<indent> *)```console\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_VALUE = re.compile(
    r"(<!-- value: (?P<report>\w+) (?P<path>\S+) (?P<keys>\S+) -->)(?P<text>.*?)(<!-- /value -->)", re.DOTALL
)
_COMMAND = re.compile(r" *\$ ")
SCRATCH = "<!-- blocks: scratch -->"


def documents() -> list[Path]:
    """Return the documents that may hold blocks."""
    return [ROOT / "README.md", ROOT / "fixtures" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def rebuilt(text: str) -> str:
    """Return a document with every command's output and every value as they are now."""
    if SCRATCH not in text:
        return _VALUE.sub(_value, _blocks(text, run))
    with tempfile.TemporaryDirectory(prefix="blocks-") as folder:
        for name in ("docs", "fixtures"):
            (Path(folder) / name).symlink_to(ROOT / name)
        return _VALUE.sub(_value, _blocks(text, lambda command: execute(command, Path(folder))))


def warm(texts: Iterable[str]) -> None:
    """Run the commands of all documents at once, as many at a time as there are processors; `run` has their
    output then.
    """
    commands = [
        line.strip()[2:]
        for text in texts
        if SCRATCH not in text
        for block in _BLOCK.finditer(text)
        for line in block["body"].splitlines()
        if _COMMAND.match(line)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, dict.fromkeys(commands)))


def _blocks(text: str, output: Callable[[str], str]) -> str:
    return _BLOCK.sub(lambda match: _block(match, output), text)


def _block(match: re.Match[str], output: Callable[[str], str]) -> str:
    indent = match["indent"]
    lines = [indent + "```console"]
    for line in match["body"].splitlines():
        command = line[len(indent) :]
        if command.startswith("$ "):
            lines.append(line)
            lines += [(indent + out).rstrip() for out in output(command[2:]).splitlines()]
    return "\n".join([*lines, indent + "```"])


@cache
def run(command: str) -> str:
    """Return what a command prints in the project's root; it runs once."""
    return execute(command, ROOT)


def execute(command: str, folder: Path) -> str:
    """Return what a command prints; a failing one ends with its exit code."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    code = f"# exit code {done.returncode}\n" if done.returncode else ""
    return done.stdout + done.stderr + code


@cache
def _report(kind: str, path: str) -> dict[str, object]:
    import modelinspect

    found: dict[str, object] = getattr(modelinspect, kind)(
        *(str(ROOT / part) for part in path.split("+"))
    ).to_dict()
    return found


def _value(match: re.Match[str]) -> str:
    value: object = _report(match["report"], match["path"])
    for key in match["keys"].split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]  # type: ignore[index]
    text = f"{value:,}" if isinstance(value, int | float) else str(value)
    return f"{match[1]}{text}{match[6]}"


def main() -> int:
    """Rewrite or check the documents."""
    check = "--check" in sys.argv[1:]
    named = [Path(name).resolve() for name in sys.argv[1:] if not name.startswith("-")]
    stale = 0
    texts = {path: path.read_text(encoding="utf-8") for path in named or documents() if path.is_file()}
    warm(texts.values())
    for path, text in texts.items():
        new = rebuilt(text)
        if new == text:
            continue
        stale += 1
        name = path.relative_to(ROOT).as_posix()
        if check:
            sys.stdout.writelines(
                unified_diff(text.splitlines(True), new.splitlines(True), name, f"{name} (now)", n=1)
            )
        else:
            path.write_text(new, encoding="utf-8")
            print(f"rewrote {name}")
    if check and stale:
        print(f"{stale} documents are not what the tool prints; run: make docs")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
