"""Writes docs/article/article.md and its pictures from article.md.in: every number, table and verdict comes
from the data.

`{{ expression }}` in the text is a Python expression over the functions of data.py and of this file. A claim
whose checks fail stops the build.

    python docs/article/make.py           write
    python docs/article/make.py --check   say what is not up to date, and exit with 1
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import data
import formatting
import full_size
from claims import CLAIMS, LEVELS
from data import MLP, categories, cell, gzipped, release_names, size, under
from formatting import change, number, table, wrapped

from modelinspect.pruning.charts import COLORS, Bar, Line, bar_chart, line_chart

HERE = Path(__file__).resolve().parent
TEXT = HERE / "article.md.in"
PAGE = HERE / "article.md"
_HOLE = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
_HEAD = "<!-- Written by docs/article/make.py from docs/article/article.md.in; do not edit. -->\n"
STUDY = "study"
ENGINES = ("tfmot", "keras", "keras-jax")
"""The engines of engines.csv: tf_keras with tfmot, Keras 3 on TensorFlow, Keras 3 on JAX."""


def pages() -> dict[Path, str]:
    """Return every file that is made, with its text.

    Raises `SystemExit` where the data no longer show what the article says.
    """
    broken = [f"{name}: {fact}" for name, claim in CLAIMS.items() for fact in claim.broken()]
    if broken:
        raise SystemExit("the data no longer show:\n  " + "\n  ".join(broken))
    made = {HERE / f"{name}.svg": draw() for name, draw in FIGURES.items()}
    made[PAGE] = ran(_HEAD + wrapped(_HOLE.sub(_filled, TEXT.read_text(encoding="utf-8"))))
    return made


def ran(text: str) -> str:
    """Return the text with what its console blocks print."""
    sys.path.insert(0, str(HERE.parent))
    from run_blocks import rebuilt

    return str(rebuilt(text))


def _filled(match: re.Match[str]) -> str:
    return number(eval(match[1].strip(), {**vars(data), **vars(formatting), **vars(full_size), **globals()}))


def version(name: str) -> str:
    """Return the version of a package that made the study's files."""
    return str(json.loads((HERE / "study_versions.json").read_text(encoding="utf-8"))[name])


def figure(name: str, told: str) -> str:
    """Return a picture with the words for those who do not see it."""
    if name not in FIGURES:
        raise LookupError(f"there is no figure {name}")
    return f"![{told}]({name}.svg)"


def verdict(name: str) -> str:
    """Return the verdict on a claim, and what was checked for it."""
    claim = CLAIMS[name]
    checked = "\n".join(
        f"- {fact if fact.startswith('int8') else fact[0].upper() + fact[1:]}." for fact, _ in claim.checks
    )
    said = f"**Verdict: *{claim.verdict}*.** {claim.short} *For which sizes:* {claim.scope()}."
    return f"{said}\n\nChecked when this page was made:\n\n{checked}"


def summary() -> str:
    """Return the table of all claims."""
    anchors = {
        name: re.sub(r"[^a-z0-9 -]", "", claim.claim.lower()).replace(" ", "-")
        for name, claim in CLAIMS.items()
    }
    rows = [
        (f"[{claim.claim}](#{anchors[name]})", f"*{claim.verdict}*", claim.short)
        for name, claim in CLAIMS.items()
    ]
    return table(("claim", "verdict", "in short"), rows, left=3)


def methods_table() -> str:
    """Return original against stripped in every method that has both or is the same without optimizer."""
    rows = []
    for label, before, after in (
        ("HDF5, no optimizer", "no-optimizer.h5", "no-optimizer.h5"),
        ("TFLite, float32", "float32.tflite", "float32.tflite"),
        ("TFLite, int8", "dynamic-int8.tflite", "dynamic-int8.tflite"),
    ):
        one, two = f"{MLP}/original/{before}", f"{MLP}/stripped/{after}"
        rows.append((label, size(one), size(two), data.part(two, "zero-weights"), gzipped(one), gzipped(two)))
    return table(
        ("saved as", "original", "pruned", "of that zeros", "original, gzipped", "pruned, gzipped"), rows
    )


def schedules_table() -> str:
    """Return schedule against schedule."""
    rows = []
    for level in (0.5, 0.8, 0.95):
        for schedule, label in (("gentle", "gradual (polynomial)"), ("sudden", "sudden (constant)")):
            where = [
                cell("mlp", method, level, schedule=schedule)
                for method in ("h5-no-optimizer", "tflite-float32", "tflite-float32-sparse", "keras-deflate")
            ]
            rows.append((f"{100 * level:g} %", label, *where))
    return table(
        ("zeros", "schedule", "HDF5", "TFLite", "TFLite, sparse", "`.keras`, deflated"), rows, left=2
    )


