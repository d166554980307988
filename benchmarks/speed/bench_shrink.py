"""Shrink of 270 MB: seconds and memory, each as a ratio to the usual tools in the same run.

`gzip -9` and `zip -9` compress every file, `h5repack -L -f GZIP=9` writes HDF5 again; tools that are missing
are left out. The files are an HDF5 file and a `.keras` archive with 1,100 datasets, a TFLite model with 730
weights, and a checkpoint of 130 weights with the slots of Adam.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.bench_checkpoint import make_adam
from benchmarks.speed.bench_hdf5 import make
from benchmarks.speed.bench_tflite import dense_model
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
    model = folder / "shrink_large.tflite"
    if not model.exists():
        dense_model(model, _SIZE)
    checkpoint = folder / "shrink_checkpoint"
    if not checkpoint.exists():
        checkpoint.mkdir()
        make_adam(checkpoint / "model", 130, 418)
    idle = _shrink(small, folder)
    return [row for path in (large, archive, model, checkpoint) for row in _rows(path, idle, folder)]


def _rows(path: Path, idle: Run, folder: Path) -> Iterator[Row]:
    kind = f"a {path.suffix} file" if path.suffix else "a checkpoint"
    run = _shrink(path, folder)
    made, size = _size(folder / f"small{path.suffix}"), _size(path)
    seconds = (
        f"{run.seconds:.1f} s ({run.processor:.1f} s of processor), {made / size:.1%} of {size / 1e6:.0f} MB"
    )
    yield Row(f"shrink {kind}", seconds, f"< {_SECONDS} s", run.seconds < _SECONDS)
    more = run.memory - idle.memory
    yield Row(
        f"memory over that for 1 MB, {kind}",
        f"{more / MIB:.0f} MiB",
        f"< {_MEMORY // MIB} MiB",
        more < _MEMORY,
    )
    out = folder / "other"
    commands = {
        "h5repack -L -f GZIP=9": ("h5repack", "-L", "-f", "GZIP=9", path, out),
        "gzip -9": ("sh", "-c", f"tar -cf - '{path}' | gzip -9 > '{out}'"),
        "zip -9": ("sh", "-c", f"zip -q -r -9 - '{path}' > '{out}'"),
    }
    for name, command in commands.items():
        if shutil.which(name.split()[0]) is None or (name.startswith("h5repack") and path.suffix != ".h5"):
            continue
        other = process(*command, times=1)
        time, bytes_written = run.processor / other.processor, made / _size(out)
        figure = f"{time:.2f} times its processor time, {bytes_written:.2f} times its size"
        yield Row(f"{kind} against {name}", f"{figure} ({other.seconds:.1f} s)")
        out.unlink()


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size


def _shrink(path: Path, folder: Path) -> Run:
    made = folder / f"small{path.suffix}"
    if made.is_dir():
        shutil.rmtree(made)
    return modelinspect("shrink", path, "-o", made, "--force", "--quiet", times=1)
