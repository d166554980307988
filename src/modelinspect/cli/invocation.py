"""The command line that is being run, as somebody would type it."""

from __future__ import annotations

from contextvars import ContextVar

PROGRAM = "modelinspect"
ARGUMENTS: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())
"""The arguments of the command that runs; empty outside of one."""


def command_line() -> str:
    """Return the command that runs, empty outside of one."""
    import shlex  # only a page needs it, and every command imports this module

    arguments = ARGUMENTS.get()
    return shlex.join((PROGRAM, *arguments)) if arguments else ""
