"""Draw a third set of networks that no rule was written for, and convert each with TensorFlow.

usage: python benchmarks/accuracy/third_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/third_networks.py FOLDER --store | --check

`third_kinds.py` has the builders: architectures of tutorials, papers and competitions that the first two sets
do not have, and a grammar with other distributions. They were written and converted without running the
predictor, and before anybody saw what it predicts of them. No rule may be written, and no stated error
calibrated, with these networks. A published architecture is in turn 0. What the options do is in
`set_runs.py`.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.recorded_networks import NetworkSet  # noqa: E402
from benchmarks.accuracy.set_runs import run  # noqa: E402
from benchmarks.accuracy.third_kinds import EXPORTED, GRAMMARS, LOOPS, ONLY, THIRD_KINDS  # noqa: E402
from benchmarks.accuracy.unseen_networks import DENSE, Network  # noqa: E402

TURNS = 9
"""How many networks of each grammar are drawn for each Keras; a published architecture is drawn once."""


def networks(keras: int) -> Iterator[tuple[int, Network]]:
    """Yield the turn and the networks of one version of Keras; recurrent ones are last in their turn, because
    they take minutes each.
    """
    kinds = sorted(THIRD_KINDS, key=lambda kind: kind in LOOPS)
    for turn in range(TURNS):
        for kind in kinds:
            if (turn == 0 or kind in GRAMMARS) and keras in ONLY.get(kind, (2, 3)):
                yield turn, Network(kind, keras, seed_of(kind, keras, turn))


def seed_of(kind: str, keras: int, turn: int) -> int:
    """Return the seed of a network; a grammar's seeds differ between the versions of Keras. A third of all
    networks has seeds from ``DENSE`` on: their weights are not pruned. The others differ in how many weights
    are zero and where.
    """
    seed = turn + TURNS * (keras - 2) if kind in GRAMMARS else zlib.crc32(kind.encode()) % 15
    return seed + DENSE if seed % 3 == 1 else seed


def is_exported(network: Network) -> bool:
    """Return whether a network is only a SavedModel: what has Python code, and each fourth of a grammar."""
    return network.kind in EXPORTED or (network.kind in GRAMMARS and network.seed % 4 == 2)


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to. A published architecture has five, one of which takes
    turns; a grammar's network has float32, one whose weights are stored otherwise, and a full-integer one.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    turn = zlib.crc32(network.kind.encode()) + network.seed + network.keras
    if network.kind in GRAMMARS:
        others = ("dynamic-int8", "float16", "dynamic-int8-sparse", "float32-sparse")
        return ["float32", others[turn % 4], ("int8", "int16x8")[turn // 4 % 2]]
    if network.kind in LOOPS:
        return ["float32", "float16", "dynamic-int8", ("float32-sparse", "dynamic-int8-sparse")[turn % 2]]
    others = ("float32-sparse", "dynamic-int8-sparse", "int16x8")
    return ["float32", "float16", "dynamic-int8", others[turn % 3], "int8"]


THIRD = NetworkSet("third", THIRD_KINDS, forms_of, is_exported=is_exported)

if __name__ == "__main__":
    run(THIRD, networks)
