"""Explain: two models of 270 MB, one pruned from the other, every tensor of both read."""

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
    ]


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
