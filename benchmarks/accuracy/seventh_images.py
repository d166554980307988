"""Image classifiers of the seventh set, and networks with bodies of `keras.applications`.

A kind of network is named after its builder, which takes the library (tf_keras or keras) and
a source of random numbers, and returns a model without trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fifth_parts import pooled, unit, wise
from benchmarks.accuracy.fourth_functions import functions


def mnist_convnet(library: Any, draw: random.Random) -> Any:
    """The simple convnet for digits of keras.io, with padding and a hidden layer that the source has not."""
    k, width = library.layers, draw.choice((16, 24))
    model = library.Sequential([library.Input((28, 28, 1))])
    for filters in (width, 2 * width):
        model.add(k.Conv2D(filters, kernel_size=(3, 3), padding="same", activation="relu"))
        model.add(k.MaxPooling2D(pool_size=(2, 2)))
    for layer in (k.Flatten(), k.Dense(48, activation="relu"), k.Dropout(0.5)):
        model.add(layer)
    model.add(k.Dense(10, activation="softmax"))
    return model


def shift_vit(library: Any, draw: random.Random) -> Any:
    """ShiftViT: a part of the channels is shifted by one pixel in four directions, in place of attention."""
    k, width = library.layers, draw.choice((24, 36))

    def shifted(x: Any) -> Any:
        few = x.shape[-1] // 12
        ways = (((0, 1), (0, 0)), ((1, 0), (0, 0)), ((0, 0), (0, 1)), ((0, 0), (1, 0)))
        parts = []
        for number, (rows, columns) in enumerate(ways):
            part = x[:, :, :, number * few : (number + 1) * few]
            part = k.Cropping2D((rows, columns))(part)
            parts.append(k.ZeroPadding2D((rows[::-1], columns[::-1]))(part))
        return k.Concatenate(axis=-1)([*parts, x[:, :, :, 4 * few :]])

    def block(x: Any) -> Any:
        x = shifted(x)
        y = k.Conv2D(2 * x.shape[-1], 1, activation="gelu")(k.LayerNormalization()(x))
        return k.Add()([x, k.Dropout(0.2)(k.Conv2D(x.shape[-1], 1)(k.Dropout(0.2)(y)))])

    image = library.Input((48, 48, 3))
    x = k.Conv2D(width, kernel_size=4, strides=4)(k.Rescaling(1 / 255.0)(image))
    for stage in range(2):
        x = block(block(x))
        if not stage:
            x = k.Conv2D(2 * width, kernel_size=2, strides=2, use_bias=False)(x)
            x = k.LayerNormalization(epsilon=1e-5)(x)
    return library.Model(image, k.Dense(10)(k.GlobalAveragePooling2D()(x)))


def gau_gan_discriminator(library: Any, draw: random.Random) -> Any:
    """GauGAN's discriminator: a map and an image in, the features of every step out."""
    k, f = library.layers, draw.choice((8, 12))
    image = library.Input((64, 64, 3), name="discriminator_image_A")
    label = library.Input((64, 64, 3), name="discriminator_image_B")
    x, found = k.Concatenate()([image, label]), []
    for filters, strides in ((f, 2), (2 * f, 2), (3 * f, 2), (4 * f, 1)):
        x = k.Conv2D(filters, 4, strides=strides, padding="same", use_bias=not found)(x)
        x = k.GroupNormalization(groups=-1)(x) if found else x
        x = k.LeakyReLU(0.2)(x)
        found.append(x)
    return library.Model([image, label], [*found, k.Conv2D(1, 4)(x)])


def cycle_gan_discriminator(library: Any, draw: random.Random) -> Any:
    """CycleGAN's PatchGAN: zero padding before the last convolutions, normalization by instance."""
    k, f = library.layers, draw.choice((8, 12))
    start = library.initializers.RandomNormal(0.0, 0.02)
    x = image = library.Input((64, 64, 3), name="input_image")
    for number in range(3):
        x = k.Conv2D(f << number, 4, 2, padding="same", kernel_initializer=start, use_bias=False)(x)
        x = k.GroupNormalization(groups=-1, epsilon=1e-5)(x) if number else x
        x = k.LeakyReLU()(x)
    x = k.Conv2D(4 * f, 4, strides=1, kernel_initializer=start, use_bias=False)(k.ZeroPadding2D()(x))
    x = k.ZeroPadding2D()(k.LeakyReLU()(k.GroupNormalization(groups=-1, epsilon=1e-5)(x)))
    return library.Model(image, k.Conv2D(1, 4, strides=1, kernel_initializer=start)(x))


