"""Pictures that the networks of the fourth set make: larger, cleaner, in another style, or new ones.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fourth_functions import functions
from benchmarks.accuracy.third_images import Builder


def three_convolutions(library: Any, draw: random.Random) -> Any:
    """SRCNN: three convolutions with kernels of 9, 1 and 5 over an enlarged image."""
    k = library.layers
    model = library.Sequential()
    model.add(library.Input(shape=(48, 48, 1)))
    model.add(k.Conv2D(24, 9, activation="relu", padding="same", kernel_initializer="glorot_uniform"))
    model.add(k.Conv2D(draw.choice((12, 16)), 1, activation="relu", padding="same"))
    model.add(k.Conv2D(1, 5, activation="linear", padding="same"))
    return model


def noise_of_images(library: Any, draw: random.Random) -> Any:
    """DnCNN: the noise by convolutions with normalization, which is subtracted from the image."""
    k = library.layers
    image = library.Input((40, 40, draw.choice((1, 3))))
    x = k.Conv2D(20, 3, padding="same", activation="relu")(image)
    for _ in range(4):
        x = k.Conv2D(20, 3, padding="same", use_bias=False)(x)
        x = k.Activation("relu")(k.BatchNormalization(momentum=0.0, epsilon=1e-4)(x))
    noise = k.Conv2D(image.shape[-1], 3, padding="same", use_bias=False)(x)
    return library.Model(image, k.Subtract()([image, noise]))


def wide_activations(library: Any, draw: random.Random) -> Any:
    """EDSR with a transposed convolution as its last step; residuals are scaled by a tenth."""
    k = library.layers
    image = library.Input((24, 24, 3))
    x = start = k.Conv2D(16, 3, padding="same")(k.Rescaling(1 / 127.5, -1)(image))
    for _ in range(3):
        y = k.Conv2D(16, 3, padding="same")(k.Conv2D(16, 3, padding="same", activation="relu")(x))
        x = k.Add()([x, k.Rescaling(draw.choice((0.1, 0.2)))(y)])
    x = k.Add()([start, k.Conv2D(16, 3, padding="same")(x)])
    x = k.Conv2DTranspose(8, 4, strides=2, padding="same", activation="relu")(x)
    return library.Model(image, k.Rescaling(127.5, 127.5)(k.Conv2D(3, 3, padding="same")(x)))


def style(library: Any, draw: random.Random) -> Any:
    """Style transfer: instance normalization by mean and variance of each map, residual blocks."""
    k, f = library.layers, functions(library)

    def instance(x: Any) -> Any:
        mean = f.mean(x, axis=(1, 2), keepdims=True)
        spread = f.mean(f.square(x - mean), axis=(1, 2), keepdims=True)
        return (x - mean) * f.rsqrt(spread + 1e-5)

    image = library.Input((48, 48, 3))
    x = image
    for filters, size, strides in ((8, 9, 1), (16, 3, 2), (24, 3, 2)):
        x = f.relu(instance(k.Conv2D(filters, size, strides=strides, padding="same")(x)))
    for _ in range(draw.choice((1, 2))):
        y = f.relu(instance(k.Conv2D(24, 3, padding="same")(x)))
        x = x + instance(k.Conv2D(24, 3, padding="same")(y))
    for filters in (16, 8):
        x = k.UpSampling2D(2, interpolation="nearest")(x)
        x = f.relu(instance(k.Conv2D(filters, 3, padding="same")(x)))
    x = k.Conv2D(3, 9, padding="same")(x)
    return library.Model(image, (f.tanh(x) + 1.0) * 127.5)


def digits_from_noise(library: Any, draw: random.Random) -> Any:
    """The generator of the DCGAN tutorial: a dense layer and transposed convolutions."""
    k = library.layers
    model = library.Sequential(name="generator")
    model.add(library.Input((draw.choice((64, 100)),)))
    model.add(k.Dense(7 * 7 * 24, use_bias=False))
    model.add(k.BatchNormalization())
    model.add(k.LeakyReLU())
    model.add(k.Reshape((7, 7, 24)))
    for filters, strides in ((16, 1), (8, 2)):
        model.add(k.Conv2DTranspose(filters, 5, strides=strides, padding="same", use_bias=False))
        model.add(k.BatchNormalization())
        model.add(k.LeakyReLU())
    model.add(k.Conv2DTranspose(1, 5, strides=2, padding="same", use_bias=False, activation="tanh"))
    return model


def judge(library: Any, draw: random.Random) -> Any:
    """A discriminator that is given the class as a map beside the image."""
    k = library.layers
    image, label = library.Input((28, 28, 1)), library.Input((1,), dtype="int32")
    x = k.Dense(28 * 28)(k.Embedding(10, draw.choice((12, 50)))(label))
    x = k.Concatenate()([image, k.Reshape((28, 28, 1))(x)])
    for filters in (16, 24):
        x = k.Conv2D(filters, (3, 3), strides=(2, 2), padding="same")(x)
        x = k.LeakyReLU(0.2)(x)
    x = k.Dropout(0.4)(k.Flatten()(x))
    return library.Model([image, label], k.Dense(1, activation="sigmoid")(x))


def decoder(library: Any, draw: random.Random) -> Any:
    """The decoder of a variational autoencoder, with group normalization and SiLU."""
    k = library.layers
    code = library.Input((draw.choice((8, 16)),), name="z")
    x = k.Reshape((6, 6, 16))(k.Dense(6 * 6 * 16, activation="relu")(code))
    for filters in (16, 8):
        y = k.GroupNormalization(groups=4)(x) if hasattr(k, "GroupNormalization") else x
        x = k.UpSampling2D(2)(k.Activation("swish")(y))
        x = k.Conv2D(filters, 3, padding="same")(x)
    return library.Model(code, k.Conv2D(3, 3, activation="sigmoid", padding="same")(x), name="decoder")


def encoder_of_images(library: Any, draw: random.Random) -> Any:
    """The encoder of a variational autoencoder: the mean and the spread of the code."""
    k, f = library.layers, functions(library)
    image = library.Input((32, 32, 3))
    x = image
    for filters in (8, 16, 24):
        x = k.Conv2D(filters, 4, strides=2, padding="same", activation="relu")(x)
    x = k.Dense(32, activation="relu")(k.Flatten()(x))
    mean, spread = k.Dense(draw.choice((2, 8)), name="z_mean")(x), k.Dense(8, name="z_log_var")(x)
    return library.Model(image, [mean, f.exp(0.5 * spread)])


def denoising_step(library: Any, draw: random.Random) -> Any:
    """A step of diffusion: a U-Net that is given the time by waves and scales its maps with it."""
    k, f = library.layers, functions(library)
    image, time = library.Input((24, 24, 3), name="image"), library.Input((1,), name="time")
    rates = k.Dense(8, use_bias=False, name="rates")(time)
    waves = k.Concatenate()([f.sin(rates), f.cos(rates)])
    waves = k.Dense(32, activation="swish")(waves)

    def block(x: Any, filters: int) -> Any:
        short = k.Conv2D(filters, 1)(x)
        x = k.Conv2D(filters, 3, padding="same", activation="swish")(k.BatchNormalization(scale=False)(x))
        x = x + k.Reshape((1, 1, filters))(k.Dense(filters)(waves))
        return short + k.Conv2D(filters, 3, padding="same")(k.Activation("swish")(x))

    one = block(image, 12)
    two = block(k.AveragePooling2D(2)(one), draw.choice((16, 20)))
    x = block(k.AveragePooling2D(2)(two), 24)
    x = block(k.Concatenate()([k.UpSampling2D(2, interpolation="bilinear")(x), two]), 16)
    x = block(k.Concatenate()([k.UpSampling2D(2, interpolation="bilinear")(x), one]), 12)
    return library.Model([image, time], k.Conv2D(3, 1, kernel_initializer="zeros")(x))


def modulated(library: Any, draw: random.Random) -> Any:
    """A picture that is changed by a condition: factors and shifts for each map come from dense layers."""
    k = library.layers
    image, condition = library.Input((32, 32, 3)), library.Input((10,))
    x = k.Conv2D(16, 3, padding="same")(image)
    for _ in range(2):
        y = k.BatchNormalization(center=False, scale=False)(x)
        factor = k.Reshape((1, 1, 16))(k.Dense(16, bias_initializer="ones")(condition))
        shift = k.Reshape((1, 1, 16))(k.Dense(16)(condition))
        y = k.LeakyReLU(draw.choice((0.1, 0.2)))(y * factor + shift)
        x = k.Add()([x, k.Conv2D(16, 3, padding="same")(y)])
    return library.Model([image, condition], k.Conv2D(3, 1, activation="tanh")(x))


FOURTH_PICTURES: dict[str, tuple[str, Builder]] = {
    "q-three-convolutions": ("maps", three_convolutions),
    "q-noise-of-images": ("maps", noise_of_images),
    "q-wide-activations": ("maps", wide_activations),
    "q-style": ("maps", style),
    "q-digits-from-noise": ("maps", digits_from_noise),
    "q-judge": ("maps", judge),
    "q-decoder": ("maps", decoder),
    "q-encoder-of-images": ("maps", encoder_of_images),
    "q-denoising-step": ("maps", denoising_step),
    "q-modulated": ("maps", modulated),
}
"""The class of each kind of network, and what builds it."""
