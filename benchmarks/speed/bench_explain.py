"""Explain, diff, plan: two models of 270 MB, one pruned from the other; 50,000 tensors; two files of 4 GB.

Every tensor is read, except where a row says structure.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.bench_hdf5 import make
from benchmarks.speed.harness import MIB, Row, modelinspect, shown, under, under_memory


def bench(folder: Path) -> list[Row]:
    """Time whole processes."""
    before = make(folder / "before.h5", 1_100, 2_000, 270_000_000)
    after = pruned(before, folder / "after.h5")
    explained = modelinspect("explain", before, after, "--format", "json")
    compared = modelinspect("diff", before, after, "--format", "json")
    structure = modelinspect("explain", before, after, "--no-measure", "--format", "json")
    return [
        under("explain, 2 x 270 MB, 2 x 2,000 tensors", explained, 5.0),
        under_memory("peak memory of explain", explained.memory, 200 * MIB),
        Row("diff, 2 x 270 MB", shown(compared)),
        under("explain --no-measure", structure, 2.0),
        *_many(folder),
        *_large(folder),
    ]


def _many(folder: Path) -> list[Row]:
    """Explain pairs of models with few bytes and many tensors, the second with five times as many."""
    few, many = (
        modelinspect("explain", *_pair(folder, f"tensors_{count}", count), "--format", "json", times=1)
        for count in (10_000, 50_000)
    )
    ratio = many.processor / few.processor
    return [
        Row("explain, 2 x 10,000 tensors", f"{shown(few)}, {few.memory / MIB:.0f} MiB"),
        Row("explain, 2 x 50,000 tensors", f"{shown(many)}, {many.memory / MIB:.0f} MiB"),
        Row("five times the tensors", f"{ratio:.1f} times", "< 6.5 times (linear)", ratio < 6.5),
    ]


def _large(folder: Path) -> list[Row]:
    """Compare two sparse files of 4 GB: memory does not grow with their size."""
    sides = _pair(folder, "large", 64, 16_000_000)
    run = modelinspect("diff", *sides, "--format", "json", times=1)
    return [
        Row("diff, 2 x 4 GB", shown(run)),
        under_memory("peak memory of that", run.memory, 100 * MIB),
    ]


def _pair(folder: Path, label: str, count: int, elements: int = 16) -> list[Path]:
    names = ("one", "two")
    return [_safetensors(folder / f"{label}_{name}.safetensors", count, name, elements) for name in names]


def _safetensors(path: Path, count: int, name: str, elements: int = 16) -> Path:
    """Write a model of float32 tensors that differ; the large ones are mostly holes of a sparse file."""
    import json
    import struct

    if path.exists():
        return path
    size = 4 * elements
    header = json.dumps(
        {
            f"model.layers.{number // 8}.part_{number % 8}.weight": {
                "dtype": "F32",
                "shape": [elements],
                "data_offsets": [number * size, (number + 1) * size],
            }
            for number in range(count)
        }
    ).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for number in range(count):
            file.seek(8 + len(header) + number * size)
            file.write(struct.pack("<2f", number + 1, len(name) + ord(name[0])))
        file.truncate(8 + len(header) + count * size)
    return path


def pruned(before: Path, after: Path) -> Path:
    """Make the same model with the small half of its weights zero, as the mask of a pruning wrapper leaves
    them.
    """
    import shutil

    import h5py
    import numpy as np

    if after.exists():
        return after
    shutil.copy(before, after)

    def prune(_: str, found: object) -> None:
        if isinstance(found, h5py.Dataset) and found.size > 64:
            data = found[()]
            found[()] = data * (np.abs(data) > 0.7)

    with h5py.File(after, "r+") as file:
        file.visititems(prune)
    return after
