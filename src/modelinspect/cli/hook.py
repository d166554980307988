"""Run a command for the models that files belong to, as pre-commit gives them.

The form is ``python -m modelinspect.cli.hook COMMAND --option=value -- FILE...``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from modelinspect.cli.main import CLEAN, USAGE, main

END = "--"
"""What follows it are files, whatever their names begin with."""


def run(arguments: Sequence[str]) -> int:
    """Run the command once for all models and return its exit code; options come before ``--``.

    Without ``--``, an argument that begins with a dash is an option, unless there is a file of that name:
    that is a mistake in the configuration, exit code 2. Files that belong to no model are named on the error
    stream and passed over.
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
            sys.stderr.write(
                f"modelinspect: {confusing[0]!a} is a file and reads as an option: end the hook's args with"
                " '--'\n"
            )
            return USAGE
    models, others = models_of(names)
    for name in others:
        sys.stderr.write(f"modelinspect: {name!a} is not a model, and was not checked\n")
    return main([command, *options, END, *models]) if models else CLEAN


def models_of(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the models that files belong to, each once, and the files that belong to none.

    A file of a SavedModel, of a preset or of an Orbax checkpoint stands for its folder, a shard for its
    index.
    """
    from modelinspect.formats.discovery import group

    paths = [PurePosixPath(Path(name).as_posix()) for name in names]
    around = {str(path) for path in paths}
    for folder in {parent for path in paths for parent in path.parents}:
        around.update(str(folder / entry.name) for entry in os.scandir(folder) if entry.is_file())
    artifacts = set(group(sorted(around))[0])
    models: dict[str, None] = {}
    others: list[str] = []
    for path in paths:
        owners = [str(one) for one in (path, *path.parents) if str(one) in artifacts]
        owners = owners or [one for one in sorted(artifacts) if group((one, str(path))) == ([one], 0)]
        if owners and _is_model(owners[0]):
            models[owners[0]] = None
        else:
            others.append(str(path))
    return list(models), others


def _is_model(name: str) -> bool:
    """Return whether a file or folder with the name of a model is one: an LFS pointer is not."""
    from modelinspect.errors import ModelInspectError
    from modelinspect.formats.discovery import is_model
    from modelinspect.sources.opening import open_location

    try:
        with open_location(name) as files:
            return is_model(files)
    except ModelInspectError:
        return True  # the command says what is wrong with it


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
