"""What the builders of the fifth and the sixth set share."""

from __future__ import annotations

from typing import Any

from benchmarks.accuracy.third_images import Builder


def kinds(group: str, *builders: Builder, start: str = "v-") -> dict[str, tuple[str, Builder]]:
    """Return the class and the builder of each kind, which is named after its builder."""
    return {start + builder.__name__.replace("_", "-"): (group, builder) for builder in builders}  # type: ignore[attr-defined]


def unit(
    library: Any,
    x: Any,
    filters: int,
    size: int | tuple[int, int] = 3,
    strides: int | tuple[int, int] = 1,
    act: Any = "relu",
    **options: Any,
) -> Any:
    """Return a convolution of two dimensions without a bias, a normalization and an activation."""
    k = library.layers
    x = k.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, **options)(x)
    x = k.BatchNormalization()(x)
    return k.Activation(act)(x) if act else x


def wise(library: Any, x: Any, size: int = 3, strides: int = 1, act: Any = "relu", **options: Any) -> Any:
    """Return a depthwise convolution without a bias, a normalization and an activation."""
    k = library.layers
    x = k.DepthwiseConv2D(size, strides=strides, padding="same", use_bias=False, **options)(x)
    x = k.BatchNormalization()(x)
    return k.Activation(act)(x) if act else x


def pooled(library: Any, image: Any, x: Any, classes: int, act: str | None = "softmax") -> Any:
    """Return the classifier that ends with the mean of the maps ``x``."""
    k = library.layers
    return library.Model(image, k.Dense(classes, activation=act)(k.GlobalAveragePooling2D()(x)))
