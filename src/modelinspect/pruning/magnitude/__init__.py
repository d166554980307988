"""Magnitude pruning of Keras 3 models, without wrappers: a callback and a function.

Needs keras, and nothing else of a backend.
"""

from importlib.util import find_spec

from modelinspect.errors import MissingExtraError

if find_spec("keras") is None:
    raise MissingExtraError(
        "pruning in Python needs keras 3: pip install keras, and a backend (tensorflow, jax or torch)"
    )
