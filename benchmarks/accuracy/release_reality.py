"""Compare what `plan` predicts for older TensorFlow releases with the files that they wrote.

usage: python benchmarks/accuracy/release_reality.py [--write]

Writes two tables of docs/developer/predictions.md: how the releases differ, and how the predictions hold.
``release_sizes.csv`` has the sizes (`release_networks.py`).
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy.plan_reality import FORMS, show  # noqa: E402
from benchmarks.accuracy.release_networks import CHECKS, TABLE, unpack  # noqa: E402
from modelinspect.conversion.releases import NEWEST, RELEASES  # noqa: E402

BEGIN, END = "<!-- table: benchmarks/accuracy/release_reality.py -->\n", "<!-- end of releases -->\n"
FIRST_BEGIN = "<!-- table: benchmarks/accuracy/release_reality.py, differences -->\n"
FIRST_END = "<!-- end of differences -->\n"
OPTIONS = {**FORMS, "tflite-int8": "int8", "tflite-int16x8": "int16x8"}
"""The form of each option."""
TOLD = 0.02

Sizes = dict[str, dict[str, dict[str, int]]]
"""Sizes by release, network and form."""


@dataclass(frozen=True)
class Outcome:
    """One prediction for one release."""

    release: str
    network: str
    form: str
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

    @property
    def is_within(self) -> bool:
        return self.error <= self.stated


def sizes() -> Sizes:
    """Return the sizes that were measured, by release, network and form."""
    found: Sizes = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            network, form = row.pop("network"), row.pop("form")
            for release, size in row.items():
                if size:
                    found.setdefault(release, {}).setdefault(network, {})[form] = int(size)
    return found


def is_check(network: str) -> bool:
    """Return whether a network was drawn after the rules were written."""
    name, _, rest = network.partition(".")
    return rest.removesuffix(".h5").removesuffix(".keras") in CHECKS.get(name, ())


def outcomes(names: Collection[str] | None = None) -> Iterator[Outcome]:
    """Predict the forms of networks for each release, or of those that are named ``SET.NAME``."""
    real = sizes()
    with tempfile.TemporaryDirectory() as folder:
        unpack(Path(folder), names)
        for source in sorted(Path(folder).iterdir()):
            for release in RELEASES:
                made = real[release.version].get(source.name, {})
                plan = mi.plan(source, only=tuple(OPTIONS), downloads=False, tensorflow=release.number)
                for entry in plan.options:
                    form = OPTIONS[entry.option]
                    if form in made:
                        yield Outcome(
                            release.number,
                            source.name,
                            form,
                            entry.size,
                            made[form],
                            entry.basis,
                            entry.error or 0.0,
                        )


def differences(real: Sizes) -> str:
    """Return the table of how the releases differ from the newest."""
    lines = [
        (
            "| release | networks | files | same size as"
            f" {NEWEST.number} | float32 | float16 | dynamic-int8 | sparse forms | int8 | int16x8 | largest |"
        ),
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    groups = (
        ("float32",),
        ("float16",),
        ("dynamic-int8",),
        ("float32-sparse", "dynamic-int8-sparse"),
        ("int8",),
        ("int16x8",),
    )
    newest = real[NEWEST.version]
    for release in sorted(real, key=lambda text: [int(part) for part in text.split(".")], reverse=True):
        if release == NEWEST.version:
            continue
        pairs = [
            (form, size, newest[network][form])
            for network, forms in real[release].items()
            for form, size in forms.items()
            if form in newest.get(network, {})
        ]
        shares = [
            median((size - new) / new for form, size, new in pairs if form in group) for group in groups
        ]
        same = sum(size == new for _, size, new in pairs) / len(pairs)
        largest = max(((size - new) / new for _, size, new in pairs), key=abs)
        lines.append(
            f"| {release} | {len(real[release])} | {len(pairs)} | {same:.0%} |"
            f" {' | '.join(f'{share:+.2%}' for share in shares)} | {largest:+.1%} |"
        )
    return "\n".join(lines) + "\n"


def table(found: Sequence[Outcome]) -> str:
    """Return the table of how the predictions hold."""
    lines = [
        (
            "| release | networks | predictions | shown | labelled exact | exact but wrong |"
            " equal to the byte | within the stated error | median error | worst error |"
        ),
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for label, is_wanted in (("", lambda one: not one), (", drawn later", lambda one: one)):
        for release in RELEASES:
            some = [
                one for one in found if one.release == release.number and is_wanted(is_check(one.network))
            ]
            if any(one.is_told for one in some):
                lines.append(_row(f"{release.version}{label}", some))
    return "\n".join(lines) + "\n"


def _row(name: str, some: Sequence[Outcome]) -> str:
    told = [one for one in some if one.is_told]
    exact = [one for one in told if one.basis == "exact"]
    return (
        f"| {name} | {len({one.network for one in some})} | {len(some)} | {len(told) / len(some):.0%} |"
        f" {len(exact)} | {sum(one.predicted != one.real for one in exact)} |"
        f" {sum(one.predicted == one.real for one in told) / len(told):.0%} |"
        f" {sum(one.is_within for one in told) / len(told):.1%} | {median(one.error for one in told):.2%} |"
        f" {max(one.error for one in told):.2%} |"
    )


def main() -> None:
    show(differences(sizes()), FIRST_BEGIN, FIRST_END)
    show(table(list(outcomes())), BEGIN, END)


if __name__ == "__main__":
    main()
