"""Change JSON documents: values replaced, nested, doubled and renamed by what configurations of models
say.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.fuzz.mutators.havoc import Rng, havoc

_DEEPEST = 80
_WORDS = (
    "class_name", "config", "module", "registered_name", "build_config", "layers", "name", "inbound_nodes", "__lambda__", "Lambda",  # noqa: E501
    "function", "value", "code", "4wAAAA==", "TFOpLambda", "io.write_file", "builtins", "eval",
    "Sequential", "Functional", "Dense", "keras.layers",
    "dtype", "shape", "weightsManifest", "modelTopology", "paths", "weights", "float32", "../x", "file:///x", "__tensor__", "__numpy__",  # noqa: E501
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    1e308,
    float("nan"),
    "",
    [],
    {},
    "\ud800",
    "x" * 300,
    [[]],
    {"": {}},
)


def mutate(data: bytes, rng: Rng) -> bytes:
    """Return a document with a few values changed; what is none is changed without structure."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return havoc(data, rng)
    try:
        for _ in range(rng.choice((1, 1, 2, 5))):
            document = _change(document, rng)
        text = json.dumps(document)
    except (ValueError, LookupError, RecursionError):  # one value at two places was changed within itself
        return havoc(data, rng)
    if rng.random() < 0.1:  # a key twice, which readers settle differently
        text = text.replace("{", '{"class_name": "Lambda", ', rng.choice((1, 3)))
    return text.encode("utf-8", "surrogatepass")


def _change(value: Any, rng: Rng, depth: int = 0) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9 and depth < _DEEPEST:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            value[rng.choice(_WORDS)] = value.pop(key)
        elif rng.random() < 0.1:
            value[rng.choice(_WORDS)] = value[key]
        else:
            value[key] = _change(value[key], rng, depth + 1)
        return value
    if isinstance(value, list) and value and rng.random() < 0.9 and depth < _DEEPEST:
        index = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                del value[index]
            case 1:
                value.append(value[index])
            case _:
                value[index] = _change(value[index], rng, depth + 1)
        return value
    return _other(value, rng)


def _other(value: Any, rng: Rng) -> Any:
    match rng.randrange(6):
        case 0:
            return rng.choice(_WORDS)
        case 1:
            return {
                "class_name": rng.choice(_WORDS),
                "config": {rng.choice(_WORDS): value},
                "module": rng.choice(_WORDS),
            }
        case 2:
            return [value] * rng.choice((0, 2, 40))
        case 3:
            for _ in range(rng.choice((3, 70))):
                value = [value] if rng.random() < 0.5 else {rng.choice(_WORDS): value}
            return value
        case 4 if isinstance(value, int) and not isinstance(value, bool):
            return value + rng.choice((1, -1, value, 2**31, -(2**40)))
        case _:
            return copy.deepcopy(rng.choice(_VALUES))
