"""What kernels of a large file deflate to comes from the one pass over all of it."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.analyses.plan import deflating
from modelinspect.measure.compressors import Deflate


def _file(path: Path) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    kernels = []
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.21.0"
        file.attrs["layer_names"] = np.array([f"dense_{n}" for n in range(4)], dtype="S")
        for number, share in enumerate((0.0, 0.5, 0.8, 0.95)):
            kernel = random.standard_normal((256, 512)).astype(np.float32)
            kernel[random.random(kernel.shape) < share] = 0
            group = file.create_group(f"dense_{number}")
            group.attrs["weight_names"] = np.array([f"dense_{number}/kernel:0"], dtype="S")
            group.create_dataset(f"dense_{number}/kernel:0", data=kernel)
            kernels.append(kernel)
    return kernels


def _alone(data: bytes) -> int:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return len(coder.compress(data)) + len(coder.flush())


def test_one_pass_says_what_each_kernel_deflates_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.h5"
    kernels = _file(path)
    small = mi.plan(path, only=["gzip-9", "entropy-bound"])
    monkeypatch.setattr(deflating, "_SMALL", 0)
    monkeypatch.setattr(deflating, "tensor_deflated_size", None)  # a second pass would fail
    large = mi.plan(path, only=["gzip-9", "entropy-bound"])
    assert large.options == small.options
    for number, kernel in enumerate(kernels):
        told = next(plan.gzip_size for plan in large.tensors if plan.tensor == f"dense_{number}/kernel")
        assert told == pytest.approx(_alone(kernel.tobytes()), rel=0.005)


def test_marks_change_nothing_of_the_stream() -> None:
    data = np.random.default_rng(5).integers(0, 40, 300_000).astype(np.uint8).tobytes()
    plain, marked = Deflate(), Deflate(marks=(0, 17, 100_000, 100_001, 300_000))
    for start in range(0, len(data), 65_536):
        plain.add(data[start : start + 65_536])
        marked.add(data[start : start + 65_536])
    assert marked.finish() == plain.finish() == _alone(data)
    assert {
        mark: abs(size - _alone(data[:mark])) <= 8 for mark, size in marked.prefixes.items()
    } == dict.fromkeys(marked.marks, True)
