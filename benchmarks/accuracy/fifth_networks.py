"""Draw a fifth set of networks that no rule was written for, and convert each with TensorFlow.

usage: python benchmarks/accuracy/fifth_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/fifth_networks.py FOLDER --store | --check

`fifth_images.py`, `fifth_maps.py`, `fifth_signals.py`, `fifth_texts.py`, `fifth_tables.py` and
`fifth_modules.py` have the builders: small versions of networks of public repositories and tutorials that are
in no other set. They were written and converted without running the predictor and without reading its rules.
No rule may be written, and no stated error calibrated, with these networks. `fourth_weights.py` gives them
their weights. What the options do is in `set_runs.py`; the networks in ``fifth_bases.tar.xz`` have their
weights, so it is too large for the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.fifth_images import FIFTH_IMAGES  # noqa: E402
from benchmarks.accuracy.fifth_maps import FIFTH_MAPS  # noqa: E402
from benchmarks.accuracy.fifth_modules import FIFTH_MODULES, MODULES_ONLY  # noqa: E402
from benchmarks.accuracy.fifth_signals import FIFTH_SIGNALS  # noqa: E402
from benchmarks.accuracy.fifth_tables import FIFTH_TABLES  # noqa: E402
from benchmarks.accuracy.fifth_texts import FIFTH_TEXTS  # noqa: E402
from benchmarks.accuracy.fourth_weights import assign, turn_of  # noqa: E402
from benchmarks.accuracy.recorded_networks import NetworkSet  # noqa: E402
from benchmarks.accuracy.set_runs import run  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network  # noqa: E402

KINDS = {**FIFTH_IMAGES, **FIFTH_MAPS, **FIFTH_SIGNALS, **FIFTH_TEXTS, **FIFTH_TABLES, **FIFTH_MODULES}
LOOPS = frozenset(kind for kind, (group, _) in KINDS.items() if group == "recurrent")
"""Kinds with recurrent layers."""


def networks(keras: int) -> Iterator[tuple[int, Network]]:
    """Yield the turn and the networks of one version of Keras, which have other seeds than those of the
    other; recurrent ones are last, because they take minutes each. The second turn has every sixth kind.
    """
    for kind in sorted(KINDS, key=lambda kind: kind in LOOPS):
        for turn in (0, 1) if list(KINDS).index(kind) % 6 == 3 else (0,):
            if keras in MODULES_ONLY.get(kind, (2, 3)):
                yield turn, Network(kind, keras, keras - 2 + 2 * turn)


def is_exported(network: Network) -> bool:
    """Return whether a network is only a SavedModel, because it has Python code."""
    return network.kind in FIFTH_MODULES


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to: all, with one of the two sparse forms.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    sparse = ("float32-sparse", "dynamic-int8-sparse")[turn_of(network) // 7 % 2]
    integers = [] if network.kind in LOOPS else ["int8", "int16x8"]
    return ["float32", "float16", "dynamic-int8", sparse, *integers]


FIFTH = NetworkSet("fifth", KINDS, forms_of, is_exported=is_exported, assign=assign)

if __name__ == "__main__":
    run(FIFTH, networks)