def patterns_table() -> str:
    """Return single weights against blocks, sparse and dense."""
    rows = []
    for level in (0.5, 0.8):
        for pattern, label in (
            ("element", "single weights"),
            ("block-4x1", "4x1 blocks"),
            ("block-16x1", "16x1 blocks"),
        ):
            cells: list[object] = [f"{100 * level:g} %", label]
            for kind in ("float32", "dynamic-int8"):
                dense, sparse = (
                    cell("few-large-layers", f"tflite-{kind}{end}", level, pattern=pattern)
                    for end in ("", "-sparse")
                )
                cells += [dense, sparse, change(dense, sparse)]
            rows.append(cells)
    heads = ("zeros", "pattern", "float32 dense", "sparse", "change", "int8 dense", "sparse", "change")
    return table(heads, rows, left=2)


def layers_table() -> str:
    """Return many small layers against few large ones."""
    rows = []
    for method, label in (
        ("h5-no-optimizer", "HDF5"),
        ("keras-deflate", "`.keras`, deflated"),
        ("tflite-float32-sparse", "TFLite, sparse"),
        ("tflite-dynamic-int8-sparse", "TFLite, int8, sparse"),
    ):
        cells: list[object] = [label]
        for architecture in ("many-small-layers", "few-large-layers"):
            before, after = cell(architecture, method, 0.8, stage="original"), cell(architecture, method, 0.8)
            cells += [before, after, change(before, after) if before != after else "0"]
        rows.append(cells)
    return table(("saved as", "many small", "pruned", "change", "few large", "pruned", "change"), rows)


def releases_table() -> str:
    """Return what each release saved of the same pruned networks."""
    names = release_names()
    known = (
        ("HDF5", "h5-no-optimizer"),
        ("checkpoint", "checkpoint"),
        ("SavedModel", "saved-model"),
        ("TFLite, float32", "tflite-float32"),
        ("TFLite, float32, sparse", "tflite-float32-sparse"),
        ("TFLite, int8", "tflite-dynamic-int8"),
    )
    rows = []
    for label, method in known:
        cells: list[object] = [label]
        for architecture in ("mlp", "cnn"):
            sizes = [under(name, architecture, method) for name in names]
            cells += [*sizes, change(sizes[0], sizes[-1]) if sizes[0] != sizes[-1] else "0"]
        rows.append(cells)
    heads = [*(f"dense, {name}" for name in names), "change", *(f"conv, {name}" for name in names), "change"]
    return table(["saved as", *heads], rows)


def engines_table() -> str:
    """Return what each engine, and Keras 3 on two backends, saved of the same networks; checks that the
    engines pruned alike.
    """
    for architecture in ("mlp", "cnn"):
        losses = {
            data.by_engine(engine, architecture, "keras-deflate", column="loss")
            for engine in ("tfmot", "keras")
        }
        if len(losses) != 1:
            raise SystemExit(f"engines.csv: the engines no longer train {architecture} alike")
    known = (
        ("HDF5", "h5-no-optimizer"),
        ("`.keras`, deflated", "keras-deflate"),
        ("SavedModel, `model.export`", "saved-model-export"),
        ("TFLite, float32", "tflite-float32"),
        ("TFLite, float32, sparse", "tflite-float32-sparse"),
        ("TFLite, int8", "tflite-dynamic-int8"),
    )
    rows = []
    for label, method in known:
        cells: list[object] = [label]
        for architecture in ("mlp", "cnn"):
            sizes = [int(data.by_engine(engine, architecture, method)) for engine in ENGINES]
            cells += [*sizes, change(sizes[0], sizes[1])]
        rows.append(cells)
    names = ("tfmot", "Keras 3", "on JAX")
    heads = [*(f"dense, {name}" for name in names), "change", *(f"conv, {name}" for name in names), "change"]
    return table(["saved as", *heads], rows)


def ways_table() -> str:
    """Return what can be saved, for the larger network at four fifths of zeros."""
    known = (
        ("HDF5 without optimizer", "h5-no-optimizer", "yes"),
        ("`.keras`, members deflated", "keras-deflate", "yes"),
        ("TFLite, float32", "tflite-float32", "yes"),
        ("TFLite, float32, sparse", "tflite-float32-sparse", "yes; expanded in memory"),
        ("TFLite, int8", "tflite-dynamic-int8", "yes"),
        ("TFLite, int8, sparse", "tflite-dynamic-int8-sparse", "yes; expanded in memory"),
    )
    rows = [
        (
            label,
            cell("cnn", method, 0.0),
            cell("cnn", method, 0.8),
            (
                change(cell("cnn", method, 0.0), cell("cnn", method, 0.8))
                if cell("cnn", method, 0.0) != cell("cnn", method, 0.8)
                else "0"
            ),
            cell("cnn", method, 0.8, column="gzip_size"),
            loads,
        )
        for label, method, loads in known
    ]
    return table(("saved as", "not pruned", "pruned", "change", "pruned, gzipped", "loads as it is"), rows)


def _bar(label: str, path: str) -> Bar:
    return _whole(Bar(label, categories(path)), size(path))


