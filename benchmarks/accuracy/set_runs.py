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

import csv
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.accuracy.converted_networks import attempt, keras_library
from benchmarks.accuracy.recorded_networks import NetworkSet, store, suffix, unpacked
from benchmarks.accuracy.signature_networks import DATA
from benchmarks.accuracy.unseen_networks import Network, named


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


def reason(text: str) -> str:
    """Return why a form was refused, in a few words: the operations that the converter has not, or how its
    message begins.
    """
    missing = sorted(set(re.findall(r"'?tf\.(\w+)'? op is neither a custom op nor a flex op", text)))
    if missing:
        return "has no " + ", ".join(missing)
    line = text.split("\n")[0].removeprefix("RuntimeError: ").partition(": Failed for tensor")[0]
    return re.sub(r"\s+", " ", line)[:100].strip()


def store_refused(folder: Path, which: NetworkSet) -> None:
    """Write the reason for every form that the converter refused, and for networks that Keras did not
    build.
    """
    rows: list[tuple[str, str, str]] = []
    for source in sorted(folder.iterdir()):
        if (source / "done").is_file():
            held = json.loads((source / "refused.json").read_text(encoding="utf-8"))
            rows += [(source.name, form, reason(text)) for form, text in held.items()]
        elif (source / "failed").is_file():
            rows.append(
                (source.name, "", "not built: " + reason((source / "failed").read_text(encoding="utf-8")))
            )
    with which.refused.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([("network", "form", "reason"), *rows])


def differing(folder: Path, which: NetworkSet) -> list[str]:
    """Return the files of networks in a folder that are not equal to those made again from their record."""
    found: list[str] = []
    with unpacked(which) as made:
        for target in sorted(made.iterdir()):
            network, names = named(target.name), [f"saved/{DATA}"]
            if not which.is_exported(network):
                names = [f"model{suffix(network)}"]
            found += [
                f"{network.name}/{name}"
                for name in names
                if _parts(target / name) != _parts(folder / network.name / name)
            ]
    return found


def _parts(path: Path) -> dict[str, bytes]:
    if path.suffix != ".keras":
        return {"": path.read_bytes()}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
