"""Compare what `plan` predicts of networks that no rule was written for with TensorFlow's files, by class of
network.

usage: python benchmarks/accuracy/fresh_reality.py [--set SET] [--write | --first] [--made FOLDER]
       python benchmarks/accuracy/fresh_reality.py --calibrate

The set is that of `fresh_networks.py` unless ``--set`` names that of `second_networks.py`,
`third_networks.py`, `fourth_networks.py`, `fifth_networks.py`, `sixth_networks.py` or `seventh_networks.py`
(``second`` to ``seventh``), which no rule and no stated error was made with. Its networks are read from the
folder that ``--made`` names, where `NAME_networks.py` converted them, or from ``NAME_bases.tar.xz``.
``--write`` puts the tables into docs/developer/predictions.md; ``--calibrate`` shows the error that each
class of `modelinspect.conversion.errors` would need to cover 95 % and all of its predictions in the first
set.
``--first`` adds what is predicted of new networks to ``NAME_first.csv`` of the set: run it before a rule is
changed because of them. A network keeps its first prediction there for good: the page shows what a user with
such a network would have seen.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy.fifth_networks import FIFTH  # noqa: E402
from benchmarks.accuracy.fourth_networks import FOURTH  # noqa: E402
from benchmarks.accuracy.fresh_networks import FRESH  # noqa: E402
from benchmarks.accuracy.idioms import IDIOMS  # noqa: E402
from benchmarks.accuracy.plan_reality import show  # noqa: E402
from benchmarks.accuracy.public_kinds import PUBLIC  # noqa: E402
from benchmarks.accuracy.recorded_networks import NetworkSet, sizes, suffix, unpacked  # noqa: E402
from benchmarks.accuracy.second_networks import SECOND  # noqa: E402
from benchmarks.accuracy.seventh_networks import SEVENTH  # noqa: E402
from benchmarks.accuracy.sixth_networks import SIXTH  # noqa: E402
from benchmarks.accuracy.third_networks import THIRD  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network, named  # noqa: E402

SETS = {which.name: which for which in (FRESH, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH)}
CLASSES = {kind: group for which in SETS.values() for kind, (group, _) in which.builders.items()}
BEGIN, END = "<!-- table: benchmarks/accuracy/fresh_reality.py -->\n", "<!-- end of fresh -->\n"
FIRST_BEGIN, FIRST_END = (
    "<!-- table: benchmarks/accuracy/fresh_reality.py, first -->\n",
    "<!-- end of first -->\n",
)
SHOWN_FIRST = {
    name: (
        f"<!-- table: benchmarks/accuracy/fresh_reality.py, {name} set -->\n",
        f"<!-- end of {name} set -->\n",
    )
    for name in ("second", "third", "fourth", "fifth", "sixth", "seventh")
}
"""The sets of which only first predictions are shown, and what is around their tables."""
SECOND_BEGIN, SECOND_END = SHOWN_FIRST["second"]
TOLD = 0.02
"""The largest stated error with which `plan` shows an estimate that nobody asked for by name."""
OPTIONS = {
    "float32": "tflite-float32",
    "float16": "tflite-float16",
    "dynamic-int8": "tflite-dynamic-int8",
    "float32-sparse": "tflite-sparse",
    "dynamic-int8-sparse": "tflite-dynamic-int8-sparse",
    "int8": "tflite-int8",
    "int16x8": "tflite-int16x8",
}
INTEGER = ("int8", "int16x8")
USED = frozenset(("anomaly", "detector", "gan-generator", "siamese", "temporal"))
"""Kinds on which faults were found that are mended since: they are recorded, and no longer count as networks
without a rule.
"""


@dataclass(frozen=True)
class Outcome:
    """One prediction of one form, from the file or from the SavedModel; ``predicted`` is 0 where there is
    none.
    """

    network: Network
    source: str
    form: str
    predicted: int
    real: int
    basis: str
    stated: float
    kind: str

    @property
    def error(self) -> float:
        return abs(self.predicted - self.real) / self.real

    @property
    def is_told(self) -> bool:
        return self.predicted > 0 and self.stated <= TOLD

    @property
    def is_within(self) -> bool:
        return self.error <= self.stated + 1e-9

    @property
    def group(self) -> str:
        """The class that the table shows it in."""
        return "full-integer forms, all classes" if self.form in INTEGER else CLASSES[self.network.kind]


def outcomes(
    folder: Path, which: NetworkSet = FRESH, names: Collection[str] | None = None
) -> Iterator[Outcome]:
    """Predict every form of the networks in a folder that TensorFlow made, or of those that are named.

    A set that is recorded with its weights has one file of each network; its other file is not predicted.
    """
    for name, forms in sorted(sizes(which).items()):
        network, real = named(name), {OPTIONS[form]: (form, size) for form, size in forms.items() if size}
        places = [folder / name / f"model{suffix(network)}", folder / name / "saved"]
        if which.assign is not None:
            places = places[1:] if which.is_exported(network) else places[:1]
        for path in places if real and (names is None or name in names) else []:
            if not path.exists():
                continue
            plan = {entry.option: entry for entry in mi.plan(path, only=tuple(real), downloads=False).options}
            for option, (form, size) in real.items():
                entry = plan.get(option)
                known = (entry.size, entry.basis, entry.error or 0.0) if entry is not None else (0, "", 1.0)
                yield Outcome(
                    network, path.suffix or "saved", form, known[0], size, known[1], known[2], network.kind
                )


def mended(found: Sequence[Outcome]) -> frozenset[str]:
    """Return the kinds on which a fault was mended: those listed, and those whose predicted sizes are not the
    first ones.
    """
    today = {(one.network, one.form): one.predicted for one in found if one.source != "saved"}
    return USED | {one.kind for one in first() if today.get((one.network, one.form)) != one.predicted}


def fresh(found: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of networks that no rule was written for: all but the idioms, and kinds on which a
    fault was mended.
    """
    used = mended(found)
    return [one for one in found if one.kind not in IDIOMS and one.kind not in used]


