"""Save MobileNetV2 and EfficientNetB0, original and pruned, in every way; writes `docs/article/networks.csv`.

usage: nice python benchmarks/accuracy/article_networks.py SCRATCH [--only PATTERN]

Both networks have random weights (`keras.applications`, `weights=None`); MobileNetV2 is trained for one step
with Adam, so it has an optimizer's state. They are pruned by magnitude to 80 % without training: by tfmot in
Keras 2, by `modelinspect.MagnitudePruning` in Keras 3. The pruned files are then shrunk, without loss and
with `--drop training`. What one run gives is kept in SCRATCH as CSV, and no run is repeated. Models in
tfmot's wrappers are saved as files of Keras only. Needs the extra `prune`, and downloads nothing.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "article" / "networks.csv"
VERSIONS = ROOT / "docs" / "article" / "networks_versions.json"
NETWORKS = {"mobilenet-v2": "MobileNetV2", "efficientnet-b0": "EfficientNetB0"}
SHRUNK = (
    "h5",
    "weights-h5",
    "h5-no-optimizer",
    "keras",
    "saved-model-export",
    "checkpoint",
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic-int8",
    "tflite-int8",
)
"""The methods whose files are shrunk; others are compressed already, or SavedModels like the exported one."""

TRAINED = ("mobilenet-v2",)
"""The networks that have an optimizer's state."""

COLUMNS = (
    "network",
    "keras",
    "stage",
    "method",
    "outcome",
    "reason",
    "parameters",
    "size",
    "gzip_size",
    "dense_weights",
    "zero_weights",
    "quantization",
    "sparse_values",
    "sparse_index",
    "optimizer_state",
    "pruning_state",
    "graph",
    "shrunk",
    "shrunk_training",
)
BUILD = """
import sys
import numpy as np
{imports}
keras.utils.set_random_seed(42)
model = keras.applications.{network}(weights=None)
if {trained}:
    model.compile("adam", "sparse_categorical_crossentropy")
    random = np.random.default_rng(42)
    model.train_on_batch(random.random((2, 224, 224, 3), "float32"), np.array([1, 2]))
model.save(sys.argv[1])
print(model.count_params())
"""


@dataclass(frozen=True)
class Run:
    """One network in one Keras with some of the saving methods."""

    network: str
    keras: int
    part: str
    stages: str
    methods: str

    @property
    def name(self) -> str:
        return f"{self.network}-keras{self.keras}-{self.part}"


def runs() -> Iterator[Run]:
    """Yield every run, the quick ones first."""
    first, second = NETWORKS
    files, folders = "h5-no-optimizer,keras,keras-deflate", "saved-model-export,checkpoint"
    tflite = "tflite-float32*,tflite-float16,tflite-dynamic-int8*,tflite-int8"
    yield Run(
        first,
        3,
        "saved",
        "original,pruned",
        f"h5*,weights-h5,keras,keras-deflate,{folders},keras-int8,keras-int4",
    )
    yield Run(
        first,
        2,
        "saved",
        "original,wrapped,stripped",
        f"h5*,weights-h5,keras,keras-deflate,hdf5-gzip,saved-model*,{folders}",
    )
    yield Run(second, 3, "saved", "original,pruned", f"{files},{folders}")
    yield Run(first, 2, "tflite", "original,stripped", tflite)
    yield Run(
        second, 2, "saved", "original,stripped", f"{files},{folders},weights-h5,saved-model,saved-model-keras"
    )
    yield Run(first, 3, "tflite", "original,pruned", tflite)
    yield Run(second, 2, "tflite", "original,stripped", tflite)
    yield Run(second, 3, "tflite", "original,pruned", tflite)


def build(run: Run, scratch: Path) -> tuple[Path, int]:
    """Return the trained network's file and its number of parameters; it is built once."""
    path = scratch / f"{run.network}-keras{run.keras}.keras"
    count = path.with_suffix(".parameters")
    if not count.exists():
        imports = "import tf_keras as keras" if run.keras == 2 else "import keras"
        environment = os.environ | {
            "TF_USE_LEGACY_KERAS": str(int(run.keras == 2)),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        code = BUILD.format(imports=imports, network=NETWORKS[run.network], trained=run.network in TRAINED)
        done = subprocess.run(
            [sys.executable, "-c", code, path], env=environment, capture_output=True, text=True, check=True
        )
        count.write_text(done.stdout.split()[-1])
    return path, int(count.read_text())


def rows(run: Run, scratch: Path) -> list[dict[str, object]]:
    """Prune, save, and shrink."""
    path, parameters = build(run, scratch)
    folder = scratch / run.name
    if not (folder / "manifest.json").exists():
        command = [
            sys.executable,
            "-m",
            "modelinspect",
            "prune",
            path,
            "-o",
            folder,
            "--one-shot",
            "--force",
            "--quiet",
        ]
        options = [
            "--sparsity",
            "0.8",
            "--samples",
            "8",
            "--batch-size",
            "4",
            "--stages",
            run.stages,
            "--methods",
            run.methods,
        ]
        subprocess.run([*command, *options], stdout=subprocess.DEVNULL, check=True)
    report = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    known = json.loads(VERSIONS.read_text(encoding="utf-8")) if VERSIONS.exists() else {}
    VERSIONS.write_text(
        json.dumps(dict(sorted((known | report["versions"]).items())), indent=2) + "\n", encoding="utf-8"
    )
    found: list[dict[str, object]] = []
    for entry in report["artifacts"]:
        row = {"network": run.network, "keras": run.keras, "parameters": parameters}
        row |= {key: entry.get(key) for key in ("stage", "method", "outcome", "reason", "size", "gzip_size")}
        if entry["outcome"] == "made":
            row |= {name.replace("-", "_"): size for name, size in entry["categories"].items()}
            if entry["method"] in SHRUNK and (
                entry["stage"] != "original" or entry["method"] == "saved-model-export"
            ):
                row["shrunk"] = shrunk(folder / entry["path"])
                if row["optimizer_state"] or row["pruning_state"]:
                    row["shrunk_training"] = shrunk(folder / entry["path"], "--drop", "training")
        found.append({name: row.get(name, "") for name in COLUMNS})
    shutil.rmtree(folder)
    return found


def shrunk(path: Path, *options: str) -> int | str:
    """Return the size of what shrink makes of a file; empty where it leaves the file as it is."""
    command = [
        sys.executable,
        "-m",
        "modelinspect",
        "shrink",
        path,
        "--dry-run",
        "--json",
        "--quiet",
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout) if done.stdout.strip() else {}
    return (report.get("after") or {}).get("size") or ""


def main() -> None:
    scratch = Path(sys.argv[1]).resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    pattern = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else "*"
    table = read(TABLE) if TABLE.exists() else {}
    for run in runs():
        kept = scratch / f"{run.name}.csv"
        if not kept.exists() and fnmatchcase(run.name, pattern):
            print(run.name, flush=True)
            write(kept, rows(run, scratch))
        if kept.exists():
            table |= read(kept)
            write(TABLE, list(table.values()))


def read(path: Path) -> dict[tuple[str, ...], dict[str, object]]:
    """Return the rows of a table by network, version of Keras, stage and method."""
    with path.open(encoding="utf-8", newline="") as file:
        return {tuple(row[name] for name in COLUMNS[:4]): dict(row) for row in csv.DictReader(file)}


def write(path: Path, found: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


if __name__ == "__main__":
    main()
