"""Holds what `plan` predicts of SavedModels by their signatures against TensorFlow's files.

Writes the table of docs/developer/predictions.md.

usage: python benchmarks/accuracy/signature_reality.py [--write]
"""

from __future__ import annotations

import csv
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy.plan_reality import FORMS, show  # noqa: E402
from benchmarks.accuracy.signature_networks import WAYS, fill  # noqa: E402
from benchmarks.accuracy.unseen_networks import named  # noqa: E402
from benchmarks.accuracy.unseen_reality import Outcome, missing, row  # noqa: E402

BEGIN, END = "<!-- table: benchmarks/accuracy/signature_reality.py -->\n", "<!-- end of signatures -->\n"
LATER = 200
"""Seeds from which on networks were drawn after the rules were written."""
TITLES = {
    WAYS["export"]: "`model.export`, Keras 3",
    WAYS["saved"]: "`model.save`, Keras 2",
    WAYS["module"]: "`tf.Module`",
}


def sizes() -> dict[str, dict[str, int]]:
    """Return the sizes of TensorFlow's files by network and form."""
    found: dict[str, dict[str, int]] = {}
    with (FOLDER / "signature_sizes.csv").open(encoding="utf-8", newline="") as file:
        for entry in csv.DictReader(file):
            found.setdefault(entry["network"], {})[entry["form"]] = int(entry["size"])
    return found


@contextmanager
def unpacked() -> Iterator[Path]:
    """Write all SavedModels into a folder, each with its weights."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(FOLDER / "signature_bases.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        for path in Path(folder).iterdir():
            fill(path, named(path.name))
        yield Path(folder)


def outcomes(folder: Path) -> Iterator[Outcome]:
    """Predict every form of the SavedModels in a folder."""
    real = sizes()
    for name in sorted(real):
        for entry in mi.plan(folder / name, only=tuple(FORMS), downloads=False).options:
            size = real[name][FORMS[entry.option]]
            yield Outcome(named(name), entry.option, entry.size, size, entry.basis, entry.error or 0.0)


def table(found: Sequence[Outcome]) -> str:
    """Return the table by kind of network and how it was saved, and in all."""
    lines = [
        (
            "| saved by | networks | how many | predictions | stated | labelled exact | equal to the byte |"
            " median error | worst error |"
        ),
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, title in TITLES.items():
        groups: dict[str, list[Outcome]] = {}
        for one in found:
            if one.network.keras == way:
                groups.setdefault(one.network.kind, []).append(one)
        lines += [
            f"| {title} {row(kind.removeprefix('module-'), some)}" for kind, some in sorted(groups.items())
        ]
    lines.append(f"| all {row(f'seeds under {LATER}', [one for one in found if one.network.seed < LATER])}")
    lines.append(f"| all {row(f'seeds from {LATER}', [one for one in found if one.network.seed >= LATER])}")
    lines.append(f"| **all** {row('**all**', list(found))}")
    return "\n".join(lines) + "\n\n" + missing(found)


def main() -> None:
    with unpacked() as folder:
        show(table(list(outcomes(folder))), BEGIN, END)


if __name__ == "__main__":
    main()
