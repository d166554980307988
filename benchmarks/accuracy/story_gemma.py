"""Write the weights of Gemma3 1B, in float32 and with int4 dense layers, at full size without their elements;
measures the types.

usage: python benchmarks/accuracy/story_gemma.py

The layout is that of Keras 3's `.weights.h5`, from the published architecture. HDF5 allocates each dataset
and writes nothing, so the files take little space on disk. Writes `story_gemma.csv`, from which
docs/guide/stories/int4-float.md has its table.
"""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

import modelinspect as mi

TABLE = Path(__file__).with_suffix(".csv")
WORDS, WIDTH, LAYERS, INNER, HEADS, HEAD = 262_144, 1_152, 26, 6_912, 4, 256


def layers() -> Iterator[tuple[str, str, list[tuple[int, ...]]]]:
    """Yield every layer: its name, its kind (embedding, dense, norm), and the shapes of its weights."""
    yield "token_embedding", "embedding", [(WORDS, WIDTH)]
    for at in range(LAYERS):
        for name, rows, columns in (
            ("query", WIDTH, HEADS * HEAD),
            ("key", WIDTH, HEAD),
            ("value", WIDTH, HEAD),
            ("attention_output", HEADS * HEAD, WIDTH),
            ("gate", WIDTH, INNER),
            ("up", WIDTH, INNER),
            ("down", INNER, WIDTH),
        ):
            yield f"block_{at}_{name}", "dense", [(rows, columns)]
        for name, width in (
            ("pre", WIDTH),
            ("post", WIDTH),
            ("pre_ffw", WIDTH),
            ("post_ffw", WIDTH),
            ("query", HEAD),
            ("key", HEAD),
        ):
            yield f"block_{at}_{name}_norm", "norm", [(width,)]
    yield "final_norm", "norm", [(WIDTH,)]


def write(path: Path, *, int4: bool) -> None:
    """Write a file whose datasets are allocated and hold no elements."""
    with h5py.File(path, "w", libver="latest") as file:
        for name, kind, shapes in layers():
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            stored: list[tuple[tuple[int, ...], str]] = [(shape, "f4") for shape in shapes]
            if int4 and kind == "dense":
                rows, columns = shapes[0]
                stored = [((rows, columns // 2), "i1"), ((columns,), "f4")]
            for at, (shape, dtype) in enumerate(stored):
                allocate(group, str(at), shape, dtype)


def allocate(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: str) -> None:
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(np.dtype(dtype))
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(shape), settings)


def main() -> None:
    kinds = {name: kind for name, kind, _ in layers()}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for file, int4 in (("float32", False), ("int4", True)):
            path = Path(folder) / f"{file}.weights.h5"
            write(path, int4=int4)
            report = mi.tensors(path, measure=False)
            found: Counter[tuple[str, str]] = Counter()
            for tensor in report.tensors:
                found[kinds[tensor.layer], tensor.dtype] += tensor.stored_size
            size = report.artifact.size
            rows += [(file, size, kind, dtype, bytes_) for (kind, dtype), bytes_ in sorted(found.items())]
    with TABLE.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("file", "size", "layers", "dtype", "stored"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
