"""Name what can go wrong while pruning.

::

    ModelInspectError
    ├── UsageError
    │   └── JobError    the command asks for something impossible (exit code 2)
    └── PruningError    the model or the machine does not let us (exit code 3)
"""

from __future__ import annotations

from modelinspect.errors import ModelInspectError, UsageError


class JobError(UsageError):
    """The job asks for something that cannot be done: the command has to change."""


class PruningError(ModelInspectError):
    """The model, TensorFlow or the machine does not let the job be done."""
