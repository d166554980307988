"""HDF5: structure and weights of large Keras-like files.

The first file has the shape of EfficientNetB7 as Keras saves it: 1,100 groups, 2,000 datasets, 270 MB.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.speed.harness import (
    MIB,
    Row,
    Run,
    at_most,
    fastest,
    modelinspect,
    process,
    shown,
    under,
    under_memory,
)

GB = 10**9


def make(path: Path, groups: int, datasets: int, size: int, zeros: float = 0.5) -> Path:
    """Make a file like Keras's: groups of a layer each with its weights below, vlen configuration at the
    root; ``zeros`` is the share of weights that are zero.
    """
    import h5py
    import numpy as np

    if path.exists():
        return path
    rng = np.random.default_rng(1)
    each = size // datasets // 4
    noises = []
    for step in range(21):  # each tenth more or less, as layers of a model differ
        noise = rng.standard_normal(max(each * 2, 64)).astype("f4")
        noise[rng.random(len(noise)) < zeros + (step - 10) / 100] = 0
        noises.append(noise)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Functional", "config": {"layers": []}}' + " " * 100_000
        file.attrs["keras_version"] = "2.21.0"
        top = file.create_group("model_weights")
        names = [f"block_{index}" for index in range((groups - 2) // 2)]
        if len(names) < 2_000:  # Keras splits longer lists
            top.attrs["layer_names"] = [name.encode() for name in names]
        held = 0
        for index, name in enumerate(names):
            count = (datasets - held) // (len(names) - index)
            layer = top.create_group(name)
            weights = [f"{name}/weight_{number}:0" for number in range(count)]
            layer.attrs["weight_names"] = [weight.encode() for weight in weights]
            for number, weight in enumerate(weights):
                length = each * 2 - 64 if number % 2 == 0 else 64
                data = noises[(held + number) % len(noises)][: max(length, 1)].copy()
                data[0] = held + number + 1  # no two tensors of a real model are equal
                layer.create_dataset(weight, data=data)
            held += count
    return path


def make_large(path: Path, size: int) -> Path:
    """Make a file of few datasets and many bytes."""
    import h5py
    import numpy as np

    if path.exists():
        return path
    with h5py.File(path, "w") as file:
        block = np.random.default_rng(2).standard_normal(16 * MIB // 4).astype("f4")
        count = -(-size // 64 // (16 * MIB))
        for index in range(64):
            dataset = file.create_dataset(f"layers/dense_{index}/vars/0", (count, len(block)), "f4")
            block[0] = index + 1
            for row in range(count):
                dataset[row] = block
    return path


def bench(folder: Path) -> list[Row]:
    """Time whole processes against h5stat, and measuring against plain reading."""
    rows: list[Row] = []
    model = make(folder / "efficientnet.h5", 1_100, 2_000, 270_000_000)
    many = make(folder / "many.h5", 11_000, 20_000, 270_000_000)
    structure, measured = (
        modelinspect("inspect", *options, "--format", "json", model) for options in (["--no-measure"], [])
    )
    rows.append(under("structure, 2,000 datasets, 270 MB", structure, 1.0))
    rows.append(under("measured, 2,000 datasets, 270 MB", measured, 1.5))
    rows.append(under_memory("peak memory, measured, 270 MB", measured.memory, 150 * MIB))
    rows += _against_h5stat("2,000 datasets", model, measured)
    wide, wide_measured = (
        modelinspect("inspect", *options, "--format", "json", many) for options in (["--no-measure"], [])
    )
    rows.append(Row("structure, 20,000 datasets", shown(wide)))
    rows.append(Row("measured, 20,000 datasets", shown(wide_measured)))
    rows += _against_h5stat("20,000 datasets", many, wide_measured)
    rows += _linear(model, many)
    rows += _reading(model)
    if shutil.disk_usage(folder).free > 12 * GB:
        rows += _large(folder, measured.memory)
    return rows


def _against_h5stat(what: str, path: Path, measured: Run) -> list[Row]:
    if shutil.which("h5stat") is None:
        return []
    totals = process("h5stat", "-S", path)
    return [
        Row(f"h5stat -S (only totals), {what}", shown(totals)),
        at_most(f"measured, {what}, against h5stat -S", measured, totals, 5),
    ]


def _linear(small: Path, large: Path) -> list[Row]:
    """Compare the time in this process for each dataset of the two files."""
    one, ten = fastest(lambda: _parse(small)), fastest(lambda: _parse(large), 3)
    grown = ten / one
    return [
        Row("in process: structure, 2,000 datasets", f"{one:.2f} s"),
        Row(
            "in process: structure, 20,000 datasets",
            f"{ten:.2f} s ({grown:.1f} times)",
            "< 13 times (linear)",
            grown < 13,
        ),
    ]


def _parse(path: Path) -> None:
    from modelinspect.formats.registry import parse
    from modelinspect.sources.opening import open_location

    with open_location(path) as files:
        parse(files)


def _reading(path: Path) -> list[Row]:
    """Compare measuring with reading the same file into one buffer."""
    from modelinspect.formats.registry import parse
    from modelinspect.measure.run import measure
    from modelinspect.sources.opening import open_location

    def read() -> None:
        buffer = bytearray(MIB)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    with open_location(path) as files:
        artifact = parse(files)
        plain, counted = fastest(read), fastest(lambda: measure(artifact, files))
    share = plain / counted
    size = path.stat().st_size / GB
    return [
        Row(f"in process: plain reading, {size:.1f} GB", f"{size / plain:.1f} GB/s"),
        Row(
            f"in process: measuring, {size:.1f} GB",
            f"{size / counted:.1f} GB/s ({share:.0%} of reading)",
            ">= 70 %",
            share >= 0.7,
        ),
    ]


def _large(folder: Path, before: int) -> list[Row]:
    path = make_large(folder / "large.weights.h5", 4 * GB)
    run = modelinspect("inspect", "--format", "json", path, times=1)
    grown = run.memory - before
    rows = [
        Row("measured, 4 GB", shown(run)),
        Row(
            "peak memory, 4 GB, over that of 270 MB", f"{grown / MIB:+.0f} MiB", "< +32 MiB", grown < 32 * MIB
        ),
    ]
    rows += _reading(path)
    path.unlink()
    return rows
