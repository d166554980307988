"""Files with the layout of large models, whose weights are holes: they take next to no room on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import h5py
import numpy as np

from tests.support.flat import build

Layer = tuple[str, list[tuple[str, tuple[int, ...]]]]
_STAGES = (
    (3, 1, 32, 16, 1),
    (3, 2, 16, 24, 6),
    (5, 2, 24, 40, 6),
    (3, 3, 40, 80, 6),
    (5, 3, 80, 112, 6),
    (5, 4, 112, 192, 6),
    (3, 1, 192, 320, 6),
)
"""Kernel, repeats, filters in and out, and expansion of the stages of EfficientNet (Tan and Le, 2019)."""


def write_efficientnet_b7(path: Path) -> None:
    """Write an HDF5 file with the groups, datasets and attributes of Keras 2's EfficientNetB7.

    Datasets are allocated in the order in which Keras writes them, 269 MB in all, and are never filled.
    """
    layers = list(_layers())
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.15.0", "tensorflow"
        file.attrs["model_config"] = json.dumps(_configuration([name for name, _ in layers])).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name, _ in layers]
        group.attrs["backend"], group.attrs["keras_version"] = b"tensorflow", b"2.15.0"
        for name, weights in layers:
            below = group.create_group(name)
            below.attrs["weight_names"] = [f"{name}/{weight}:0".encode() for weight, _ in weights]
            for weight, shape in weights:
                _allocate(below, f"{name}/{weight}:0", shape)


def _allocate(group: h5py.Group, name: str, shape: tuple[int, ...]) -> None:
    if not shape:
        group.create_dataset(name, data=np.float32(0))
        return
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.IEEE_F32LE, space, creation, lcpl=links)


def _configuration(names: list[str]) -> dict[str, object]:
    """Return a configuration of the size of the real one: about 600 bytes for each layer."""
    layers = [
        {
            "class_name": "Activation",
            "name": name,
            "config": {"name": name, "activation": "swish", "x": "-" * 500},
        }
        for name in names
    ]
    return {"class_name": "Functional", "config": {"name": "efficientnetb7", "layers": layers}}


def _filters(count: int) -> int:
    wide = max(8, int(count * 2.0 + 4) // 8 * 8)
    return wide + 8 if wide < 1.8 * count else wide


def _normalization(name: str, channels: int) -> Layer:
    return name, [(part, (channels,)) for part in ("gamma", "beta", "moving_mean", "moving_variance")]


def _layers() -> Iterator[Layer]:
    yield "input_1", []
    yield "rescaling", []
    yield "normalization", [("mean", (3,)), ("variance", (3,)), ("count", ())]
    yield "stem_conv", [("kernel", (3, 3, 3, _filters(32)))]
    yield _normalization("stem_bn", _filters(32))
    yield "stem_activation", []
    for stage, (kernel, repeats, first, filters, expansion) in enumerate(_STAGES, 1):
        for index in range(ceil(3.1 * repeats)):
            source = _filters(first if index == 0 else filters)
            yield from _block(f"block{stage}{chr(97 + index)}_", kernel, source, _filters(filters), expansion)
    top = _filters(1280)
    yield "top_conv", [("kernel", (1, 1, _filters(320), top))]
    yield _normalization("top_bn", top)
    yield from ((name, []) for name in ("top_activation", "avg_pool", "top_dropout"))
    yield "predictions", [("kernel", (top, 1000)), ("bias", (1000,))]


def _block(name: str, kernel: int, source: int, filters: int, expansion: int) -> Iterator[Layer]:
    wide, narrow = source * expansion, max(1, source // 4)
    if expansion > 1:
        yield f"{name}expand_conv", [("kernel", (1, 1, source, wide))]
        yield _normalization(f"{name}expand_bn", wide)
        yield f"{name}expand_activation", []
    yield f"{name}dwconv", [("depthwise_kernel", (kernel, kernel, wide, 1))]
    yield _normalization(f"{name}bn", wide)
    yield from ((f"{name}{part}", []) for part in ("activation", "se_squeeze", "se_reshape"))
    yield f"{name}se_reduce", [("kernel", (1, 1, wide, narrow)), ("bias", (narrow,))]
    yield f"{name}se_expand", [("kernel", (1, 1, narrow, wide)), ("bias", (wide,))]
    yield f"{name}se_excite", []
    yield f"{name}project_conv", [("kernel", (1, 1, wide, filters))]
    yield _normalization(f"{name}project_bn", filters)
    if source == filters:
        yield from ((f"{name}{part}", []) for part in ("drop", "add"))


def write_tflite(path: Path, weights: int, size: int) -> None:
    """Write a TFLite file of ``weights`` operators that have ``size`` bytes of weights each."""
    zeros = np.zeros(size, np.uint8)
    tensors = [
        {
            "shape": [1, 10, 10, 64],
            "type": 0,
            "buffer": 0,
            "name": f"model/layer_{at}/Relu;model/layer_{at}/bias",
        }
        for at in range(weights)
    ]
    tensors += [
        {"shape": [size // 4], "type": 0, "buffer": at + 1, "name": f"model/layer_{at}/kernel"}
        for at in range(weights)
    ]
    operators = [
        {"opcode_index": 0, "inputs": [max(at - 1, 0), weights + at], "outputs": [at]}
        for at in range(weights)
    ]
    graph = {
        "tensors": tensors,
        "inputs": [0],
        "outputs": [weights - 1],
        "operators": operators,
        "name": "main",
    }
    model = {
        "version": 3,
        "operator_codes": [{"builtin_code": 0, "deprecated_builtin_code": 0, "version": 1}],
        "subgraphs": [graph],
        "buffers": [{}, *({"data": zeros} for _ in range(weights))],
        "description": "MLIR Converted.",
    }
    path.write_bytes(build(model))
