"""Run a command over many files, as pre-commit gives them: ``python -m modelinspect.cli.hook COMMAND --option=value -- FILE...``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from modelinspect.cli.main import USAGE, main

END = "--"
"""What follows it are files, however their names begin."""


def run(arguments: Sequence[str]) -> int:
    """Run the command for each file and return the highest exit code; options come before ``--``, for all of the files.

    Without ``--``, what begins with a dash is an option, unless there is a file of that name: that is a mistake of the set-up, exit code 2.
    """
    command, *rest = arguments
    if END in rest:
        end = rest.index(END)
        options, names = rest[:end], rest[end + 1 :]
    else:
        options = [argument for argument in rest if argument.startswith("-")]
        names = [argument for argument in rest if not argument.startswith("-")]
        confusing = [option for option in options if os.path.lexists(option)]
        if confusing:
            sys.stderr.write(f"modelinspect: {confusing[0]!a} is a file and reads as an option: end the hook's args with '--'\n")
            return USAGE
    return max((main([command, *options, END, name]) for name in names), default=0)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
