"""Write the table of docs/guide/shrink.md: every kind of fixture before and after shrink, with the proof."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import modelinspect as mi

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "guide" / "shrink.md"
MARK = "<!-- shrink-table -->"
_KINDS = (
    ".h5",
    ".keras",
    ".tflite",
    ".gz",
    ".zip",
    "saved-model",
    "saved-model-export",
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
_SHOWN += ("keras_presets/sharded",)
"""Fixtures that the page shows: one network in every stage and saving method, and one of each other
format.
"""


def rows() -> list[str]:
    """Return the rows of the table."""
    manifest = json.loads((PROJECT / "fixtures" / "manifest.json").read_text(encoding="utf-8"))
    found = []
    for name in sorted(entry["path"] for entry in manifest["artifacts"]):
        if not name.startswith(_SHOWN) or not name.endswith(_KINDS):
            continue
        for drop in ((), ("training",)):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    report = mi.shrink(PROJECT / "fixtures" / name, Path(folder) / Path(name).name, drop=drop)
                except mi.ModelInspectError:
                    continue
            if report.after is None or report.proof is None or (drop and not report.proof.dropped):
                continue
            share = f"{report.after.size / report.before.size:.1%}".replace("%", " %")
            kept = report.proof.tensors - report.proof.dropped
            proof = f"{report.proof.equal:,} of {kept:,} tensors equal" + (
                f", {report.proof.dropped:,} dropped" if drop else ""
            )
            level = "training dropped" if drop else "lossless"
            found.append(
                f"| `{name}` | {level} | {report.before.size:,} | {report.after.size:,} | {share} | {proof} |"
            )
    return found


def main() -> None:
    """Put the table after its mark."""
    text = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    head = (
        "| fixture | level | before | after | of before | proof |\n| --- | --- | ---: | ---: | ---: | --- |\n"
    )
    PAGE.write_text(f"{text}{MARK}\n\n{head}" + "\n".join(rows()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
