"""The command ``demo``."""

from __future__ import annotations

import shlex
import shutil
import sys
from contextlib import chdir
from pathlib import Path
from textwrap import fill
from typing import Annotated

from modelinspect.cli.parameters import Option
from modelinspect.errors import OutputError, UsageError
from modelinspect.renderers.look import USUAL

NEEDS_ARGUMENTS = False
EXAMPLES = """\b
Examples:
  modelinspect demo
  modelinspect demo -o models
"""

ARTIFACTS = ("original.h5", "pruned.h5")
"""A network of two dense layers, and the same network with 80 % of its weights pruned; Keras saved both
without an optimizer.
"""

_INTRODUCTION = (
    "Two Keras models that come with modelinspect: a small network, and the same network with 80 % of its"
    " weights pruned to zero. Why is the second not smaller?"
)
_NEXT = (
    "Your own model: modelinspect MODEL. To run commands on these two: modelinspect demo -o DIR. All"
    " commands: modelinspect --help"
)
_DATA = Path(__file__).resolve().parent.parent / "data"

_Folder = Annotated[
    Path | None,
    Option(
        "--output", "-o", metavar="DIR", help="Write the two files to a folder, to try commands on, and stop."
    ),
]


def command(output: _Folder = None) -> None:
    """Show the tool on two small models that come with it: why pruning did not make one smaller, and what
    does.

    It needs no TensorFlow, no network and no files of yours.
    """
    if output is not None:
        _copy(output)
        return
    from modelinspect.cli.explain import command as explain

    _say(_wrapped(_INTRODUCTION))
    with chdir(_DATA):
        _say("\n$ modelinspect explain original.h5 pruned.h5 --top 1")
        explain(*ARTIFACTS, top=1)
    _say("\n" + _wrapped(_NEXT))


def _copy(folder: Path) -> None:
    """Write the two files.

    Raises `UsageError` where something is in the way, `OutputError` where the folder cannot be written.
    """
    taken = [str(folder / name) for name in ARTIFACTS if (folder / name).exists()]
    if taken:
        raise UsageError(f"{taken[0]}: exists; name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARTIFACTS:
            shutil.copyfile(_DATA / name, folder / name)
    except OSError as problem:
        raise OutputError(f"{folder}: cannot be written: {problem.strerror or problem}") from problem
    _say(
        f"wrote {shlex.join(str(folder / name) for name in ARTIFACTS)}; try: modelinspect"
        f" {shlex.quote(str(folder / ARTIFACTS[1]))}"
    )


def _wrapped(text: str) -> str:
    return fill(
        text, shutil.get_terminal_size((USUAL, 24)).columns, break_on_hyphens=False, break_long_words=False
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
