"""Name the networks that can be pruned without a model file."""

from __future__ import annotations

from msgspec import Struct


class Architecture(Struct, frozen=True):
    """A network that the pruning stage builds.

    ``samples`` and ``batch_size`` make a short run on two cores.
    """

    name: str
    about: str
    samples: int = 2048
    batch_size: int = 32


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("mlp", "Dense 128 and Dense 10 on 10 inputs (2,698 parameters)"),
        Architecture(
            "cnn",
            "the MNIST tutorial of tfmot: Conv2D 12, pooling, Dense 10 on 28x28 pixels (20,410 parameters)",
        ),
        Architecture("many-small-layers", "sixteen Dense 64 and Dense 10 on 64 inputs (67,210 parameters)"),
        Architecture("few-large-layers", "Dense 896 and Dense 10 on 64 inputs (67,210 parameters)"),
        Architecture("lstm", "LSTM 48 and Dense 10 on 28 steps of 28 (15,274 parameters)", 1024),
        Architecture("embedding", "Embedding of 2,000 words in 16, mean, Dense 16, Dense 1"),
        Architecture("depthwise", "separable and depthwise convolutions on 32x32x3 pixels", 1024),
        Architecture("attention", "two heads of self-attention and Dense 10 on 16 steps of 32", 1024),
        Architecture(
            "mobilenet-v2", "MobileNetV2 with 10 classes on 96x96x3 pixels (2,270,794 parameters)", 192, 16
        ),
    )
}
