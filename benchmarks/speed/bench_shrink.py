"""Shrink of 270 MB: seconds and memory; and of 27 MB, as a ratio to the usual tools in the same run.

`gzip -9` and `zip -9` compress every file, `h5repack -L -f GZIP=9` writes HDF5 again; tools that are missing
are left out. The files are HDF5 files with 1,100 groups and half or four fifths of the weights zero, a
`.keras` archive around the first, a TFLite model with 730 weights, and a checkpoint of 130 weights with the
slots of Adam. The other tools take minutes for 270 MB, and their time grows with the bytes.
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

_LARGE, _COMPARED = 270_000_000, 27_000_000
_SECONDS = 30
_MEMORY = 100 * MIB


def bench(folder: Path) -> list[Row]:
    """Shrink files of 270 MB, and a small one to know the memory that the program needs anyway."""
    small = make(folder / "shrink_small.h5", 20, 20, 1_000_000)
    idle = _shrink(small, folder)
    rows = [row for kind, path in _files(folder, _LARGE) for row in _speed(kind, path, idle, folder)]
    return rows + [row for kind, path in _files(folder, _COMPARED) for row in _against(kind, path, folder)]


def _files(folder: Path, size: int) -> list[tuple[str, Path]]:
    """Make the files of about a size, once."""
    name = f"shrink_{size // 1_000_000}"
    groups, datasets = size // 245_000, size // 135_000
    half = make(folder / f"{name}.h5", groups, datasets, size)
    sparse = make(folder / f"{name}_sparse.h5", groups, datasets, size, zeros=0.8)
    archive = folder / f"{name}.keras"
    if not archive.exists():
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("metadata.json", '{"keras_version": "3.15.0"}')
            packed.writestr("config.json", '{"class_name": "Sequential", "config": {"layers": []}}')
            packed.write(half, "model.weights.h5")
    model = folder / f"{name}.tflite"
    if not model.exists():
        dense_model(model, size)
    checkpoint = folder / name
    if not checkpoint.exists():
        checkpoint.mkdir()
        make_adam(checkpoint / "model", 130, round((size / 1_560) ** 0.5))
    return [
        ("a .h5 file, half of it zeros", half),
        ("a .h5 file, four fifths zeros", sparse),
        ("a .keras file, half of it zeros", archive),
        ("a .tflite file", model),
        ("a checkpoint with slots", checkpoint),
    ]


def _speed(kind: str, path: Path, idle: Run, folder: Path) -> Iterator[Row]:
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


def _against(kind: str, path: Path, folder: Path) -> Iterator[Row]:
    run, out = _shrink(path, folder), folder / "other"
    made = _size(folder / f"small{path.suffix}")
    commands = {
        "h5repack -L -f GZIP=9": ("h5repack", "-L", "-f", "GZIP=9", path, out),
        "gzip -9": ("sh", "-c", f"tar -cf - '{path}' | gzip -9 > '{out}'"),
        "zip -9": ("sh", "-c", f"zip -q -r -9 - '{path}' > '{out}'"),
    }
    for name, command in commands.items():
        if shutil.which(name.split()[0]) is None or (name.startswith("h5repack") and path.suffix != ".h5"):
            continue
        other = process(*command, times=1)
        time, size = run.seconds / other.seconds, made / _size(out)
        figure = f"{time:.2f} times its time, {size:.2f} times its size ({other.seconds:.1f} s)"
        yield Row(f"{_size(path) / 1e6:.0f} MB, {kind}, against {name}", figure)
        out.unlink()


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size


def _shrink(path: Path, folder: Path) -> Run:
    made = folder / f"small{path.suffix}"
    if made.is_dir():
        shutil.rmtree(made)
    return modelinspect("shrink", path, "-o", made, "--force", "--quiet", times=1)