def first(which: NetworkSet = FRESH) -> list[Outcome]:
    """Return what was first predicted of each network of `public_kinds.py`, or of another set; nothing if
    that is not recorded yet.
    """
    if not which.first.is_file():
        return []
    real, found = sizes(which), list[Outcome]()
    with which.first.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            network, form = named(row["network"]), row["form"]
            size = real[row["network"]][form]
            stated = float(row["stated"])
            found.append(
                Outcome(network, "", form, int(row["predicted"]), size, row["basis"], stated, network.kind)
            )
    return found


def add_first(found: Sequence[Outcome], which: NetworkSet = FRESH) -> None:
    """Add the predictions of networks that have none yet to the set's first predictions."""
    known = first(which)
    names = {one.network for one in known}
    known += [one for one in found if one.network not in names and _is_recorded_first(one, which)]
    rows = sorted((one.network.name, one.form, one.predicted, one.basis, one.stated) for one in known)
    with which.first.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [("network", "form", "predicted", "basis", "stated"), *rows]
        )


def _is_recorded_first(one: Outcome, which: NetworkSet) -> bool:
    """Return whether a prediction is of the one file that counts for its network."""
    if which is FRESH and one.kind not in PUBLIC:
        return False
    return one.source != "saved" or which.is_exported(one.network)


