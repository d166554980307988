"""Draw a fourth set of networks that no rule was written for, and convert each with TensorFlow.

usage: python benchmarks/accuracy/fourth_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/fourth_networks.py FOLDER --store | --check

`fourth_kinds.py` has the builders: small versions of networks that engineers ship or publish. They were
written and converted without running the predictor, and before anybody saw what it predicts of them. No rule
may be written, and no stated error calibrated, with these networks. `fourth_weights.py` gives them their
weights: after two steps of training, drawn or as initialized, and half of the networks are pruned. What the
options do is in `set_runs.py`; the networks in ``fourth_bases.tar.xz`` have their weights, so it is too large
for the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.fourth_kinds import EXPORTED, FOURTH_KINDS, LOOPS, ONLY  # noqa: E402
from benchmarks.accuracy.fourth_weights import assign, is_pruned, turn_of  # noqa: E402
from benchmarks.accuracy.recorded_networks import NetworkSet  # noqa: E402
from benchmarks.accuracy.set_runs import run  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network  # noqa: E402


def networks(keras: int) -> Iterator[tuple[int, Network]]:
    """Yield the networks of one version of Keras, which have other seeds than those of the other; recurrent
    ones are last, because they take minutes each.
    """
    for kind in sorted(FOURTH_KINDS, key=lambda kind: kind in LOOPS):
        if keras in ONLY.get(kind, (2, 3)):
            yield 0, Network(kind, keras, keras - 2)


def is_exported(network: Network) -> bool:
    """Return whether a network is only a SavedModel, because it has Python code."""
    return network.kind in EXPORTED


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to: five, of which the last depends on the weights.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    sparse = ("float32-sparse", "dynamic-int8-sparse")[turn_of(network) // 7 % 2]
    if network.kind in LOOPS:
        return ["float32", "float16", "dynamic-int8", sparse]
    return ["float32", "float16", "dynamic-int8", "int8", sparse if is_pruned(network) else "int16x8"]


FOURTH = NetworkSet("fourth", FOURTH_KINDS, forms_of, is_exported=is_exported, assign=assign)

if __name__ == "__main__":
    run(FOURTH, networks)
