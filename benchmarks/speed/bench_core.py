"""Core: byte maps, start-up."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.harness import MIB, Row, modelinspect, python, under, under_memory

_MAP = """
import resource, time
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
import numpy
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.process_time()
builder = ByteMapBuilder("m", 48_000_000)
parts = ["object header", "message", "B-tree node", "key", "local heap", "name", "symbol table node", "entry", "raw data", "padding"]
kinds = list(RegionKind)[:9]
for index in range(1_000_000):
    if index % 10 == 0:
        structure = builder.paths.add(builder.root, f"/model_weights/layer_{index}")
    builder.claim(index * 48, 48, kinds[index % 9], builder.paths.add(structure, parts[index % 10]))
built = builder.build()
assert len(built.map) == 1_000_000
print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""  # noqa: E501

_TIMES = 20

_HEAVY = "numpy h5py rich typer fsspec google"


def bench(folder: Path) -> list[Row]:
    """Build a map of a million regions of 100,000 structures; start the program."""
    seconds, grown = python(_MAP).output.split()
    loaded = (
        python(
            f"import sys, modelinspect; print([name for name in '{_HEAVY}'.split() if name in sys.modules])"
        )
        .output.decode()
        .strip()
    )
    return [
        under("a map of 1,000,000 regions", float(seconds), 2),
        under_memory("memory of that map", int(grown) * 1024, 100 * MIB),
        *_start_up(folder / "small.h5"),
        under("modelinspect --help", modelinspect("--help", times=7), 0.15),
        Row(f"`import modelinspect` loads of {_HEAVY}", loaded, "[]", loaded == "[]"),
    ]


def _start_up(path: Path) -> list[Row]:
    """Compare commands on a small file with the import of numpy: processor time, the least of several runs
    that alternate.
    """
    import h5py

    with h5py.File(path, "w") as file:
        for index in range(4):
            file[f"model_weights/dense_{index}/kernel"] = [[0.0, 1.0]]
    least = dict.fromkeys(("numpy", "inspect", "map", "lint"), float("inf"))
    for _ in range(_TIMES):
        for name in least:
            run = python("import numpy", times=1) if name == "numpy" else modelinspect(name, path, times=1)
            least[name] = min(least[name], run.processor)
    numpy = least.pop("numpy")
    rows = [Row("`import numpy`, whole process", f"{numpy * 1000:.0f} ms of processor")]
    for name, seconds in least.items():
        ratio = seconds / numpy
        rows.append(
            Row(
                f"{name} of a small HDF5 file",
                f"{seconds * 1000:.0f} ms, {ratio:.1f} times that",
                "< 2.5 times",
                ratio < 2.5,
            )
        )
    return rows