def simple_audio(library: Any, draw: random.Random) -> Any:
    """The tutorial about spoken commands, with other frames, means for pooling and a softmax."""
    k = library.layers
    return library.Sequential(
        [
            library.Input(shape=(124, 129, 1)),
            k.Resizing(48, 32),
            k.Normalization(mean=0.7, variance=2.2),
            k.Conv2D(12, 3, activation="relu"),
            k.Conv2D(draw.choice((16, 24)), 3, activation="relu"),
            k.AveragePooling2D(2),
            k.Dropout(0.25),
            k.Flatten(),
            k.Dense(16, activation="relu"),
            k.Dropout(0.5),
            k.Dense(8),
            k.Softmax(),
        ]
    )


def digit_classifier(library: Any, draw: random.Random) -> Any:
    """The digit classifier of the example app: images without a channel, and two convolutions."""
    k, width = library.layers, draw.choice((16, 32))
    layers = [k.Reshape(target_shape=(28, 28, 1)), k.Conv2D(width, (3, 3), activation="relu")]
    layers += [k.Conv2D(width, (3, 3), activation="relu"), k.MaxPooling2D((2, 2)), k.Dropout(0.25)]
    return library.Sequential(
        [library.Input((28, 28)), *layers, k.Flatten(), k.Dense(10, activation="softmax")]
    )


