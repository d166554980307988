"""The names that Keras and TensorFlow serialize themselves, as scripts/derive_keras_names.py found them in
their releases.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

from modelinspect.core.records import dataclass


@dataclass(frozen=True, slots=True)
class Names:
    """Names by kind.

    ``classes`` and ``functions`` are those of Keras that a configuration may refer to, ``tensor_functions``
    the exported functions of TensorFlow that only compute on tensors, ``builtins`` those of Python,
    ``packages`` the modules that are installed with TensorFlow.
    """

    classes: frozenset[str]
    functions: frozenset[str]
    tensor_functions: frozenset[str]
    tensor_function_names: frozenset[str]
    builtins: frozenset[str]
    packages: frozenset[str]


@lru_cache(maxsize=1)
def names() -> Names:
    """Read the table once."""
    text = files("modelinspect.rules.unsafe").joinpath("data", "keras_names.json").read_text(encoding="utf-8")
    table: dict[str, list[str]] = json.loads(text)
    symbols = table["tensor_functions"]
    return Names(
        classes=frozenset(table["classes"]),
        functions=frozenset(table["functions"]),
        tensor_functions=frozenset(symbols),
        tensor_function_names=frozenset(symbol.rpartition(".")[2] for symbol in symbols),
        builtins=frozenset(table["builtins"]),
        packages=frozenset(table["packages"]),
    )
