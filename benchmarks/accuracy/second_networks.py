"""Draw a second set of networks that no rule was written for, and convert each with TensorFlow.

usage: python benchmarks/accuracy/second_networks.py KERAS FOLDER [START] [--seeds FIRST LAST]
       python benchmarks/accuracy/second_networks.py FOLDER --store | --check

`second_kinds.py` has the builders: architectures of tutorials and of published code that the first set
(`fresh_networks.py`) does not have or wires otherwise, and a grammar with other distributions. No rule may be
written, and no stated error calibrated, with these networks: they show what the first set's figures are
worth. KERAS is 2 or 3, START is how the names of networks begin. Networks that are done are not made again,
so the run can be stopped at any time. ``--store`` writes the files without weights into
``second_bases.tar.xz``, TensorFlow's sizes into ``second_sizes.csv`` and why the converter refused a form
into ``second_refused.csv``; ``--check`` compares the networks that are made again from there with those in
the folder.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.converted_networks import FORMS, attempt, keras_library  # noqa: E402
from benchmarks.accuracy.recorded_networks import (  # noqa: E402
    NetworkSet,
    store,
    suffix,
    unpacked,
)
from benchmarks.accuracy.second_kinds import EXPORTED, GRAMMARS, LOOPS, SECOND_KINDS  # noqa: E402
from benchmarks.accuracy.signature_networks import DATA  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network, named  # noqa: E402

SEEDS = 14
"""The seeds of each grammar; a published architecture is drawn once for each Keras."""
LARGE = ("s-module-quickstart", 3)
"""A network whose SavedModel can only be stored with its weights, which are 2 MB."""


def networks(keras: int) -> Iterator[Network]:
    """Yield the networks of one version of Keras, seed after seed, so any part of the run has every kind; a
    published architecture has one seed, and recurrent ones are last, because they take minutes each.
    """
    kinds = sorted(SECOND_KINDS, key=lambda kind: kind in LOOPS)
    for seed in range(SEEDS):
        for kind in kinds:
            if (seed == 0 or kind in GRAMMARS) and (kind, keras) != LARGE:
                yield Network(kind, keras, seed)


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


def main() -> None:
    if "--store" in sys.argv:
        store(Path(sys.argv[1]), SECOND)
        store_refused(Path(sys.argv[1]), SECOND)
        return
    if "--check" in sys.argv:
        print("\n".join(differing(Path(sys.argv[1]), SECOND)))
        return
    keras, folder = int(sys.argv[1]), Path(sys.argv[2])
    library = keras_library(keras)
    part = sys.argv[3] if len(sys.argv) > 3 and not sys.argv[3].startswith("--") else ""
    place = sys.argv.index("--seeds") + 1 if "--seeds" in sys.argv else 0
    first, last = (int(sys.argv[place]), int(sys.argv[place + 1])) if place else (0, SEEDS - 1)
    for network in networks(keras):
        if network.name.startswith(part) and first <= network.seed <= last:
            attempt(network, library, folder / network.name, SECOND)


if __name__ == "__main__":
    main()
