"""Run commands of modelinspect under an audit hook, and print what they did that no reader of a file should.

``python -m tests.support.audited`` reads ``{"artifacts": [path, ...], "commands": [[argument, ...], ...],
"warm": path}`` as JSON from its standard input; ``{}`` in an argument stands for the artifact, ``{out}`` for
a new path in a temporary folder, ``{document}`` for a Markdown document that shows the artifact. It prints a
JSON list of violations.

Allowed is what Python and installed packages need: opening, importing and compiling their own files.
Everything else is a violation: a file opened elsewhere than in the artifact or a temporary folder, code that
is compiled, unmarshalled or executed from elsewhere, pickles, sockets, processes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import modelinspect
from tests.support.cli import run_cli

_FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "pickle.find_class", "ctypes.dlopen",  # noqa: E501
    "urllib.", "http.client", "ftplib.", "smtplib.", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown",  # noqa: E501
    "shutil.", "webbrowser.", "sys._current_frames", "cpython.run_", "code.__new__",
)  # fmt: skip
_FILES = ("os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "shutil.")
"""What commands may do to files of theirs in a temporary folder."""
_GENERATORS = (
    "dataclasses.py",
    "collections/__init__.py",
    "enum.py",
    "typing.py",
    "functools.py",
    "inspect.py",
    "annotationlib.py",
    "ast.py",
)
"""Modules of the standard library that compile what they generate, or make trees, which run nothing."""


class Audit:
    """Collects violations while it is on."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.is_on = False
        self.own: tuple[str, ...] = ()
        """What may be opened beside Python's own files: the artifact, or the folder that it is in, and
        temporary folders.
        """
        paths = sysconfig.get_paths()
        libraries = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")} | {
            str(Path(modelinspect.__file__).parents[1])
        }
        self.python = tuple(sorted({os.path.realpath(path) for path in libraries} | libraries))
        self.quiet = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on or self.quiet:
            return
        self.quiet = True  # looking at paths raises events, too
        try:
            problem = self._problem(event, arguments)
            if problem is not None and len(self.violations) < 200:
                self.violations.append(f"{event}: {problem}")
        finally:
            self.quiet = False

    def _problem(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        match event:
            case "open":
                return self._opened(arguments[0], arguments[1], arguments[2])
            case "exec":
                return self._code(arguments[0])
            case "compile":
                return self._compiled(arguments[1])
            case "marshal.loads" | "marshal.load":
                return None if self._caller().startswith("<frozen importlib") else f"by {self._caller()}"
            case "import":
                file = arguments[1]
                return None if file is None or self._is_python(str(file)) else str(file)
        if event.startswith(_FORBIDDEN):
            return (
                None if event.startswith(_FILES) and self._is_temporary(arguments) else repr(arguments)[:200]
            )
        return None

    def _opened(self, path: Any, mode: Any, flags: int) -> str | None:
        if isinstance(path, int):
            return None
        text = os.path.realpath(os.fsdecode(path))
        if text.startswith((*self.own, os.path.realpath(tempfile.gettempdir()) + os.sep)):
            return None
        if (
            mode is None and self._caller() == shutil.__file__
        ):  # rmtree goes down a temporary folder by descriptors
            return None
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return None if self._is_python(text) and not writes else f"{text} ({mode})"

    def _code(self, code: Any) -> str | None:
        name = getattr(code, "co_filename", "?")
        if self._is_python(name) or name.startswith("<frozen "):
            return None
        return None if self._is_generated() else f"code of {name}"

    def _compiled(self, name: Any) -> str | None:
        text = os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
        return None if self._is_python(text) or self._is_generated() else f"{text} by {self._caller()}"

    def _is_generated(self) -> bool:
        caller = self._caller()
        return self._is_python(caller) and (caller.endswith(_GENERATORS) or "site-packages" in caller)

    def _is_temporary(self, arguments: tuple[Any, ...]) -> bool:
        """Return whether an event is about a file in a temporary folder, which commands make for
        themselves.
        """
        paths = [os.fsdecode(each) for each in arguments if isinstance(each, str | bytes | os.PathLike)]
        folder = arguments[-1] if arguments and isinstance(arguments[-1], int) else -1
        if folder >= 0:  # names within a folder that is given by its descriptor
            try:
                paths = [str(Path(f"/proc/self/fd/{folder}").readlink() / path) for path in paths]
            except OSError:
                return False
        return bool(paths) and all(
            os.path.realpath(path).startswith(os.path.realpath(tempfile.gettempdir()) + os.sep)
            for path in paths
        )

    def _is_python(self, path: str) -> bool:
        return os.path.realpath(path).startswith(self.python)

    @staticmethod
    def _caller() -> str:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        return frame.f_code.co_filename


def main() -> None:
    """Warm up without the hook, run every command on every artifact with it, print violations."""
    task = json.load(sys.stdin)
    audit = Audit()
    sys.addaudithook(audit)
    with tempfile.TemporaryDirectory() as folder:
        _run(task, audit, Path(folder))


def _told(command: list[str], artifact: str, folder: Path) -> list[str]:
    """Return a command with its placeholders replaced."""
    if "{document}" in command:
        text = f"<!-- modelinspect: lint {artifact} -->\n<!-- /modelinspect -->\n"
        (folder / "document.md").write_text(text, encoding="utf-8", errors="surrogateescape")
    out = tempfile.mktemp(dir=folder)  # only a name: commands refuse to replace what is there
    named = {"{}": artifact, "{out}": out, "{document}": str(folder / "document.md")}
    for placeholder, value in named.items():
        command = [part.replace(placeholder, value) for part in command]
    return command


def _run(task: dict[str, Any], audit: Audit, folder: Path) -> None:
    for command in task["commands"]:
        run_cli(*_told(command, task["warm"], folder))
    found: list[str] = []
    runs = 0
    for artifact in task["artifacts"]:
        path = os.path.realpath(artifact)
        audit.own = (path, os.path.realpath(os.devnull))
        for command in task["commands"]:
            audit.violations.clear()
            told = _told(command, artifact, folder)
            audit.is_on = True
            try:
                result = run_cli(*told)
            finally:
                audit.is_on = False
            runs += 1
            found += [f"{command[0]} {artifact}: {violation}" for violation in audit.violations]
            if result.code not in (0, 1, 2, 3):
                found.append(f"{command[0]} {artifact}: exit code {result.code}")
    print(json.dumps({"runs": runs, "violations": found}))


if __name__ == "__main__":
    main()
