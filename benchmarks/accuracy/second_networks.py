"""Draw a second set of networks that no rule was written for, and convert each with TensorFlow.

usage: python benchmarks/accuracy/second_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/second_networks.py FOLDER --store | --check

`second_kinds.py` has the builders: architectures of tutorials and of published code that the first set
(`fresh_networks.py`) does not have or wires otherwise, and a grammar with other distributions. No rule may be
written, and no stated error calibrated, with these networks: they show what the first set's figures are
worth. The turns of the options in `set_runs.py` are seeds.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.converted_networks import FORMS  # noqa: E402
from benchmarks.accuracy.recorded_networks import NetworkSet  # noqa: E402
from benchmarks.accuracy.second_kinds import EXPORTED, GRAMMARS, LOOPS, SECOND_KINDS  # noqa: E402
from benchmarks.accuracy.set_runs import run  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network  # noqa: E402

SEEDS = 14
"""The seeds of each grammar; a published architecture is drawn once for each Keras."""
LARGE = ("s-module-quickstart", 3)
"""A network whose SavedModel can only be stored with its weights, which are 2 MB."""


def networks(keras: int) -> Iterator[tuple[int, Network]]:
    """Yield the seeds and the networks of one version of Keras, seed after seed, so any part of the run has
    every kind; a published architecture has one seed, and recurrent ones are last, because they take minutes
    each.
    """
    kinds = sorted(SECOND_KINDS, key=lambda kind: kind in LOOPS)
    for seed in range(SEEDS):
        for kind in kinds:
            if (seed == 0 or kind in GRAMMARS) and (kind, keras) != LARGE:
                yield seed, Network(kind, keras, seed)


def is_exported(network: Network) -> bool:
    """Return whether a network is only a SavedModel: subclassed models, and each fourth of a grammar."""
    return network.kind in EXPORTED or (network.kind in GRAMMARS and network.seed % 4 == 3)


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to: all of a published architecture; of a grammar's
    network float32, one whose weights are stored otherwise, and a full-integer one, which take turns.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    if network.kind in LOOPS:
        return [form for form in FORMS if not form.startswith("int")]
    if network.kind not in GRAMMARS:
        return list(FORMS)
    turn = zlib.crc32(network.kind.encode()) + network.seed + network.keras
    others = ("float16", "dynamic-int8", "float32-sparse", "dynamic-int8-sparse")
    return ["float32", others[turn % 4], ("int8", "int16x8")[turn // 4 % 2]]


SECOND = NetworkSet("second", SECOND_KINDS, forms_of, is_exported=is_exported)

if __name__ == "__main__":
    run(SECOND, networks)
