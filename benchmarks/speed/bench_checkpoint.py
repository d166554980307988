"""Checkpoints: structure and weights of a 1 GB checkpoint, against TensorFlow's reader; an index of 200,000
tensors.

The large one is an Adam checkpoint of `tf.train.Checkpoint`: 500 weights of 700 kB, twice as many slots, and
the object graph.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.speed.harness import MIB, Row, fastest, modelinspect, python, under, under_memory

GB = 10**9

_MAKE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
count, side, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(1)
noise = rng.standard_normal((side, side)).astype("f4")
class Layer(tf.Module):
    def __init__(self, number):
        super().__init__()
        self.kernel = tf.Variable(np.where(noise > number / count - 0.5, noise, 0), name=f"layer_{number}/kernel")
class Adam(tf.Module):
    pass
model = tf.Module(); model.layers = [Layer(number) for number in range(count)]
adam = Adam()
adam._iterations = tf.Variable(0, dtype=tf.int64)
adam._trainable_variables = [layer.kernel for layer in model.layers]
adam._momentums = [tf.Variable(noise) for _ in range(count)]
adam._velocities = [tf.Variable(noise) for _ in range(count)]
tf.train.Checkpoint(model=model, optimizer=adam).write(path)
"""  # noqa: E501
_THEIRS = """
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
started = time.perf_counter()
reader = tf.train.load_checkpoint(sys.argv[1])
shapes = reader.get_variable_to_shape_map()
read = time.perf_counter() - started
for name in shapes if len(sys.argv) > 2 else ():
    reader.get_tensor(name)
print(read, time.perf_counter() - started)
"""


def bench(folder: Path) -> list[Row]:
    """Map and measure the large checkpoint; map an index of many tensors; count the bytes of shards that
    structure reads.
    """
    rows: list[Row] = []
    if shutil.disk_usage(folder).free > 4 * GB:
        rows += _large(make_adam(folder / "adam_1gb", 500, 418))
    many = folder / "many"
    made = _make_many(many, 20_000), _make_many(folder / "more", 200_000)
    one, ten = (fastest(lambda path=path: _parse(path), 2) for path in made)
    rows += [
        Row("in process: structure, 20,000 tensors", f"{one:.2f} s"),
        Row(
            "in process: structure, 200,000 tensors",
            f"{ten:.2f} s ({ten / one:.1f} times)",
            "< 13 times (linear)",
            ten < 13 * one,
        ),
    ]
    return rows


def _large(prefix: Path) -> list[Row]:
    structure = modelinspect("inspect", "--no-measure", "--format", "json", prefix)
    measured = modelinspect("inspect", "--format", "json", prefix)
    theirs = _run(_THEIRS, prefix)
    read, size = _shard_bytes_read(prefix)
    return [
        under("structure, 1 GB", structure.seconds, 1.0),
        under_memory("peak memory of that", structure.memory, 150 * MIB),
        Row(
            "TensorFlow's reader: names and shapes, whole process",
            f"{theirs.seconds:.2f} s, {theirs.memory / MIB:.0f} MiB",
        ),
        Row("of that the reading alone", f"{float(theirs.output.split()[0]):.2f} s"),
        Row("in process: structure", f"{fastest(lambda: _parse(prefix)):.2f} s"),
        Row(
            "bytes of the shards that structure reads",
            f"{read:,} of {size:,}",
            "< 1 MB (the object graph)",
            read < 1_000_000,
        ),
        under("measured, 1 GB", measured.seconds, 4.0),
        under_memory("peak memory of that", measured.memory, 200 * MIB),
        Row(
            "TensorFlow's reader: all values, whole process",
            f"{_run(_THEIRS, prefix, 'values').seconds:.2f} s",
        ),
    ]


def _run(code: str, *arguments: object):  # type: ignore[no-untyped-def]
    given = [str(argument) for argument in arguments]
    return python(f"import sys; sys.argv = ['-c', *{given!r}]\n{code}", times=2)


def make_adam(prefix: Path, count: int, side: int) -> Path:
    if not prefix.with_name(prefix.name + ".index").exists():
        python(
            f"import sys; sys.argv = ['-c', {str(count)!r}, {str(side)!r}, {str(prefix)!r}]\n{_MAKE}", times=1
        )
    return prefix


def _make_many(prefix: Path, count: int) -> Path:
    """Write a bundle of many small tensors, as `tests.support.tables` does."""
    import numpy as np
    from tests.support.tables import bundle

    index = prefix.with_name(prefix.name + ".index")
    if not index.exists():
        tensors = {
            f"model/layer_{number // 4:06d}/variable_{number % 4}": np.full(2, number, "f4")
            for number in range(count)
        }
        files = bundle(tensors, per_block=4_000)
        index.write_bytes(files["model.index"])
        prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(files["model.data-00000-of-00001"])
    return prefix


def _parse(prefix: Path) -> None:
    from modelinspect.formats.registry import parse
    from modelinspect.sources.opening import open_location

    with open_location(prefix) as files:
        parse(files)


def _shard_bytes_read(prefix: Path) -> tuple[int, int]:
    """Return how many bytes of the shards parsing reads, and how many there are."""
    from modelinspect.formats.registry import parse
    from modelinspect.sources.base import Source
    from modelinspect.sources.local_files import LocalFiles

    class Counting(Source):
        def __init__(self, inner: Source, counts: list[int]) -> None:
            self.inner, self.name, self.size, self.counts = inner, inner.name, inner.size, counts

        def read_into(self, offset: int, buffer: memoryview) -> None:
            self.counts.append(len(buffer))
            self.inner.read_into(offset, buffer)

    class Counted(LocalFiles):
        counts: list[int]

        def _open_source(self, name: str) -> Source:
            source = super()._open_source(name)
            return Counting(source, self.counts) if ".data-" in name else source

    with Counted(prefix.with_name(prefix.name + ".index")) as files:
        files.counts = []
        artifact = parse(files)
        return sum(files.counts), sum(member.size for member in artifact.members if ".data-" in member.name)
