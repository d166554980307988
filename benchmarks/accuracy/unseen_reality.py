"""Holds what `plan` predicts of networks that nobody tuned it for against TensorFlow's files.

Writes the table of docs/developer/predictions.md.

usage: python benchmarks/accuracy/unseen_reality.py [--write]
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy.plan_reality import FORMS, show  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network, bases, fill, named  # noqa: E402

BEGIN, END = "<!-- table: benchmarks/accuracy/unseen_reality.py -->\n", "<!-- end of unseen -->\n"
TOLD = 0.02
"""The largest stated error with which `plan` tells an estimate without being asked for it by name."""
LATER = 100
"""Seeds from which on networks were drawn after the rules were written."""


@dataclass(frozen=True)
class Outcome:
    """One prediction of one form; ``real`` is 0 where the converter refuses the network, ``predicted`` where
    nothing is encoded.
    """

    network: Network
    option: str
    predicted: int
    real: int
    basis: str
    stated: float

    @property
    def error(self) -> float:
        return abs(self.predicted - self.real) / self.real

    @property
    def is_told(self) -> bool:
        return self.stated <= TOLD


def sizes() -> dict[str, dict[str, int]]:
    """Return the sizes of TensorFlow's files by network and form."""
    found: dict[str, dict[str, int]] = {}
    with (FOLDER / "unseen_sizes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["network"], {})[row["form"]] = int(row["size"])
    return found


def outcomes(names: Sequence[str] | None = None) -> Iterator[Outcome]:
    """Predict every form of networks, all of them by default."""
    real = sizes()
    held = bases()
    with tempfile.TemporaryDirectory() as folder:
        for name in names or sorted(real):
            network = named(name)
            path = Path(folder) / "model.h5"
            path.write_bytes(held[name])
            fill(path, network)
            for entry in mi.plan(path, only=tuple(FORMS), downloads=False).options:
                size = real[name][FORMS[entry.option]]
                yield Outcome(network, entry.option, entry.size, size, entry.basis, entry.error or 0.0)


def table(found: Sequence[Outcome]) -> str:
    """Return the table by kind of network and version of Keras, and in all."""
    lines = [
        (
            "| networks | how many | predictions | stated | labelled exact | equal to the byte | median error"
            " | worst error |"
        ),
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    groups: dict[str, list[Outcome]] = {}
    for one in found:
        groups.setdefault(f"{one.network.kind}, Keras {one.network.keras}", []).append(one)
    for name, some in sorted(groups.items()):
        lines.append(row(name, some))
    lines.append(row(f"all, seeds under {LATER}", [one for one in found if one.network.seed < LATER]))
    lines.append(row(f"all, seeds from {LATER}", [one for one in found if one.network.seed >= LATER]))
    lines.append(row("**all**", list(found)))
    return "\n".join(lines) + "\n\n" + missing(found)


def row(name: str, some: list[Outcome]) -> str:
    some = [one for one in some if one.real]
    count = len({one.network for one in some})
    told = [one for one in some if one.is_told]
    if not told:
        return (
            f"| {name} | {count} | {len(some)} | {0 if some else 'refused by the converter'} | 0 | 0 | -"
            " | - |"
        )
    errors = [one.error for one in told]
    exact = sum(one.basis == "exact" for one in told)
    equal = sum(one.predicted == one.real for one in told)
    share = f"{len(told) / len(some):.0%}"
    return (
        f"| {name} | {count} | {len(some)} | {share} | {exact} | {equal} | {median(errors):.2%} |"
        f" {max(errors):.2%} |"
    )


def missing(found: Sequence[Outcome]) -> str:
    """Say which kinds are not reported."""
    kinds = Counter(one.network.kind for one in found if one.real and not one.is_told)
    named = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
    return f"Errors are those of the predictions that are stated. Not stated: {named}.\n"


def main() -> None:
    show(table(list(outcomes())), BEGIN, END)


if __name__ == "__main__":
    main()
