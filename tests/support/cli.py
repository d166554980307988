"""Runs the command line, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock


@dataclass(frozen=True)
class CliResult:
    """What a run of the command line left behind."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.out.decode()


class _Stream(io.TextIOWrapper):
    """Standard output in memory that can claim to be a terminal."""

    def __init__(self, tty: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="", write_through=True)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def value(self) -> bytes:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue()


def run_cli(
    *arguments: str | Path,
    columns: int = 80,
    tty: bool = False,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> CliResult:
    """Run ``modelinspect ARGUMENTS`` in this process: fast, and an exception passes through to the test."""
    from modelinspect.cli.main import main

    out, err = _Stream(tty), _Stream(tty)
    environment = {"COLUMNS": str(columns), "TERM": "xterm-256color" if tty else "dumb", **(env or {})}
    folder = contextlib.chdir(cwd) if cwd is not None else contextlib.nullcontext()
    with (
        folder,
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
    ):
        try:
            code: object = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
    return CliResult(
        code if isinstance(code, int) else (0 if code is None else 1), out.value(), err.value().decode()
    )


def run_process(
    *arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 1800
) -> CliResult:
    """Run ``python -m modelinspect ARGUMENTS`` as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "modelinspect", *(str(argument) for argument in arguments)],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        check=False,
    )
    return CliResult(done.returncode, done.stdout, done.stderr.decode())
