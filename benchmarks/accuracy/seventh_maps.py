"""Networks of the seventh set whose answer is a map: segmentation, objects, music and separated sounds.

A kind of network is named after its builder, which takes the library (tf_keras or keras) and
a source of random numbers, and returns a model without trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fifth_parts import unit, wise


def bas_net(library: Any, draw: random.Random) -> Any:
    """BASNet: side outputs at each scale, and a second small U that refines the first answer."""
    k, f = library.layers, draw.choice((6, 8))

    def convolved(x: Any, filters: int, rate: int = 1) -> Any:
        x = k.Conv2D(filters, 3, padding="same", dilation_rate=rate)(x)
        return k.Activation("relu")(k.BatchNormalization()(x))

    def residual(x: Any, filters: int) -> Any:
        y = k.BatchNormalization()(k.Conv2D(filters, 3, padding="same")(convolved(x, filters)))
        x = k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False)(x)) if x.shape[-1] != filters else x
        return k.Activation("relu")(k.Add()([y, x]))

    def head(x: Any, size: int) -> Any:
        x = k.Conv2D(1, kernel_size=3, padding="same")(x)
        return k.UpSampling2D(size=size, interpolation="bilinear")(x) if size > 1 else x

    image = library.Input((48, 48, 3), batch_size=1)
    x, skips = k.Conv2D(f, 3, padding="same")(image), []
    for filters in (f, 2 * f, 4 * f):
        x = residual(x, filters)
        skips.append(x)
        x = k.MaxPooling2D(2)(x)
    x = convolved(convolved(x, 4 * f, 2), 4 * f, 2)
    sides = [head(x, 8)]
    for number, skip in enumerate(reversed(skips)):
        x = k.Concatenate(axis=-1)([k.UpSampling2D(2, interpolation="bilinear")(x), skip])
        x = convolved(convolved(x, skip.shape[-1]), skip.shape[-1])
        sides.append(head(x, 4 >> number))
    x = coarse = sides[-1]
    skips = []
    for _ in range(2):
        x = convolved(x, f)
        skips.append(x)
        x = k.MaxPooling2D(2)(x)
    x = convolved(x, f)
    for skip in reversed(skips):
        x = convolved(k.Concatenate()([k.UpSampling2D(interpolation="bilinear")(x), skip]), f)
    refined = k.Add()([head(x, 1), coarse])
    return library.Model(image, [k.Activation("sigmoid")(one) for one in (refined, *reversed(sides))])


def model_garden_spine_net(library: Any, draw: random.Random) -> Any:
    """SpineNet: blocks whose levels go up and down, each with two parents that are resampled and added."""
    k, f = library.layers, draw.choice((8, 12))

    def resampled(x: Any, level: int, target: int, filters: int) -> Any:
        x = unit(library, x, max(x.shape[-1] // 2, 4), 1)
        for _ in range(max(target - level, 0)):
            x = unit(library, x, x.shape[-1], 3, 2)
        x = k.UpSampling2D(2 ** (level - target), interpolation="nearest")(x) if level > target else x
        return unit(library, x, filters, 1, act=None)

    def residual(x: Any, filters: int) -> Any:
        y = unit(library, unit(library, x, filters), filters, act=None)
        x = unit(library, x, filters, 1, act=None) if x.shape[-1] != filters else x
        return k.Activation("relu")(k.Add()([y, x]))

    image = library.Input((64, 64, 3), batch_size=1)
    x = k.MaxPooling2D(3, strides=2, padding="same")(unit(library, image, f, 7, 2))
    found = [(2, residual(x, f)), (2, residual(residual(x, f), f))]
    ends = []
    for level, parents, is_end in (
        (3, (0, 1), 0),
        (4, (1, 2), 0),
        (2, (2, 3), 1),
        (3, (3, 4), 1),
        (4, (3, 5), 1),
    ):
        filters = f * (level - 1)
        both = [resampled(found[one][1], found[one][0], level, filters) for one in parents]
        x = residual(k.Activation("relu")(k.Add()(both)), filters)
        found.append((level, x))
        ends += [unit(library, x, 2 * f, 1)] if is_end else []
    return library.Model(image, ends)


def hair_segmentation(library: Any, draw: random.Random) -> Any:
    """Hair: an image with the last mask as fourth channel, bottlenecks with PReLU, and skips by sums."""
    k, f = library.layers, draw.choice((8, 12))

    def bottleneck(x: Any, filters: int, strides: int = 1, rate: int = 1) -> Any:
        short = k.MaxPooling2D(2)(x) if strides == 2 else x
        if short.shape[-1] != filters:
            short = k.Conv2D(filters, 1)(short)
        y = k.PReLU(shared_axes=(1, 2))(k.Conv2D(filters // 2, strides, strides=strides)(x))
        y = k.Conv2D(filters // 2, 3, padding="same", dilation_rate=rate)(y)
        y = k.Conv2D(filters, 1)(k.PReLU(shared_axes=(1, 2))(y))
        return k.PReLU(shared_axes=(1, 2))(k.Add()([y, short]))

    image = library.Input((64, 64, 4), batch_size=1)
    x, skips = k.PReLU(shared_axes=(1, 2))(k.Conv2D(f, 2, strides=2)(image)), []
    for filters in (2 * f, 4 * f):
        skips.append(x)
        x = bottleneck(bottleneck(x, filters, 2), filters)
    for rate in (2, 4):
        x = bottleneck(x, 4 * f, 1, rate)
    for skip in reversed(skips):
        x = k.UpSampling2D(2, interpolation="bilinear")(k.Conv2D(skip.shape[-1], 1)(x))
        x = bottleneck(k.Add()([x, skip]), skip.shape[-1])
    return library.Model(image, k.Conv2DTranspose(2, 2, strides=2, padding="same")(x))


def objectron(library: Any, draw: random.Random) -> Any:
    """Objectron: inverted residuals down, a decoder with skips, a map of centers and displacements."""
    k, f = library.layers, draw.choice((8, 12))

    def inverted(x: Any, filters: int, strides: int = 1) -> Any:
        y = unit(library, x, 4 * x.shape[-1], 1, act="relu6")
        y = unit(library, wise(library, y, 3, strides, "relu6"), filters, 1, act=None)
        return k.Add()([x, y]) if x.shape == y.shape else y

    image = library.Input((96, 96, 3), batch_size=1)
    x, skips = unit(library, image, f, 3, 2, "relu6"), []
    for filters in (2 * f, 3 * f, 4 * f):
        skips.append(x)
        x = inverted(inverted(x, filters, 2), filters)
    for skip in skips[:0:-1]:
        x = k.Conv2DTranspose(skip.shape[-1], 3, strides=2, padding="same", use_bias=False)(x)
        x = k.ReLU(6.0)(k.BatchNormalization()(x))
        x = inverted(k.Concatenate()([x, unit(library, skip, skip.shape[-1], 1, act="relu6")]), 3 * f)
    heat = k.Conv2D(1, 1, activation="sigmoid", name="center")(x)
    return library.Model(image, [heat, k.Conv2D(16, 1, name="displacement")(x)])


def foster_muse_gan(library: Any, draw: random.Random) -> Any:
    """MuseGAN's bar generator: a dense layer, transposed convolutions over time and then over pitch."""
    k, f = library.layers, draw.choice((16, 24))
    start = library.initializers.RandomNormal(mean=0.0, stddev=0.02)
    noise = library.Input(shape=(64,), name="bar_generator_input")
    x = k.Activation("relu")(k.BatchNormalization(momentum=0.9)(k.Dense(2 * f)(noise)))
    x = k.Reshape((2, 1, f))(x)
    plan = ((f, (2, 1), (2, 1)), (f // 2, (2, 1), (2, 1)), (f // 2, (2, 1), (2, 1)), (f // 2, (1, 7), (1, 7)))
    for filters, size, strides in plan:
        x = k.Conv2DTranspose(filters, size, strides, padding="same", kernel_initializer=start)(x)
        x = k.Activation("relu")(k.BatchNormalization(momentum=0.9)(x))
    x = k.Conv2DTranspose(1, (1, 12), (1, 12), padding="same", kernel_initializer=start)(x)
    return library.Model(noise, k.Reshape((1, 16, 84, 1))(k.Activation("tanh")(x)))


def salt_u_net(library: Any, draw: random.Random) -> Any:
    """Salt in images of 101 pixels: residual blocks that are normalized first, ELU, and odd sizes."""
    k, f = library.layers, draw.choice((6, 8))

    def activated(x: Any) -> Any:
        return k.Activation("elu")(k.BatchNormalization()(x))

    def residual(x: Any, filters: int) -> Any:
        y = activated(k.Conv2D(filters, (3, 3), padding="same")(activated(x)))
        return k.Add()([k.Conv2D(filters, (3, 3), padding="same")(y), x])

    x = image = library.Input((101, 101, 1))
    skips = []
    for number in range(3):
        x = k.Conv2D(f << number, (3, 3), activation=None, padding="same")(x)
        x = activated(residual(residual(x, f << number), f << number))
        skips.append(x)
        x = k.Dropout(0.25)(k.MaxPooling2D((2, 2))(x))
    x = activated(residual(k.Conv2D(f << 3, (3, 3), padding="same")(x), f << 3))
    for number, padding in ((2, "valid"), (1, "same"), (0, "valid")):
        x = k.Conv2DTranspose(f << number, (3, 3), strides=(2, 2), padding=padding)(x)
        x = k.Dropout(0.25)(k.concatenate([x, skips[number]]))
        x = k.Conv2D(f << number, (3, 3), padding="same")(x)
        x = activated(residual(residual(x, f << number), f << number))
    return library.Model(image, k.Activation("sigmoid")(k.Conv2D(1, (1, 1), padding="same")(x)))


def audio_seg_unet(library: Any, draw: random.Random) -> Any:
    """Spleeter: a U-Net with strides of two on a spectrogram for each of two instruments, and their masks."""
    k, f = library.layers, draw.choice((4, 6))
    sound = library.Input((64, 128, 2), batch_size=1, name="mix_spectrogram")
    ends = []
    for name in ("vocals", "accompaniment"):
        x, skips = sound, []
        for number in range(4):
            x = k.Conv2D(f << number, 5, strides=(2, 2), padding="same", kernel_initializer="he_uniform")(x)
            skips.append(x)
            x = k.LeakyReLU(0.2)(k.BatchNormalization(axis=-1)(x))
        x = skips[-1]
        for number in (2, 1, 0):
            x = k.Conv2DTranspose(f << number, 5, strides=(2, 2), padding="same")(x)
            x = k.BatchNormalization(axis=-1)(k.ReLU()(x))
            x = k.Concatenate(axis=3)([skips[number], k.Dropout(0.5)(x) if number else x])
        x = k.Conv2DTranspose(1, 5, strides=(2, 2), padding="same", activation="relu")(x)
        x = k.Conv2D(2, 4, dilation_rate=(2, 2), activation="sigmoid", padding="same")(
            k.BatchNormalization(axis=-1)(x)
        )
        ends.append(k.Multiply(name=f"{name}_spectrogram")([x, sound]))
    return library.Model(sound, ends)
