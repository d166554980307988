"""Holds what `plan` predicts of SavedModels by their signatures against TensorFlow's files, and writes the table of docs/plan.md.

usage: python benchmarks/signature_reality.py [--write]
"""

from __future__ import annotations

import csv
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import modelinspect as mi  # noqa: E402
from benchmarks.plan_reality import FORMS, show  # noqa: E402
from benchmarks.signature_networks import WAYS, fill  # noqa: E402
from benchmarks.unseen_networks import named  # noqa: E402
from benchmarks.unseen_reality import LATER, Outcome, missing, row  # noqa: E402

BEGIN, END = "<!-- table: benchmarks/signature_reality.py -->\n", "<!-- end of signatures -->\n"
TITLES = {WAYS["export"]: "`model.export`, Keras 3", WAYS["saved"]: "`model.save`, Keras 2", WAYS["module"]: "`tf.Module`"}


def sizes() -> dict[str, dict[str, int]]:
    """Return the sizes of TensorFlow's files by network and form."""
    found: dict[str, dict[str, int]] = {}
    with (FOLDER / "signature_sizes.csv").open(encoding="utf-8", newline="") as file:
        for entry in csv.DictReader(file):
            found.setdefault(entry["network"], {})[entry["form"]] = int(entry["size"])
    return found


def unpack(name: str, folder: Path) -> Path:
    """Write the SavedModel of a network, with its weights."""
    with zipfile.ZipFile(FOLDER / "signature_bases.zip") as archive:
        for member in archive.namelist():
            if member.startswith(f"{name}/"):
                archive.extract(member, folder)
    fill(folder / name, named(name))
    return folder / name


def outcomes(names: Sequence[str] | None = None) -> Iterator[Outcome]:
    """Predict every form of SavedModels, all of them by default; a form that is not predicted at all has no stated error but 1."""
    real = sizes()
    for name in names or sorted(real):
        with tempfile.TemporaryDirectory() as folder:
            for entry in mi.plan(unpack(name, Path(folder)), only=tuple(FORMS)).options:
                size = real[name][FORMS[entry.option]]
                yield Outcome(named(name), entry.option, entry.size, size, entry.basis, entry.error or 0.0)


def table(found: Sequence[Outcome]) -> str:
    """Return the table by kind of network and how it was saved, and in all."""
    lines = [
        "| saved by | networks | how many | predictions | told | labelled exact | equal to the byte | median error | worst error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, title in TITLES.items():
        groups: dict[str, list[Outcome]] = {}
        for one in found:
            if one.network.keras == way:
                groups.setdefault(one.network.kind, []).append(one)
        lines += [f"| {title} {row(kind.removeprefix('module-'), some)}" for kind, some in sorted(groups.items())]
    lines.append(f"| all {row(f'seeds under {LATER}', [one for one in found if one.network.seed < LATER])}")
    lines.append(f"| all {row(f'seeds from {LATER}', [one for one in found if one.network.seed >= LATER])}")
    lines.append(f"| **all** {row('**all**', list(found))}")
    return "\n".join(lines) + "\n\n" + missing(found)


def main() -> None:
    show(table(list(outcomes())), BEGIN, END)


if __name__ == "__main__":
    main()
