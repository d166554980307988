"""The command of a set of networks: convert them, record them, and compare what is recorded.

usage: python benchmarks/accuracy/NAME_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/NAME_networks.py FOLDER --store | --check

KERAS is 2 or 3, START is how the names of networks begin, FIRST and LAST are turns. Networks that are done
are not made again, so the run can be stopped at any time. ``--store`` writes the networks into
``NAME_bases.tar.xz``, TensorFlow's sizes into ``NAME_sizes.csv`` and why the converter refused a form into
``NAME_refused.csv``; ``--check`` compares the networks that are made again from there with those in the
folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.accuracy.converted_networks import attempt, keras_library
from benchmarks.accuracy.recorded_networks import NetworkSet, store
from benchmarks.accuracy.second_networks import differing, store_refused
from benchmarks.accuracy.unseen_networks import Network


def run(which: NetworkSet, networks: Callable[[int], Iterable[tuple[int, Network]]]) -> None:
    """Do what the command line asks of a set; ``networks`` yields the turn and the networks of a version of
    Keras.
    """
    if "--store" in sys.argv:
        store(Path(sys.argv[1]), which)
        store_refused(Path(sys.argv[1]), which)
        return
    if "--check" in sys.argv:
        print("\n".join(differing(Path(sys.argv[1]), which)))
        return
    keras, folder = int(sys.argv[1]), Path(sys.argv[2])
    library = keras_library(keras)
    part = sys.argv[3] if len(sys.argv) > 3 and not sys.argv[3].startswith("--") else ""
    place = sys.argv.index("--seeds") + 1 if "--seeds" in sys.argv else 0
    first, last = (int(sys.argv[place]), int(sys.argv[place + 1])) if place else (0, sys.maxsize)
    for turn, network in networks(keras):
        if network.name.startswith(part) and first <= turn <= last:
            attempt(network, library, folder / network.name, which)
