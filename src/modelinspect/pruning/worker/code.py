"""Run the file of Python that defines a model's own classes, which the user allowed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from modelinspect.pruning.errors import JobError
from modelinspect.pruning.worker.reasons import reason_of


def custom_objects(place: Path) -> dict[str, Any]:
    """Run a file of Python and return its public functions and classes, as names that a model file may
    use.
    """
    try:
        names = runpy.run_path(str(place))
    except FileNotFoundError as problem:
        raise JobError(f"{place}: no such file") from problem
    except Exception as problem:  # the user's own code may raise anything
        raise JobError(f"{place}: {reason_of(problem)}") from problem
    return {name: value for name, value in names.items() if not name.startswith("_") and callable(value)}
