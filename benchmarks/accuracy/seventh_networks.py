"""Draw a seventh set of networks that no rule was written for, and convert each with TensorFlow.

usage: python benchmarks/accuracy/seventh_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/seventh_networks.py FOLDER --store | --check

`seventh_draw.py` draws which of the public examples in ``seventh_list.csv`` are in the set; the other modules
have small versions of them. They were written and converted without running the predictor and without reading
its rules. No rule may be written, and no stated error calibrated, with these networks. A network that the
converter refuses stays as it is, with its reason. `fourth_weights.py` gives the networks their weights. What
the options do is in `set_runs.py`; the networks in ``seventh_bases.tar.xz`` have their weights, so it is too
large for the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy import (  # noqa: E402
    seventh_images,
    seventh_maps,
    seventh_modules,
    seventh_research,
    seventh_signals,
    seventh_tables,
)
from benchmarks.accuracy.fourth_weights import assign, turn_of  # noqa: E402
from benchmarks.accuracy.recorded_networks import NetworkSet  # noqa: E402
from benchmarks.accuracy.set_runs import run  # noqa: E402
from benchmarks.accuracy.seventh_draw import drawn  # noqa: E402
from benchmarks.accuracy.third_images import Builder  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network  # noqa: E402

MODULES = (
    seventh_images,
    seventh_maps,
    seventh_signals,
    seventh_tables,
    seventh_modules,
    seventh_research,
)


def builder(kind: str) -> Builder:
    """Return the function that builds a kind of network and has its name."""
    name = kind.removeprefix("x-").replace("-", "_")
    (found,) = (getattr(module, name) for module in MODULES if hasattr(module, name))
    return cast("Builder", found)


KINDS = {kind: (group, builder(kind)) for kind, group in drawn().items()}


def networks(keras: int) -> Iterator[tuple[int, Network]]:
    """Yield the turn and the networks of one version of Keras, which have other seeds than those of the
    other; recurrent ones are last, because they take the longest. The second turn has every eighth kind.
    """
    for kind in sorted(KINDS, key=is_recurrent):
        for turn in (0, 1) if list(KINDS).index(kind) % 8 == 3 else (0,):
            yield turn, Network(kind, keras, keras - 2 + 2 * turn)


def is_recurrent(kind: str) -> bool:
    """Return whether a kind of network has recurrent layers."""
    return KINDS[kind][0] == "recurrent"


def is_exported(network: Network) -> bool:
    """Return whether a network is only a SavedModel, because it has Python code."""
    return KINDS[network.kind][0] == "exported"


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to: all, with one of the two sparse forms.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    sparse = ("float32-sparse", "dynamic-int8-sparse")[turn_of(network) // 7 % 2]
    integers = [] if is_recurrent(network.kind) else ["int8", "int16x8"]
    return ["float32", "float16", "dynamic-int8", sparse, *integers]


SEVENTH = NetworkSet("seventh", KINDS, forms_of, is_exported=is_exported, assign=assign)

if __name__ == "__main__":
    run(SEVENTH, networks)
