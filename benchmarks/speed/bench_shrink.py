"""Shrink of 270 MB: seconds and memory, each as a ratio to the usual tool in the same run.

`h5repack -L -f GZIP=9` writes HDF5 again, `zip -9` a `.keras` archive, `gzip -9` anything; tools that are
missing are left out.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.bench_hdf5 import make
from benchmarks.speed.harness import MIB, Row, Run, modelinspect, process

_SIZE = 270_000_000
_SECONDS = 30
_MEMORY = 100 * MIB


def bench(folder: Path) -> list[Row]:
    """Shrink an HDF5 file and a .keras archive of 270 MB, and a small one to know the memory that the program
    needs anyway.
    """
    large = make(folder / "shrink_large.h5", 1_100, 2_000, _SIZE)
    small = make(folder / "shrink_small.h5", 20, 20, 1_000_000)
    archive = folder / "shrink_large.keras"
    if not archive.exists():
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("metadata.json", '{"keras_version": "3.15.0"}')
            packed.writestr("config.json", '{"class_name": "Sequential", "config": {"layers": []}}')
            packed.write(large, "model.weights.h5")
    idle = _shrink(small, folder)
    return [
        row
        for path, tool in ((large, "h5repack"), (archive, "zip"))
        for row in _rows(path, tool, idle, folder)
    ]


def _rows(path: Path, tool: str, idle: Run, folder: Path) -> Iterator[Row]:
    run = _shrink(path, folder)
    made = folder / f"small{path.suffix}"
    size = path.stat().st_size
    seconds = (
        f"{run.seconds:.1f} s ({run.processor:.1f} s of processor), {made.stat().st_size / size:.1%} of"
        f" {size / 1e6:.0f} MB"
    )
    yield Row(f"shrink a {path.suffix} file", seconds, f"< {_SECONDS} s", run.seconds < _SECONDS)
    more = run.memory - idle.memory
    yield Row(
        f"memory over that for 1 MB, {path.suffix}",
        f"{more / MIB:.0f} MiB",
        f"< {_MEMORY // MIB} MiB",
        more < _MEMORY,
    )
    out = folder / "other"
    commands = {
        "h5repack": ("h5repack", "-L", "-f", "GZIP=9", path, out),
        "zip": ("zip", "-q", "-9", folder / "other.zip", path),
        "gzip": ("sh", "-c", f"gzip -9 -c '{path}' > '{out}'"),
    }
    for name in (tool, "gzip"):
        if shutil.which(name) is None:
            continue
        other = process(*commands[name], times=1)
        written = folder / "other.zip" if name == "zip" else out
        time, bytes_written = run.processor / other.processor, made.stat().st_size / written.stat().st_size
        figure = f"{time:.2f} times its processor time, {bytes_written:.2f} times its size"
        yield Row(f"{path.suffix} against {name} -9", figure)
        written.unlink()


def _shrink(path: Path, folder: Path) -> Run:
    return modelinspect("shrink", path, "-o", folder / f"small{path.suffix}", "--force", "--quiet", times=1)