def iris_landmarks(library: Any, draw: random.Random) -> Any:
    """Iris: depthwise blocks with parametric activations, two branches that flatten their points."""
    k, f = library.layers, draw.choice((12, 16))

    def slope() -> Any:
        return k.PReLU(shared_axes=[1, 2])

    def block(x: Any, filters: int, strides: int) -> Any:
        short = k.MaxPooling2D(2)(x) if strides == 2 else x
        y = slope()(k.Conv2D(filters // 2, 2 if strides == 2 else 1, strides=strides)(x))
        y = k.Conv2D(filters, 1)(k.DepthwiseConv2D(3, padding="same")(y))
        short = k.Conv2D(filters, 1)(short) if short.shape[-1] != filters else short
        return slope()(k.Add()([y, short]))

    eye = library.Input((64, 64, 3), batch_size=1, name="input_1")
    x = slope()(k.Conv2D(f, 3, strides=2, padding="same")(eye))
    for filters, strides in ((f, 1), (2 * f, 2), (2 * f, 1), (2 * f, 2)):
        x = block(x, filters, strides)
    ends = []
    for name, points in (("eyes_contours_and_brows", 71), ("iris", 5)):
        y = block(block(x, 2 * f, 2), 2 * f, 2)
        ends.append(k.Reshape((3 * points,), name=f"output_{name}")(k.Conv2D(3 * points, 2)(y)))
    return library.Model(eye, ends)


def tiny_conv_speech(library: Any, draw: random.Random) -> Any:
    """The tiny_conv model of micro speech, with normalization and a pooling that the source has not."""
    k, filters = library.layers, draw.choice((8, 10))
    sound = library.Input((49, 40), name="spectrogram")
    x = k.Reshape((49, 40, 1))(sound)
    x = k.Conv2D(filters, (10, 8), strides=(2, 2), padding="same", use_bias=False)(x)
    x = k.ReLU(max_value=6.0)(k.BatchNormalization(scale=False)(x))
    x = k.Dropout(0.5)(k.Flatten()(k.MaxPooling2D((2, 2), padding="same")(x)))
    return library.Model(sound, k.Dense(4, activation="softmax")(x))


def person_detect_grey(library: Any, draw: random.Random) -> Any:
    """Persons on grey images by a MobileNet of an eighth's width, with borders of zeros and pooling of 3."""
    k, f = library.layers, draw.choice((4, 8))
    image = library.Input((96, 96, 1), batch_size=1)
    x = k.Conv2D(f, 3, strides=2, use_bias=False)(k.ZeroPadding2D(((0, 1), (0, 1)))(image))
    x = k.ReLU(6.0)(k.BatchNormalization()(x))
    for filters, strides in ((2 * f, 1), (4 * f, 2), (4 * f, 1), (8 * f, 2), (8 * f, 1), (16 * f, 2)):
        x = k.ZeroPadding2D(((0, 1), (0, 1)))(x) if strides == 2 else x
        padding = "valid" if strides == 2 else "same"
        x = k.DepthwiseConv2D(3, strides=strides, padding=padding, use_bias=False)(x)
        x = k.ReLU(6.0)(k.BatchNormalization()(x))
        x = k.ReLU(6.0)(k.BatchNormalization()(k.Conv2D(filters, 1, padding="same", use_bias=False)(x)))
    x = k.Conv2D(2, 1)(k.AveragePooling2D(x.shape[1:3])(x))
    return library.Model(image, k.Softmax()(k.Reshape((-1,))(x)))


def drone_collision(library: Any, draw: random.Random) -> Any:
    """DroNet: three residual blocks with preactivation, and a steering angle beside a probability."""
    k, f = library.layers, draw.choice((8, 12))
    options = {"padding": "same", "kernel_regularizer": library.regularizers.L2(1e-4)}
    image = library.Input((100, 100, 1))
    x = k.MaxPooling2D(pool_size=(3, 3), strides=[2, 2])(
        k.Conv2D(f, 5, strides=[2, 2], padding="same")(image)
    )
    for filters in (f, 2 * f, 4 * f):
        y = k.Activation("relu")(k.BatchNormalization()(x))
        y = k.Conv2D(filters, 3, strides=2, **options)(y)
        y = k.Conv2D(filters, 3, **options)(k.Activation("relu")(k.BatchNormalization()(y)))
        x = k.add([k.Conv2D(filters, 1, strides=2, padding="same")(x), y])
    x = k.Dropout(0.5)(k.Activation("relu")(k.Flatten()(x)))
    return library.Model(image, [k.Dense(1)(x), k.Activation("sigmoid")(k.Dense(1)(x))])


def visual_wake_mcunet(library: Any, draw: random.Random) -> Any:
    """ProxylessNAS for visual wake words: inverted residuals of several kernels and growths."""
    k = library.layers
    image = library.Input((80, 80, 3), batch_size=1)
    x = unit(library, image, 16, 3, 2, "relu6")
    x = unit(library, wise(library, x, act="relu6"), 8, 1, act=None)
    plan = [(5, 3, 16, 2), (3, 3, 16, 1), (7, 3, 24, 2), (5, 3, 24, 1), (5, 6, 40, 2), (7, 6, 40, 1)]
    for size, growth, filters, strides in plan[: draw.choice((5, 6))]:
        y = unit(library, x, growth * x.shape[-1], 1, act="relu6")
        y = unit(library, wise(library, y, size, strides, "relu6"), filters, 1, act=None)
        x = y if strides == 2 else k.Add()([y, x])
    return pooled(library, image, unit(library, x, 64, 1, act="relu6"), 2)


def chollet_dogs_cats(library: Any, draw: random.Random) -> Any:
    """Dogs against cats in Chollet's book: rescaling, five convolutions, pooling between them, a sigmoid."""
    k, f = library.layers, draw.choice((8, 12))
    image = library.Input(shape=(90, 90, 3))
    x = k.Rescaling(1.0 / 255)(image)
    for number, filters in enumerate((f, 2 * f, 4 * f, 6 * f, 6 * f)):
        x = k.MaxPooling2D(pool_size=2)(x) if number else x
        x = k.Conv2D(filters=filters, kernel_size=3, activation="relu")(x)
    return library.Model(inputs=image, outputs=k.Dense(1, activation="sigmoid")(k.Flatten()(x)))


def d2l_nin(library: Any, draw: random.Random) -> Any:
    """Network in network as Dive into Deep Learning has it: blocks are chains, the last makes ten maps."""
    k, f = library.layers, draw.choice((12, 16))

    def block(filters: int, size: int, strides: int, padding: str) -> Any:
        first = k.Conv2D(filters, size, strides=strides, padding=padding, activation="relu")
        return library.Sequential([first, *(k.Conv2D(filters, 1, activation="relu") for _ in range(2))])

    layers = [block(f, 11, 4, "valid"), k.MaxPooling2D(3, 2), block(2 * f, 5, 1, "same")]
    layers += [k.MaxPooling2D(3, 2), k.Dropout(0.5), block(10, 3, 1, "same")]
    ends = [k.GlobalAveragePooling2D(), k.Reshape((1, 1, 10)), k.Flatten()]
    return library.Sequential([library.Input((96, 96, 1)), *layers, *ends])


def digit_ensemble(library: Any, draw: random.Random) -> Any:
    """Several networks of the digit competition in one model, whose answers are averaged."""
    k, f = library.layers, draw.choice((6, 8))
    image, ends = library.Input((28, 28, 1)), []
    for number in range(3):
        x = image
        for filters in (f, 2 * f):
            x = k.BatchNormalization()(k.Conv2D(filters, 3, activation="relu")(x))
            x = k.Conv2D(filters, 5, strides=2, padding="same", activation="relu")(x)
            x = k.Dropout(0.4)(k.BatchNormalization()(x))
        x = k.Dropout(0.4)(k.BatchNormalization()(k.Dense(32, activation="relu")(k.Flatten()(x))))
        ends.append(k.Dense(10, activation="softmax", name=f"member_{number}")(x))
    return library.Model(image, k.Average()(ends))


def supervised_contrastive(library: Any, draw: random.Random) -> Any:
    """Supervised contrastive learning: normalization, ResNet50V2's first stage, and a frozen encoder."""
    k = library.layers
    start = k.Normalization(mean=[125.3, 123.0, 113.9], variance=[3969.0, 3858.0, 4449.0])
    body = library.applications.ResNet50V2(include_top=False, weights=None, input_shape=(48, 48, 3))
    body = library.Model(body.input, body.get_layer("conv2_block3_out").output)
    given = library.Input(shape=(48, 48, 3))
    encoder = library.Model(given, k.GlobalAveragePooling2D()(body(start(given))), name="cifar10-encoder")
    encoder.trainable = False
    image = library.Input(shape=(48, 48, 3))
    x = k.Dropout(0.5)(encoder(image))
    x = k.Dropout(0.5)(k.Dense(draw.choice((48, 64)), activation="relu")(x))
    return library.Model(image, k.Dense(10, activation="softmax")(x), name="cifar10-classifier")


def fomo(library: Any, draw: random.Random) -> Any:
    """Positions of objects: MobileNetV2 cut at an eighth of the size, and a class for each cell."""
    k = library.layers
    body = library.applications.MobileNetV2(
        input_shape=(96, 96, 3), weights=None, include_top=False, alpha=draw.choice((0.1, 0.35))
    )
    x = body.get_layer("block_6_expand_relu").output
    x = k.Conv2D(filters=32, kernel_size=1, strides=1, activation="relu", name="head")(x)
    return library.Model(body.input, k.Conv2D(filters=3, kernel_size=1, strides=1, name="logits")(x))


def ranzcr_multi_output(library: Any, draw: random.Random) -> Any:
    """Bengali graphemes: three heads on the first blocks of DenseNet121 for grey images."""
    k, width = library.layers, draw.choice((48, 64))
    body = library.applications.DenseNet121(include_top=False, weights=None, input_shape=(64, 64, 1))
    x = k.GlobalAveragePooling2D()(body.get_layer("pool2_pool").output)
    x = k.Dropout(0.3)(k.Dense(width, activation="relu")(x))
    heads = {"head_root": 168, "head_vowel": 11, "head_consonant": 7}
    ends = [k.Dense(units, activation="softmax", name=name)(x) for name, units in heads.items()]
    return library.Model(inputs=body.input, outputs=ends)


def melanoma_meta(library: Any, draw: random.Random) -> Any:
    """Melanoma: EfficientNetB0's first blocks for the image, dense layers for facts about the patient."""
    k, f = library.layers, functions(library)
    body = library.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(64, 64, 3))
    body = library.Model(body.input, body.get_layer("block3b_add").output)
    image, facts = library.Input((64, 64, 3), name="inp1"), library.Input((11,), name="inp2")
    x = k.GlobalAveragePooling2D()(body(image * 255.0))
    y = facts
    for units in (32, draw.choice((16, 24))):
        y = k.Dropout(0.2)(k.Activation("relu")(k.BatchNormalization()(k.Dense(units)(y))))
    x = k.Dense(32, activation="relu")(f.concatenate([x, y], axis=1))
    return library.Model([image, facts], k.Dense(1, activation="sigmoid")(k.Dropout(0.2)(x)))
