"""Lists the commands; each is a module of this package with a function ``command``, imported when it is first asked for."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "inspect": "Show where the bytes go (`modelinspect PATH` is the same).",
    "tensors": "List every tensor: role, dtype, shape, sizes, zeros.",
    "map": "List every region, say who owns a byte, dump bytes with what they are.",
    "diff": "Say what differs between two artifacts, by category, layer and tensor.",
    "explain": "Say why an artifact has its size, or why two differ or do not: causes and remedies.",
    "lint": "Find unsafe and wasteful content, without executing anything.",
    "plan": "Say how small it could be: each option's size, and how to get it.",
    "shrink": "Write a smaller file that loads as before, and prove that nothing in it changed.",
    "check": "Hold an artifact against a budget of sizes, for CI.",
    "scan": "Inspect every artifact below folders into one table.",
    "prune": "Make original and pruned artifacts in every saving method, with a manifest.",
    "study": "Prune by many schedules, sparsities and patterns, and tabulate every size.",
    "demo": "Try it on two small models that come with it.",
}
"""The names of the commands with a sentence on each."""

DEFAULT = "inspect"


def module_name(command: str) -> str:
    """Return the module that holds a command."""
    return f"modelinspect.cli.{command.replace('-', '_')}"
