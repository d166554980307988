"""Plan: a model of 64 MiB, 80 % of it zeros, against the compressor alone.

usage: python benchmarks/speed/bench_plan.py [--size 64] [--runs 1]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.speed.harness import MIB, Row, modelinspect, python, shown, under_memory

ALONE = (
    "import zlib, sys; c = zlib.compressobj(9); f = open({0!r}, 'rb'); n = 0\nwhile b := f.read(1 << 20): n"
    " += len(c.compress(b))"
)
"""What the same compressor takes alone, in one thread."""
TIMES = 1.5
"""How many times as long `plan` may take: measuring comes before."""


def write(path: Path, size: int) -> None:
    """Write a Keras-like file of kernels, 80 % of them zeros."""
    random = np.random.default_rng(7)
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.21.0"
        file.attrs["layer_names"] = np.array([f"dense_{n}" for n in range(size // 4)], dtype="S")
        for number in range(size // 4):
            kernel = random.standard_normal((1024, 1024)).astype(np.float32)
            kernel[random.random(kernel.shape) < 0.8] = 0
            group = file.create_group(f"dense_{number}")
            group.attrs["weight_names"] = np.array([f"dense_{number}/kernel:0"], dtype="S")
            group.create_dataset(f"dense_{number}/kernel:0", data=kernel)


def bench(folder: Path) -> list[Row]:
    """Time whole processes, once each: for 270 MiB the compressor takes a minute, at the same ratio."""
    return rows(folder, 64, 1)


def rows(folder: Path, size: int, runs: int) -> list[Row]:
    """Time `plan` with gzip alone, and for the TFLite forms."""
    path = folder / "plan.h5"
    write(path, size)
    alone = python(ALONE.format(str(path)), times=runs)
    gzip = modelinspect("plan", path, "--only", "gzip-9", "--format", "json", times=runs)
    forms = modelinspect(
        "plan", path, "--only", "tflite-sparse,tflite-dynamic-int8-sparse", "--format", "json", times=runs
    )
    return [
        Row(f"zlib level 9 alone over {size} MiB", shown(alone)),
        Row(
            "plan --only gzip-9, and what each kernel deflates to",
            f"{shown(gzip)}, {gzip.seconds / alone.seconds:.2f} times zlib alone",
            f"< {TIMES} x",
            gzip.seconds < TIMES * alone.seconds,
        ),
        under_memory("plan --only gzip-9: peak of memory", gzip.memory, 200 * MIB),
        Row("plan of the TFLite forms", shown(forms)),
        under_memory("plan of the TFLite forms: peak of memory", forms.memory, 200 * MIB),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=64, help="MiB of kernels")
    parser.add_argument("--runs", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = rows(Path(folder), given.size, given.runs)
    for row in found:
        print(
            f"{row.what}: {row.figure} {row.target}"
            f" {'' if row.met is None else 'met' if row.met else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