def _study_bar(label: str, architecture: str, method: str, target: float, stage: str = STUDY) -> Bar:
    where = "stripped" if stage == STUDY else stage
    parts = {
        name: cell(architecture, method, target, stage=where, column=name.replace("-", "_"))
        for name in COLORS
    }
    return _whole(Bar(label, parts), cell(architecture, method, target, stage=where))


def _whole(bar: Bar, size: int) -> Bar:
    """Return a bar whose parts are all of a file. Raises `LookupError` where some bytes have no part."""
    if bar.size != size:
        raise LookupError(f"{bar.name}: the bar shows {bar.size:,} of {size:,} bytes")
    return bar


def _methods() -> str:
    names = {
        "checkpoint": "checkpoint",
        "TFLite float32": "float32.tflite",
        ".keras": "model.keras",
        ".weights.h5": "model.weights.h5",
        "HDF5": "no-optimizer.h5",
        "SavedModel, no traces": "saved-model-no-traces",
        "SavedModel, export": "saved-model-export",
        "SavedModel": "saved-model",
        "SavedModel, Keras": "saved-model-keras",
    }
    return bar_chart(
        "One pruned network, saved in every way",
        [_bar(label, f"{MLP}/stripped/{name}") for label, name in names.items()],
    )


def _same_size() -> str:
    names = {
        "HDF5": "no-optimizer.h5",
        "TFLite float32": "float32.tflite",
        "TFLite int8": "dynamic-int8.tflite",
    }
    rows = [
        _bar(f"{label}, {stage}", f"{MLP}/{folder}/{name}")
        for label, name in names.items()
        for stage, folder in (("original", "original"), ("pruned", "stripped"))
    ]
    return bar_chart("Before and after pruning: zeros take the place of weights", rows)


def _sparsity() -> str:
    drawn = (
        ("HDF5", "h5-no-optimizer", "#6b7280", ""),
        ("TFLite float32", "tflite-float32", "#2f6fb3", ""),
        ("TFLite float32, sparse", "tflite-float32-sparse", "#2f6fb3", "7 4"),
        (".keras, deflated", "keras-deflate", "#8957a8", "2 3"),
        ("TFLite int8", "tflite-dynamic-int8", "#e08a1e", ""),
        ("TFLite int8, sparse", "tflite-dynamic-int8-sparse", "#e08a1e", "7 4"),
    )
    shown = [
        Line(label, tuple((level, float(cell("cnn", method, level))) for level in LEVELS), color, dashes)
        for label, method, color, dashes in drawn
    ]
    return line_chart("Bytes on disk against sparsity", "zeros among the pruned weights", "bytes", shown)


def _layers() -> str:
    rows = [
        _study_bar(f"{label}, {name}", architecture, method, 0.8)
        for architecture, label in (("many-small-layers", "many small"), ("few-large-layers", "few large"))
        for method, name in (
            ("h5-no-optimizer", "HDF5"),
            ("tflite-float32", "TFLite"),
            ("tflite-float32-sparse", "sparse"),
        )
    ]
    return bar_chart("The same number of weights in many layers and in few, pruned", rows)


def _quantized() -> str:
    rows = [
        _study_bar("float32", "cnn", "tflite-float32", 0.0),
        _study_bar("float32, pruned, sparse", "cnn", "tflite-float32-sparse", 0.8),
        _study_bar("int8", "cnn", "tflite-dynamic-int8", 0.0),
        _study_bar("int8, pruned", "cnn", "tflite-dynamic-int8", 0.8),
        _study_bar("int8, pruned, sparse", "cnn", "tflite-dynamic-int8-sparse", 0.8),
    ]
    return bar_chart("TFLite: quantized, pruned, both", rows)


def _grown() -> str:
    rows = [
        _bar("HDF5, original", f"{MLP}/original/model.h5"),
        _bar("HDF5, wrapped", f"{MLP}/wrapped/model.h5"),
        _bar(".keras, original", f"{MLP}/original/model.keras"),
        _bar(".keras, wrapped", f"{MLP}/wrapped/model.keras"),
        _bar("TFLite, original", f"{MLP}/original/float32.tflite"),
        _bar("TFLite, wrapped", f"{MLP}/wrapped/float32.tflite"),
        _bar("TFLite int8", "pruned_levels/cnn-35/stripped/dynamic-int8.tflite"),
        _bar("TFLite int8, sparse", "pruned_levels/cnn-35/stripped/dynamic-int8-sparse.tflite"),
    ]
    return bar_chart("Files that pruning made larger", rows)


FIGURES: dict[str, Callable[[], str]] = {
    "methods": _methods,
    "same-size": _same_size,
    "sparsity": _sparsity,
    "layers": _layers,
    "quantized": _quantized,
    "grown": _grown,
}


def main() -> int:
    """Write or check."""
    stale = {
        path: text
        for path, text in pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        if "--check" in sys.argv[1:]:
            print(
                f"{path.relative_to(HERE.parent.parent)} is not what the data say; run: python"
                " docs/article/make.py"
            )
        else:
            path.write_text(text, encoding="utf-8")
            print(f"rewrote {path.relative_to(HERE.parent.parent)}")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
