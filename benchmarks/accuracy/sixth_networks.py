"""Draw a sixth set of networks that no rule was written for, and convert each with TensorFlow.

usage: python benchmarks/accuracy/sixth_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/sixth_networks.py FOLDER --store | --check

Each of `sixth_keras.py`, `sixth_tutorials.py`, `sixth_devices.py`, `sixth_notebooks.py`, `sixth_libraries.py`
and `sixth_modules.py` has small versions of networks of one list of public sources, the most read ones first.
They were written and converted without running the predictor and without reading its rules. No rule may be
written, and no stated error calibrated, with these networks. `fourth_weights.py` gives them their weights.
What the options do is in `set_runs.py`; the networks in ``sixth_bases.tar.xz`` have their weights, so it is
too large for the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.fourth_weights import assign, turn_of  # noqa: E402
from benchmarks.accuracy.recorded_networks import NetworkSet  # noqa: E402
from benchmarks.accuracy.set_runs import run  # noqa: E402
from benchmarks.accuracy.sixth_devices import SIXTH_DEVICES  # noqa: E402
from benchmarks.accuracy.sixth_keras import SIXTH_KERAS  # noqa: E402
from benchmarks.accuracy.sixth_libraries import SIXTH_LIBRARIES  # noqa: E402
from benchmarks.accuracy.sixth_modules import SIXTH_MODULES  # noqa: E402
from benchmarks.accuracy.sixth_notebooks import SIXTH_NOTEBOOKS  # noqa: E402
from benchmarks.accuracy.sixth_tutorials import SIXTH_TUTORIALS  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network  # noqa: E402

KINDS = {
    **SIXTH_KERAS,
    **SIXTH_TUTORIALS,
    **SIXTH_DEVICES,
    **SIXTH_NOTEBOOKS,
    **SIXTH_LIBRARIES,
    **SIXTH_MODULES,
}
LOOPS = frozenset(kind for kind, (group, _) in KINDS.items() if group == "recurrent")
"""Kinds with recurrent layers."""


def networks(keras: int) -> Iterator[tuple[int, Network]]:
    """Yield the turn and the networks of one version of Keras, which have other seeds than those of the
    other; recurrent ones are last, because they take the longest. The second turn has every eighth kind.
    """
    for kind in sorted(KINDS, key=lambda kind: kind in LOOPS):
        for turn in (0, 1) if list(KINDS).index(kind) % 8 == 3 else (0,):
            yield turn, Network(kind, keras, keras - 2 + 2 * turn)


def is_exported(network: Network) -> bool:
    """Return whether a network is only a SavedModel, because it has Python code."""
    return network.kind in SIXTH_MODULES


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to: all, with one of the two sparse forms.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    sparse = ("float32-sparse", "dynamic-int8-sparse")[turn_of(network) // 7 % 2]
    integers = [] if network.kind in LOOPS else ["int8", "int16x8"]
    return ["float32", "float16", "dynamic-int8", sparse, *integers]


SIXTH = NetworkSet("sixth", KINDS, forms_of, is_exported=is_exported, assign=assign)

if __name__ == "__main__":
    run(SIXTH, networks)
