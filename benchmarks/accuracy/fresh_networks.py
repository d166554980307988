"""Draw networks that no rule was written for, in Keras 2 and Keras 3, and convert each with TensorFlow.

usage: python benchmarks/accuracy/fresh_networks.py KERAS FOLDER [PART] [--seeds FIRST LAST]
           [--idioms | --public]
       python benchmarks/accuracy/fresh_networks.py FOLDER --store

`fresh_kinds.py` and `fresh_graphs.py` build them, independently of `unseen_networks.py`; ``--public`` takes
`public_kinds.py` instead, which was written later and independently of both, and ``--idioms`` `idioms.py`.
Keras 2 saves `.h5`, Keras 3 `.keras`; of every third network that is not of `public_kinds.py` the SavedModel
is stored too. Weights come from numpy alone (`fill`), so a test makes the files again without TensorFlow:
``--store`` writes them without weights into ``fresh_bases.tar.xz`` and TensorFlow's sizes into
``fresh_sizes.csv``. Networks that are done are not made again, so the run can be stopped at any time. Seeds
under 100 calibrate the stated errors and no rule was written for them; seeds from 100 are free for
development.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.converted_networks import attempt, keras_library  # noqa: E402
from benchmarks.accuracy.fresh_graphs import GRAPHS  # noqa: E402
from benchmarks.accuracy.fresh_kinds import KINDS  # noqa: E402
from benchmarks.accuracy.idioms import IDIOMS  # noqa: E402
from benchmarks.accuracy.public_kinds import PUBLIC  # noqa: E402
from benchmarks.accuracy.recorded_networks import NetworkSet, store  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network  # noqa: E402

ALL = {**KINDS, **GRAPHS}
BUILDERS = {**ALL, **IDIOMS, **PUBLIC}


def networks(first: int = 0, last: int = 2, kinds: Iterable[str] = tuple(ALL)) -> Iterator[Network]:
    """Yield networks, seed after seed, so any part of the run has every kind."""
    for seed in range(first, last + 1):
        for kind in sorted(kinds, key=lambda kind: BUILDERS[kind][0] == "recurrent"):
            for keras in (2, 3):
                yield Network(kind, keras, seed)


def is_saved_too(network: Network) -> bool:
    """Return whether a network's SavedModel is stored as well."""
    if network.kind in PUBLIC:
        return False
    return network.kind in IDIOMS or (list(ALL).index(network.kind) + network.seed) % 3 == 0


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to: float32, one whose weights are stored otherwise, and a
    full-integer one.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    is_public = network.kind in PUBLIC  # these may become more, so their place does not count
    place = zlib.crc32(network.kind.encode()) % 8 if is_public else list(BUILDERS).index(network.kind)
    place += network.seed + network.keras
    others, integers = (
        ("float16", "dynamic-int8", "float32-sparse", "dynamic-int8-sparse"),
        (
            "int8",
            "int16x8",
        ),
    )
    forms = ["float32", others[place % len(others)]]
    return forms if BUILDERS[network.kind][0] == "recurrent" else [*forms, integers[place // len(others) % 2]]


FRESH = NetworkSet("fresh", BUILDERS, forms_of, is_saved_too)


def main() -> None:
    if "--store" in sys.argv:
        store(Path(sys.argv[1]), FRESH)
        return
    keras, folder = int(sys.argv[1]), Path(sys.argv[2])
    library = keras_library(keras)
    part = sys.argv[3] if len(sys.argv) > 3 and not sys.argv[3].startswith("--") else ""
    place = sys.argv.index("--seeds") + 1 if "--seeds" in sys.argv else 0
    first, last = (int(sys.argv[place]), int(sys.argv[place + 1])) if place else (0, 2)
    kinds = IDIOMS if "--idioms" in sys.argv else PUBLIC if "--public" in sys.argv else ALL
    for network in networks(first, last, kinds):
        if network.keras == keras and part in network.name:
            attempt(network, library, folder / network.name, FRESH)


if __name__ == "__main__":
    main()
