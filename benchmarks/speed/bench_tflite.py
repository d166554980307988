"""TFLite: a model of EfficientNetB7's size (264 MB) and one of MobileNetV2's, chains of up to 100,000
operators, TensorFlow's analyzer.

The large models are made here: convolutions with biases, float32, whose weights take the bytes of the real
ones in as many tensors.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from tests.support.flat import build, model

from benchmarks.speed.harness import MIB, Row, Run, faster, modelinspect, python, under, under_memory

_ANALYZER = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
tf.lite.experimental.Analyzer.analyze(model_path=sys.argv[1])
"""
_COMPRESSORS = """
import sys
from modelinspect.measure.compressors import Compressor, sink
with open(sys.argv[1], "rb") as file:
    data = file.read()
for one in Compressor:
    stream = sink(one)
    stream.add(data)
    stream.finish()
"""
_OPEN = "import modelinspect, sys; modelinspect.open(sys.argv[1])"


def bench(folder: Path) -> list[Row]:
    """Inspect dense models with their weights measured; inspect chains of operators, each twice as long as
    the one before.
    """
    rows: list[Row] = []
    for name, size in (("MobileNetV2", 14_000_000), ("EfficientNetB7", 264_000_000)):
        if shutil.disk_usage(folder).free > 4 * size:
            path = folder / f"{name}.tflite"
            if not path.exists():
                dense_model(path, size)
            rows += _dense(path, size, 10 if name == "EfficientNetB7" else None)
    seconds: dict[int, float] = {}
    for count in (25_000, 50_000, 100_000):
        path = folder / f"chain_{count}.tflite"
        if not path.exists():
            chain_model(path, count)
        run = modelinspect("inspect", "--format", "json", path, times=2)
        seconds[count] = run.processor
        rows += (
            [under(f"{count:,} operators", run, 8.0)]
            if count == 100_000
            else [Row(f"{count:,} operators", f"{run.processor:.2f} s of processor")]
        )
    explained = modelinspect("explain", "--format", "json", folder / "chain_100000.tflite", times=2)
    ratio = explained.processor / seconds[100_000]
    rows.append(
        Row(
            "explain, 100,000 operators",
            f"{explained.processor:.2f} s of processor, {ratio:.1f} times inspect",
            "< 4 times",
            ratio < 4,
        )
    )
    rows.append(under_memory("peak memory of that", explained.memory, 300 * 10**6))
    alone = _python(_COMPRESSORS, folder / "chain_100000.tflite", times=1)
    planned = modelinspect("plan", "--no-limit", "--format", "json", folder / "chain_100000.tflite", times=1)
    ratio = planned.processor / seconds[100_000]
    rows.append(
        Row(
            "plan, 100,000 operators",
            f"{planned.processor:.2f} s of processor, {ratio:.1f} times inspect",
            "< 6 times",
            ratio < 6,
        )
    )
    ratio = alone.processor / seconds[100_000]
    rows += [
        Row(
            "of that zlib, zstd and brotli alone, each over the file",
            f"{alone.processor:.2f} s of processor, {ratio:.1f} times inspect",
        ),
        under_memory("peak memory of plan", planned.memory, 300 * 10**6),
    ]
    growth = seconds[100_000] / seconds[25_000]
    return [
        *rows,
        Row(
            "four times the operators",
            f"{growth:.1f} times the processor time",
            "< 5 times (linear)",
            growth < 5,
        ),
    ]


def _dense(path: Path, size: int, least: float | None) -> list[Row]:
    measured = modelinspect("inspect", "--format", "json", path)
    structure = _python(_OPEN, path)
    theirs = _python(_ANALYZER, path)
    megabytes = f"{size // 1_000_000} MB"
    return [
        under(f"{path.stem}'s size, {megabytes}, measured", measured, 0.7),
        under_memory("peak memory of that", measured.memory, 150 * MIB),
        Row("only the structure", f"{structure.seconds:.2f} s, {structure.memory / MIB:.0f} MiB"),
        Row("TensorFlow's analyzer, whole process", f"{theirs.seconds:.2f} s, {theirs.memory / MIB:.0f} MiB"),
        *([faster("measured, against the analyzer", measured, theirs, least)] if least else []),
    ]


def _python(code: str, path: Path, times: int = 2) -> Run:
    return python(f"import sys; sys.argv = ['-c', {str(path)!r}]\n{code}", times=times)


def dense_model(path: Path, size: int, count: int = 730) -> None:
    """Write a model whose weights take ``size`` bytes: convolutions with their biases, and activations
    between them.
    """
    rng = np.random.default_rng(7)
    weights = rng.dirichlet(np.full(count // 2, 0.5)) * size / 4
    tensors, buffers, operators = [{"shape": [1, 8], "name": "input", "buffer": 0}], [], []
    pool = rng.standard_normal(1 << 20).astype(np.float32)
    for index, elements in enumerate(weights):
        length = max(int(elements) // 8 * 8, 8)
        data = np.resize(pool, length).astype(np.float32)
        for name, array in (("kernel", data), ("bias", pool[:8])):
            buffers.append({"data": array.tobytes()})
            shape = [8, 1, 1, array.size // 8] if name == "kernel" else [8]
            tensors.append(
                {"shape": shape, "name": f"efficientnet/block{index}/conv/{name}", "buffer": len(buffers)}
            )
        buffers.append({})
        tensors.append(
            {"shape": [1, 8], "name": f"efficientnet/block{index}/conv/out", "buffer": len(buffers)}
        )
        last = len(tensors)
        options = ("Conv2DOptions", {"stride_w": 1, "stride_h": 1})
        operators.append(
            {"inputs": [last - 4, last - 3, last - 2], "outputs": [last - 1], "builtin_options": options}
        )
    path.write_bytes(
        build(model(tensors, buffers, operators, [{"deprecated_builtin_code": 3, "builtin_code": 3}]))
    )


def chain_model(path: Path, count: int) -> None:
    """Write a model of additions, one after another."""
    tensors = [
        {"shape": [1, 4], "name": "weight", "buffer": 1},
        {"shape": [1, 4], "name": "input", "buffer": 0},
    ]
    buffers, operators = [{"data": np.arange(4, dtype=np.float32).tobytes()}], []
    for index in range(count):
        buffers.append({})
        tensors.append({"shape": [1, 4], "name": f"model/layer_{index}/add", "buffer": len(buffers)})
        operators.append(
            {"inputs": [index + 1, 0], "outputs": [index + 2], "builtin_options": ("AddOptions", {})}
        )
    path.write_bytes(build(model(tensors, buffers, operators, [{"builtin_code": 0}])))
