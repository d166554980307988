"""The draw of the seventh set: which examples of a list, written down before any network, become networks.

usage: python benchmarks/accuracy/seventh_draw.py

``seventh_list.csv`` has 172 public examples of thirteen kinds of sources, with the class of each and thereby
whether it is written as a file of Keras or only as a SavedModel (``exported``). The list was committed before
the first builder was written, and the seed is the day on which that was. Whoever runs this file sees the 75
numbers that were drawn; nothing was drawn again.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

LIST = Path(__file__).with_name("seventh_list.csv")
SEED, KINDS_DRAWN = 20261203, 75


def listed() -> list[dict[str, str]]:
    """Return the rows of the list."""
    with LIST.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def drawn() -> dict[str, str]:
    """Return the kinds that are drawn, in the order of the list, and their classes."""
    rows = listed()
    numbers = sorted(random.Random(SEED).sample(range(len(rows)), KINDS_DRAWN))
    return {rows[number]["kind"]: rows[number]["class"] for number in numbers}


if __name__ == "__main__":
    for row in listed():
        if row["kind"] in drawn():
            print(row["number"], row["kind"], row["class"], row["example"], sep="\t")
