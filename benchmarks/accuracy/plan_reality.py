"""Holds what `plan` predicts against the files that TensorFlow made, and writes the table of
docs/developer/predictions.md.

usage: python benchmarks/accuracy/plan_reality.py [--write]

The networks of `plan_networks` are made again from their weightless skeletons (plan_bases) and from numpy, so
that neither TensorFlow nor the networks themselves are needed; ``plan_sizes.csv`` has the sizes of
TensorFlow's files.
"""

from __future__ import annotations

import csv
import gzip
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import h5py
import numpy as np

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parents[1]
sys.path.insert(0, str(PROJECT))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy.plan_networks import ARCHITECTURES, PATTERNS, SPARSITIES, Case, weight  # noqa: E402

FORMS = {
    "tflite-float32": "float32",
    "tflite-float16": "float16",
    "tflite-dynamic-int8": "dynamic-int8",
    "tflite-sparse": "float32-sparse",
    "tflite-dynamic-int8-sparse": "dynamic-int8-sparse",
}
"""The form in plan_sizes.csv of each option."""
BEGIN, END = "<!-- table: benchmarks/accuracy/plan_reality.py -->\n", "<!-- end of table -->\n"
PAGE = PROJECT / "docs" / "developer" / "predictions.md"


@dataclass(frozen=True)
class Outcome:
    """One prediction: the case, the kind of artifact that it was made from, and both sizes."""

    case: Case
    source: str
    option: str
    predicted: int
    real: int

    @property
    def error(self) -> float:
        return abs(self.predicted - self.real) / self.real


def sizes() -> dict[tuple[str, str], int]:
    """Return the sizes of TensorFlow's files by case and form."""
    with (FOLDER / "plan_sizes.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return {
            (Case(row["architecture"], float(row["sparsity"]), row["pattern"]).name, row["form"]): int(
                row["size"]
            )
            for row in rows
        }


def write_h5(case: Case, path: Path) -> None:
    """Write the network as Keras saved it."""
    path.write_bytes(gzip.decompress((FOLDER / "plan_bases" / f"{case.architecture}.h5.gz").read_bytes()))
    with h5py.File(path, "r+") as file:

        def fill(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                item[...] = weight(case, "/".join(name.split("/")[-2:]).split(":")[0], item.shape)

        file["model_weights"].visititems(fill)


def write_tflite(case: Case, path: Path) -> None:
    """Write the network as the converter wrote it in float32."""
    data = bytearray(gzip.decompress((FOLDER / "plan_bases" / f"{case.architecture}.tflite.gz").read_bytes()))
    path.write_bytes(data)
    for tensor in mi.open(path).tensors:
        if tensor.dtype.name != "float32":
            continue
        span = tensor.extents[0].span
        values = _converted(case, tensor.name, tensor.shape)
        data[span.offset : span.end] = np.ascontiguousarray(values, dtype="<f4").tobytes()
    path.write_bytes(data)


def _converted(case: Case, name: str, shape: tuple[int, ...]) -> np.ndarray:
    layer = name.split("/")[1] if "/" in name else name
    if len(shape) == 2:
        return weight(case, f"{layer}/kernel", (shape[1], shape[0])).T
    if len(shape) == 4 and shape[0] == 1:
        return weight(case, f"{layer}/depthwise_kernel", (*shape[1:], 1)).reshape(shape)
    if len(shape) == 4:
        kind = "pointwise_kernel" if layer.startswith("separable") else "kernel"
        return weight(case, f"{layer}/{kind}", (*shape[1:], shape[0])).transpose(3, 0, 1, 2)
    return weight(case, name, shape)


WRITERS = {"model.h5": write_h5, "model.tflite": write_tflite}


def outcomes(cases: list[Case], sources: tuple[str, ...] = tuple(WRITERS)) -> Iterator[Outcome]:
    """Predict the forms of each case from each kind of artifact; an option that is left out has the size of
    its dense form.
    """
    real = sizes()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            for source in sources:
                path = Path(folder) / source
                WRITERS[source](case, path)
                found = {
                    entry.option: entry.size
                    for entry in mi.plan(path, only=tuple(FORMS), downloads=False).options
                }
                for option, form in FORMS.items():
                    size = found.get(
                        option, found[option.replace("-sparse", "") if "int8" in option else "tflite-float32"]
                    )
                    yield Outcome(case, source, option, size, real[case.name, form])


def all_cases() -> list[Case]:
    """Return every case."""
    return [Case(a, s, p) for a in ARCHITECTURES for s in SPARSITIES for p in PATTERNS]


def table(found: list[Outcome]) -> str:
    """Return the table of errors, and the predictions from one pattern at full length."""
    lines = [
        "| from | option | predictions | equal to the byte | median error | worst error |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for source in WRITERS:
        for option in FORMS:
            some = [one for one in found if one.source == source and one.option == option]
            exact = sum(one.predicted == one.real for one in some)
            errors = [one.error for one in some]
            lines.append(
                f"| `{source}` | `{option}` | {len(some)} | {exact} | {median(errors):.2%} |"
                f" {max(errors):.2%} |"
            )
    errors = [one.error for one in found]
    exact = sum(one.predicted == one.real for one in found)
    lines.append(f"| all | all | {len(found)} | {exact} | {median(errors):.2%} | {max(errors):.2%} |")
    lines += [
        "",
        "| network, zeros, pattern | option | predicted | real | off by |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for one in found:
        if (
            one.source == "model.h5"
            and one.case.sparsity in (0.35, 0.8)
            and one.option in ("tflite-sparse", "tflite-dynamic-int8-sparse")
        ):
            name = f"{one.case.architecture}, {one.case.sparsity:.0%}, {one.case.pattern}"
            lines.append(
                f"| {name} | `{one.option}` | {one.predicted:,} | {one.real:,} |"
                f" {one.predicted - one.real:+,} |"
            )
    return "\n".join(lines) + "\n"


def show(text: str, begin: str, end: str) -> None:
    """Print a table, or with ``--write`` put it into the page between two marks."""
    if "--write" not in sys.argv:
        print(text)
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    PAGE.write_text(before + begin + text + end + rest.partition(end)[2], encoding="utf-8")


def main() -> None:
    show(table(list(outcomes(all_cases()))), BEGIN, END)


if __name__ == "__main__":
    main()
