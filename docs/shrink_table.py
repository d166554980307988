"""Write the table of docs/guide/shrink.md: every kind of fixture before and after shrink, with the proof."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import modelinspect as mi

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from tests.shrinking.test_corpus import FILES  # noqa: E402  # the files that the real loaders load
from tests.support.corpus import find_corpus  # noqa: E402

PAGE = PROJECT / "docs" / "guide" / "shrink.md"
MARK, CORPUS_MARK = "<!-- shrink-table -->", "<!-- shrink-corpus-table -->"
_KINDS = (
    ".h5",
    ".keras",
    ".tflite",
    ".gz",
    ".zip",
    "saved-model",
    "saved-model-export",
    "saved-model-keras",
    "exported",
    "checkpoint",
    "adam",
    "training",
)
_KINDS += ("layers", "folder", "sharded")
_SHOWN = (
    "pruned_mlp/original",
    "pruned_mlp/wrapped",
    "pruned_layers/lstm/wrapped",
    "saved_model_keras3",
    "checkpoint",
    "tflite/int8",
)
_SHOWN += (
    "tflite/sparse",
    "pruned_mlp/stripped/float32-sparse",
    "archives",
    "tfjs/layers",
    "keras_zip/folder",
    "keras_zip/sharded",
)
_SHOWN += ("keras_presets/sharded", "safetensors_files/sharded")
"""Fixtures that the page shows: one network in every stage and saving method, and one of each other
format.
"""


def rows() -> list[str]:
    """Return the rows of the table of fixtures."""
    manifest = json.loads((PROJECT / "fixtures" / "manifest.json").read_text(encoding="utf-8"))
    found = []
    for name in sorted(entry["path"] for entry in manifest["artifacts"]):
        if name.startswith(_SHOWN) and name.endswith(_KINDS):
            for drop in ((), ("training",)):
                found += row(PROJECT / "fixtures" / name, f"`{name}`", drop)
    return found


def corpus_rows(folder: Path) -> list[str]:
    """Return the rows of the table of files that others made, by project."""
    found = []
    for name, _ in FILES:
        project, _, file = name.partition("/")[2].partition("/")
        project = project.partition("==")[0].replace("+", "/", 1)
        found += row(
            folder / name, f"{project}: `{file.rpartition('testdata/')[2].rpartition('models/')[2]}`", ()
        )
    return sorted(found)


def row(path: Path, shown: str, drop: tuple[str, ...]) -> list[str]:
    """Return the row of an artifact, None where shrink drops nothing of it or refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = mi.shrink(path, Path(folder) / path.name, drop=drop)
        except mi.ModelInspectError:
            return []
    if report.after is None or report.proof is None or (drop and not report.proof.dropped):
        return []
    share = f"{report.after.size / report.before.size:.1%}".replace("%", " %")
    kept = report.proof.tensors - report.proof.dropped
    proof = f"{report.proof.equal:,} of {kept:,} tensors equal" + (
        f", {report.proof.dropped:,} dropped" if drop else ""
    )
    level = "training dropped" if drop else "lossless"
    return [f"| {shown} | {level} | {report.before.size:,} | {report.after.size:,} | {share} | {proof} |"]


def main() -> None:
    """Put the tables after their marks; that of the corpus stays as it is where there is no corpus."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    before, _, corpus = rest.partition(CORPUS_MARK)
    between = before.rpartition("|\n")[2]
    folder = find_corpus()
    if folder is not None:
        corpus = f"\n\n{_HEAD}" + "\n".join(corpus_rows(folder)) + "\n"
    table = f"{MARK}\n\n{_HEAD}" + "\n".join(rows()) + "\n"
    PAGE.write_text(f"{head}{table}{between}{CORPUS_MARK}{corpus}", encoding="utf-8")


_HEAD = (
    "| artifact | level | before | after | of before | proof |\n| --- | --- | ---: | ---: | ---: | --- |\n"
)

if __name__ == "__main__":
    main()
