"""Write the weights of MobileNet as Keras does, and then delete the top layer in the same file, as the
published download was made.

usage: python docs/guide/stories/deleted_layer.py FILE

The architecture is MobileNet 1.0 for 224 pixels and 1,000 classes, the elements are random. The file has the
size of a real one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import h5py
import numpy as np

FILTERS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
"""The filters of the thirteen separable convolutions."""

TOP = "conv_preds"
Weights = dict[str, tuple[int, ...]]


def layers() -> Iterator[tuple[str, Weights]]:
    """Yield every layer in order: its name, and the shape of each weight."""
    channels = 32
    yield "input_1", {}
    yield "conv1", {"kernel": (3, 3, 3, channels)}
    yield "conv1_bn", normalization(channels)
    yield "conv1_relu", {}
    for number, filters in enumerate(FILTERS, 1):
        yield f"conv_dw_{number}", {"depthwise_kernel": (3, 3, channels, 1)}
        yield f"conv_dw_{number}_bn", normalization(channels)
        yield f"conv_dw_{number}_relu", {}
        yield f"conv_pw_{number}", {"kernel": (1, 1, channels, filters)}
        yield f"conv_pw_{number}_bn", normalization(filters)
        yield f"conv_pw_{number}_relu", {}
        channels = filters
    for layer in ("global_average_pooling2d_1", "reshape_1", "dropout"):
        yield layer, {}
    yield TOP, {"kernel": (1, 1, channels, 1000), "bias": (1000,)}
    yield "act_softmax", {}
    yield "reshape_2", {}


def normalization(channels: int) -> Weights:
    return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (channels,))


def main() -> None:
    random = np.random.default_rng(1)
    with h5py.File(sys.argv[1], "w") as file:
        names = [name for name, _ in layers()]
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = "2.1.6"
        for layer, weights in layers():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in weights]
            for name, shape in weights.items():
                group.create_dataset(f"{layer}/{name}:0", data=random.standard_normal(shape, dtype="float32"))
        file.attrs["layer_names"] = [name.encode() for name in names]
    with h5py.File(sys.argv[1], "r+") as file:
        del file[TOP]
        file.attrs["layer_names"] = [name.encode() for name in names if name != TOP]


if __name__ == "__main__":
    main()
