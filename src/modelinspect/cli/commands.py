"""The commands, each a module of this package with a function ``command``, imported on first use; and the
command line that is being run, as somebody would type it.
"""

from __future__ import annotations

from contextvars import ContextVar

COMMANDS: dict[str, str] = {
    "inspect": "Show where the bytes go (`modelinspect PATH` is the same).",
    "tensors": "List every tensor: role, dtype, shape, sizes, zeros.",
    "map": "List every region, find the owner of a byte, dump bytes with labels.",
    "diff": "Compare two models by category, layer and tensor.",
    "explain": "Explain the size of a model, or the difference between two: causes and remedies.",
    "lint": "Find unsafe and wasteful content without running anything.",
    "plan": "Show how small it could be: the size of each option, and how to get it.",
    "shrink": "Write a smaller file that loads as before, and prove that nothing changed.",
    "check": "Check a model against size limits, for CI.",
    "scan": "Inspect every model below some folders, into one table or a dataset.",
    "embed": "Fill marked blocks of Markdown documents with what commands print now.",
    "prune": "Save a model and its pruned version in every way, with a manifest.",
    "study": "Prune with many schedules, sparsities and patterns, and tabulate every size.",
    "demo": "Try it on two small models that come with modelinspect.",
}
"""The commands by name, each with a sentence."""

DEFAULT = "inspect"


def module_name(command: str) -> str:
    """Return the module that holds a command."""
    return f"modelinspect.cli.{command.replace('-', '_')}"


PROGRAM = "modelinspect"
ARGUMENTS: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())
"""The arguments of the command that runs; empty outside of one."""


def command_line() -> str:
    """Return the command that runs, empty outside of one."""
    import shlex  # only a page needs it, and every command imports this module

    arguments = ARGUMENTS.get()
    return shlex.join((PROGRAM, *arguments)) if arguments else ""