HEAD = (
    "| class | networks | predictions | shown | within the stated error | exact | exact but wrong |"
    " median error | worst error |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)


def first_table(found: Sequence[Outcome]) -> str:
    """Return the table of first predictions by class, and by form."""
    lines, groups = list(HEAD), dict[str, list[Outcome]]()
    for one in found:
        groups.setdefault(one.group, []).append(one)
    lines += [_row(name, groups[name]) for name in sorted(groups)]
    lines += [_row(form, [one for one in found if one.form == form]) for form in OPTIONS]
    lines.append(_row("**all, float and hybrid forms**", [one for one in found if one.form not in INTEGER]))
    lines.append(_row("**all forms**", found))
    return "\n".join(lines) + "\n"


def second_table(found: Sequence[Outcome], which: NetworkSet = SECOND) -> str:
    """Return the table of first predictions of the second set or a later one: by class, form, version of
    Keras and file.
    """
    if not found:
        return ""
    *lines, floats, last = first_table(found).splitlines()
    lines += [
        _row(f"Keras {keras}", [one for one in found if one.network.keras == keras]) for keras in (2, 3)
    ]
    files = (("files of Keras", False), ("SavedModels only", True))
    lines += [
        _row(name, [one for one in found if which.is_exported(one.network) is is_saved])
        for name, is_saved in files
    ]
    return "\n".join([*lines, floats, last]) + "\n"


def table(found: Sequence[Outcome]) -> str:
    """Return the table by class."""
    lines = list(HEAD)
    groups: dict[str, list[Outcome]] = {}
    for one in fresh(found):
        groups.setdefault(one.group, []).append(one)
    lines += [_row(name, groups[name]) for name in sorted(groups)]
    used = mended(found)
    lines.append(_row("kinds with mended faults", [one for one in found if one.kind in used]))
    floats = [one for one in fresh(found) if one.form not in INTEGER]
    lines += [
        _row(f"Keras {keras}, float and hybrid forms", [one for one in floats if one.network.keras == keras])
        for keras in (2, 3)
    ]
    lines.append(_row("**all, float and hybrid forms**", floats))
    lines.append(_row("**all forms**", fresh(found)))
    return "\n".join(lines) + "\n"


def _row(name: str, some: Sequence[Outcome]) -> str:
    told = [one for one in some if one.is_told]
    networks = len({one.network for one in some})
    if not told:
        return f"| {name} | {networks} | {len(some)} | 0% | - | 0 | 0 | - | - |"
    exact = [one for one in told if one.basis == "exact"]
    wrong = sum(one.predicted != one.real for one in exact)
    within = sum(one.is_within for one in told) / len(told)
    errors = [one.error for one in told]
    return (
        f"| {name} | {networks} | {len(some)} | {len(told) / len(some):.0%} | {within:.1%} | {len(exact)} |"
        f" {wrong} | {median(errors):.2%} | {max(errors):.2%} |"
    )


def calibrate(folder: Path) -> Iterator[str]:
    """Yield for each class of `modelinspect.conversion.errors` what its predictions in the first set are off
    by, beside the paddings.
    """
    from modelinspect.api import opened
    from modelinspect.conversion.errors import class_of, paddings
    from modelinspect.conversion.keras.source import keras_source
    from modelinspect.core.limits import Limits
    from modelinspect.networks.subject import Subject

    shares: dict[tuple[str, str], list[float]] = {}
    for one in fresh(list(outcomes(folder))):
        if not one.is_told or one.source == "saved":
            continue
        with opened(folder / one.network.name / f"model{suffix(one.network)}") as (artifact, files):
            root = keras_source(Subject(artifact, None, open_files=files, limits=Limits())).root
            kind, padding = class_of(root), paddings(root)
        key = (str(kind), "full-integer" if one.form in INTEGER else "float and hybrid")
        shares.setdefault(key, []).append(max(abs(one.predicted - one.real) - padding, 0) / one.real)
    for (kind, forms), many in sorted(shares.items()):
        many.sort()
        covering = many[max(-(-len(many) * 95 // 100) - 1, 0)]
        yield f"{kind:10} {forms:16} {len(many):4} predictions: 95 % need {covering:.3%}, all {many[-1]:.3%}"


def main() -> None:
    which = SETS[sys.argv[sys.argv.index("--set") + 1]] if "--set" in sys.argv else FRESH
    if which.name in SHOWN_FIRST and "--first" not in sys.argv:  # of these no predictions of today are shown
        show(second_table(first(which), which), *SHOWN_FIRST[which.name])
        return
    made = Path(sys.argv[sys.argv.index("--made") + 1]) if "--made" in sys.argv else None
    with unpacked(which) if made is None else nullcontext(made) as folder:
        if "--calibrate" in sys.argv:
            print("\n".join(calibrate(folder)))
            return
        found = list(outcomes(folder, which))
    if "--first" in sys.argv:
        add_first(found, which)
        return
    show(first_table(first()), FIRST_BEGIN, FIRST_END)
    show(table(found), BEGIN, END)


if __name__ == "__main__":
    main()
