"""Networks of the sixth set after the code examples and guides of keras.io.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fifth_parts import kinds
from benchmarks.accuracy.fourth_functions import functions


def reptile_omniglot(library: Any, draw: random.Random) -> Any:
    """Reptile: four convolutions with strides, each with a bias and a normalization."""
    k, filters = library.layers, draw.choice((16, 24))
    x = image = library.Input(shape=(28, 28, 1))
    for _ in range(4):
        x = k.ReLU()(k.BatchNormalization()(k.Conv2D(filters, 3, strides=2, padding="same")(x)))
    return library.Model(image, k.Dense(5, activation="softmax")(k.Flatten()(x)))


def contrastive_encoder(library: Any, draw: random.Random) -> Any:
    """SimCLR: an augmenter, an encoder and a projection head, each a model in the model."""
    k, width = library.layers, draw.choice((16, 24))
    augment = [k.Rescaling(1 / 255), k.RandomFlip("horizontal"), k.RandomTranslation(0.1, 0.1)]
    augmenter = library.Sequential([library.Input((48, 48, 3)), *augment], name="augmenter")
    convolutions = [k.Conv2D(width, kernel_size=3, strides=2, activation="relu") for _ in range(4)]
    flat = [k.Flatten(), k.Dense(width, activation="relu")]
    encoder = library.Sequential([library.Input((48, 48, 3)), *convolutions, *flat], name="encoder")
    head = [library.Input((width,)), k.Dense(width, activation="relu"), k.Dense(width)]
    probe = library.Sequential([library.Input((width,)), k.Dense(10)], name="linear_probe")
    image = library.Input((48, 48, 3))
    features = encoder(augmenter(image))
    return library.Model(image, [library.Sequential(head, name="projection_head")(features), probe(features)])


def metric_embedding(library: Any, draw: random.Random) -> Any:
    """Metric learning: convolutions with strides, the mean, and an embedding of length one."""
    k = library.layers
    x = image = library.Input(shape=(32, 32, 3))
    for filters in (16, 24, 32, draw.choice((48, 64))):
        x = k.Conv2D(filters=filters, kernel_size=3, strides=2, activation="relu")(x)
    x = k.Dense(units=8, activation=None)(k.GlobalAveragePooling2D()(x))
    return library.Model(image, k.UnitNormalization()(x))


def token_learner(library: Any, draw: random.Random) -> Any:
    """Attention over patches, which maps of weights reduce to four tokens in the middle."""
    k, f, width = library.layers, functions(library), draw.choice((24, 32))

    def block(x: Any) -> Any:
        y = k.LayerNormalization(epsilon=1e-6)(x)
        x = k.Add()([k.MultiHeadAttention(num_heads=2, key_dim=width, dropout=0.1)(y, y), x])
        y = k.LayerNormalization(epsilon=1e-6)(x)
        for units in (2 * width, width):
            y = k.Dropout(0.1)(k.Dense(units, activation="gelu")(y))
        return k.Add()([y, x])

    image = library.Input(shape=(48, 48, 3))
    x = k.Conv2D(width, kernel_size=6, strides=6, padding="valid")(k.Rescaling(1 / 255.0)(image))
    x = k.Reshape((8, 8, width))(block(k.Dropout(0.1)(k.Reshape((64, width))(x))))
    options = {"padding": "same", "use_bias": False}
    maps = [k.Conv2D(4, 3, activation="gelu", **options), k.Conv2D(4, 3, activation="sigmoid", **options)]
    maps = library.Sequential([library.Input((8, 8, width)), *maps, k.Reshape((-1, 4)), k.Permute((2, 1))])
    weights = maps(k.LayerNormalization(epsilon=1e-6)(x))
    x = f.mean(f.expand_dims(weights, -1) * k.Reshape((1, -1, width))(x), axis=2)
    x = k.LayerNormalization(epsilon=1e-6)(block(x))
    return library.Model(image, k.Dense(10, activation="softmax")(k.GlobalAveragePooling1D()(x)))


def distillation_teacher(library: Any, draw: random.Random) -> Any:
    """The teacher of the example about distillation: strides, and pooling that keeps the size."""
    k, width = library.layers, draw.choice((24, 32))
    return library.Sequential(
        [
            library.Input(shape=(28, 28, 1)),
            k.Conv2D(width, (3, 3), strides=(2, 2), padding="same"),
            k.LeakyReLU(0.2),
            k.MaxPooling2D(pool_size=(2, 2), strides=(1, 1), padding="same"),
            k.Conv2D(2 * width, (3, 3), strides=(2, 2), padding="same"),
            k.Flatten(),
            k.Dense(10),
        ],
        name="teacher",
    )


def toy_resnet(library: Any, draw: random.Random) -> Any:
    """The residual network of the guide to the functional interface."""
    k, width = library.layers, draw.choice((24, 32))
    image = library.Input(shape=(32, 32, 3), name="img")
    x = k.Conv2D(width // 2, 3, activation="relu")(image)
    x = before = k.MaxPooling2D(3)(k.Conv2D(width, 3, activation="relu")(x))
    for _ in range(2):
        x = k.Conv2D(width, 3, activation="relu", padding="same")(before)
        x = before = k.add([k.Conv2D(width, 3, activation="relu", padding="same")(x), before])
    x = k.GlobalAveragePooling2D()(k.Conv2D(width, 3, activation="relu")(x))
    x = k.Dropout(0.5)(k.Dense(64, activation="relu")(x))
    return library.Model(image, k.Dense(10)(x), name="toy_resnet")


def wgan_critic(library: Any, draw: random.Random) -> Any:
    """The critic of WGAN-GP: a border of zeros, kernels of five and leaky activations."""
    k = library.layers
    image = library.Input(shape=(28, 28, 1))
    x = k.ZeroPadding2D((2, 2))(image)
    for filters, dropout in ((12, 0), (24, 0.3), (32, 0.3), (draw.choice((32, 48)), 0)):
        x = k.LeakyReLU(0.2)(k.Conv2D(filters, (5, 5), strides=(2, 2), padding="same")(x))
        x = k.Dropout(dropout)(x) if dropout else x
    return library.Model(image, k.Dense(1)(k.Dropout(0.2)(k.Flatten()(x))), name="discriminator")


def wgan_generator(library: Any, draw: random.Random) -> Any:
    """The generator of WGAN-GP: dense, enlarged and convolved, and cropped before the end."""
    k, width = library.layers, draw.choice((24, 32))
    noise = library.Input(shape=(32,), batch_size=1)
    x = k.LeakyReLU(0.2)(k.BatchNormalization()(k.Dense(16 * width, use_bias=False)(noise)))
    x = k.Reshape((4, 4, width))(x)
    for filters in (width // 2, width // 4):
        x = k.Conv2D(filters, (3, 3), padding="same", use_bias=False)(k.UpSampling2D((2, 2))(x))
        x = k.LeakyReLU(0.2)(k.BatchNormalization()(x))
    x = k.Conv2D(1, (3, 3), padding="same", use_bias=False)(k.UpSampling2D((2, 2))(x))
    x = k.Cropping2D((2, 2))(k.Activation("tanh")(k.BatchNormalization()(x)))
    return library.Model(noise, x, name="generator")


def style_decoder(library: Any, draw: random.Random) -> Any:
    """The decoder of AdaIN: convolutions with ReLU, enlarged three times."""
    k, width = library.layers, draw.choice((24, 32))
    convolution = {"kernel_size": 3, "strides": 1, "padding": "same", "activation": "relu"}
    layers = [library.Input((8, 8, width), batch_size=1), k.Conv2D(width, **convolution), k.UpSampling2D()]
    layers += [k.Conv2D(width, **convolution) for _ in range(3)]
    layers += [k.Conv2D(16, **convolution), k.UpSampling2D(), k.Conv2D(12, **convolution), k.UpSampling2D()]
    layers.append(k.Conv2D(3, kernel_size=3, strides=1, padding="same", activation="sigmoid"))
    return library.Sequential(layers)


def functional_autoencoder(library: Any, draw: random.Random) -> Any:
    """The autoencoder of the guide to the functional interface: two models, called one after the other."""
    k, f = library.layers, draw.choice((12, 16))
    image = library.Input(shape=(28, 28, 1), name="original_img")
    x = k.Conv2D(2 * f, 3, activation="relu")(k.Conv2D(f, 3, activation="relu")(image))
    x = k.Conv2D(2 * f, 3, activation="relu")(k.MaxPooling2D(3)(x))
    code = k.GlobalMaxPooling2D()(k.Conv2D(16, 3, activation="relu")(x))
    encoder = library.Model(image, code, name="encoder")
    given = library.Input(shape=(16,), name="encoded_img")
    x = k.Conv2DTranspose(f, 3, activation="relu")(k.Reshape((4, 4, 1))(given))
    x = k.UpSampling2D(3)(k.Conv2DTranspose(2 * f, 3, activation="relu")(x))
    x = k.Conv2DTranspose(f, 3, activation="relu")(x)
    decoder = library.Model(given, k.Conv2DTranspose(1, 3, activation="relu")(x), name="decoder")
    start = library.Input(shape=(28, 28, 1), name="img")
    return library.Model(start, decoder(encoder(start)), name="autoencoder")


def handwriting(library: Any, draw: random.Random) -> Any:
    """Handwritten words: convolutions, and two LSTMs in both directions over the columns."""
    k, units = library.layers, draw.choice((12, 16))
    image = library.Input(shape=(64, 32, 1), batch_size=1, name="image")
    options = {"activation": "relu", "kernel_initializer": "he_normal", "padding": "same"}
    x = k.MaxPooling2D((2, 2), name="pool1")(k.Conv2D(8, (3, 3), name="Conv1", **options)(image))
    x = k.MaxPooling2D((2, 2), name="pool2")(k.Conv2D(12, (3, 3), name="Conv2", **options)(x))
    x = k.Dense(24, activation="relu", name="dense1")(k.Reshape((16, 96), name="reshape")(x))
    x = k.Bidirectional(k.LSTM(units, return_sequences=True, dropout=0.25))(k.Dropout(0.2)(x))
    x = k.Bidirectional(k.LSTM(units // 2, return_sequences=True, dropout=0.25))(x)
    return library.Model(image, k.Dense(81, activation="softmax", name="dense2")(x), name="handwriting")


def video_frames(library: Any, draw: random.Random) -> Any:
    """Actions in videos: two GRUs over the features that another network found in each frame."""
    k = library.layers
    frames = library.Input((12, 64), batch_size=1)
    x = k.GRU(8)(k.GRU(draw.choice((16, 24)), return_sequences=True)(frames))
    x = k.Dense(8, activation="relu")(k.Dropout(0.4)(x))
    return library.Model(frames, k.Dense(5, activation="softmax")(x))


def addition(library: Any, draw: random.Random) -> Any:
    """Sums of numbers as characters: an LSTM reads, its state is repeated, and another writes."""
    k, units = library.layers, draw.choice((16, 24))
    model = library.Sequential([library.Input((7, 12), batch_size=1), k.LSTM(units), k.RepeatVector(4)])
    model.add(k.LSTM(units, return_sequences=True))
    model.add(k.Dense(12, activation="softmax"))
    return model


def behavior_sequence(library: Any, draw: random.Random) -> Any:
    """The ratings of a user by attention: films times their ratings and the target as one sequence."""
    k, width = library.layers, draw.choice((9, 16))
    films = library.Input((5,), dtype="int32", name="sequence_movie_ids")
    ratings = library.Input((5,), name="sequence_ratings")
    target = library.Input((1,), dtype="int32", name="target_movie_id")
    others = [library.Input((1,), dtype="int32", name=name) for name in ("region", "age_group", "occupation")]
    table = k.Embedding(400, width, name="movie_embedding")
    x = k.Multiply()([table(films), k.Reshape((5, 1))(ratings)])
    x = k.Concatenate(axis=1)([x, table(target)])
    y = k.MultiHeadAttention(num_heads=3, key_dim=width, dropout=0.1)(x, x)
    x = k.LayerNormalization()(k.Add()([x, k.Dropout(0.1)(y)]))
    y = k.Dropout(0.1)(k.Dense(width)(k.LeakyReLU()(x)))
    x = k.Flatten()(k.LayerNormalization()(k.Add()([x, y])))
    codes = [k.Flatten()(k.Embedding(size, 4)(one)) for size, one in zip((9, 10, 21), others, strict=True)]
    x = k.Concatenate()([x, *codes])
    for units in (48, 24):
        x = k.Dropout(0.1)(k.LeakyReLU()(k.BatchNormalization()(k.Dense(units)(x))))
    return library.Model([films, ratings, target, *others], k.Dense(1)(x))


def feature_space(library: Any, draw: random.Random) -> Any:
    """The model that is trained over a feature space: each feature is encoded before it, in its own input."""
    k = library.layers
    widths = {"sex": 3, "cp": 5, "fbs": 3, "restecg": 4, "exang": 3, "ca": 5, "thal": 6, "age": 30}
    features = [library.Input((width,), name=name) for name, width in widths.items()]
    scaled = k.Normalization(mean=[130.0, 246.0, 150.0, 1.0, 0.6], variance=[300.0, 2600.0, 520.0, 1.3, 0.4])
    numbers = library.Input((5,), name="numbers")
    x = k.Concatenate()([*features, scaled(numbers)])
    x = k.Dropout(0.5)(k.Dense(draw.choice((32, 64)), activation="relu")(x))
    return library.Model([*features, numbers], k.Dense(1, activation="sigmoid")(x))


def wine_quality(library: Any, draw: random.Random) -> Any:
    """The baseline of the example about Bayesian networks: eleven inputs, sigmoids, one number."""
    k = library.layers
    inputs = [library.Input((1,), name=f"feature_{number}") for number in range(11)]
    x = k.BatchNormalization()(k.concatenate(inputs))
    for units in (8, draw.choice((8, 16))):
        x = k.Dense(units, activation="sigmoid")(x)
    return library.Model(inputs, k.Dense(units=1)(x))


def citations_baseline(library: Any, draw: random.Random) -> Any:
    """Subjects of papers from their words: dense blocks with GELU, each added to its input."""
    k, width = library.layers, draw.choice((32, 48))

    def block(x: Any, name: str) -> Any:
        for _ in range(2):
            x = k.Dense(width, activation="gelu")(k.Dropout(0.5)(k.BatchNormalization()(x)))
        return k.Activation("linear", name=name)(x)

    words = library.Input((300,), name="input_features")
    x = block(words, "ffn_block1")
    for number in range(4):
        x = k.Add(name=f"skip_connection{number + 2}")([x, block(x, f"ffn_block{number + 2}")])
    return library.Model(words, k.Dense(7, name="logits")(x), name="baseline")


def coupling_layer(library: Any, draw: random.Random) -> Any:
    """RealNVP: the two networks of a coupling layer, a scale by a hyperbolic tangent and a shift."""
    k, width = library.layers, draw.choice((32, 64))
    given, ends = library.Input(shape=(2,)), []
    for last in ("tanh", "linear"):
        x = given
        for _ in range(4):
            x = k.Dense(width, activation="relu", kernel_regularizer=library.regularizers.L2(0.01))(x)
        ends.append(k.Dense(2, activation=last, kernel_regularizer=library.regularizers.L2(0.01))(x))
    return library.Model(inputs=given, outputs=ends)


def accent_classifier(library: Any, draw: random.Random) -> Any:
    """Accents from the vectors of YAMNet: narrowing dense layers with normalization and dropout."""
    k = library.layers
    x = vector = library.Input(shape=(256,), name="embedding")
    for units in (96, 64, draw.choice((32, 48))):
        x = k.Dropout(0.5)(k.BatchNormalization()(k.Dense(units, activation="relu")(x)))
    return library.Model(
        vector, k.Dense(6, activation="softmax", name="output")(x), name="accent_recognition"
    )


def eeg_stimuli(library: Any, draw: random.Random) -> Any:
    """Brain waves at stimuli: six convolutions with strides, each normalized, and dense layers."""
    k = library.layers
    x = wave = library.Input(shape=(256, 1))
    for filters in (8, 16, 16, 24, 24, draw.choice((32, 48))):
        x = k.Conv1D(filters=filters, kernel_size=3, strides=2, activation="relu", padding="same")(x)
        x = k.BatchNormalization()(x)
    x = k.Flatten()(k.Dropout(0.2)(x))
    for units in (64, 32):
        x = k.Dense(units, activation="relu", kernel_regularizer=library.regularizers.L2())(x)
        x = k.Dropout(0.2)(x)
    return library.Model(wave, k.Dense(6, activation="softmax")(x))


SIXTH_KERAS = {
    **kinds("images", reptile_omniglot, contrastive_encoder, metric_embedding, start="w-"),
    **kinds("images", distillation_teacher, toy_resnet, wgan_critic, start="w-"),
    **kinds("maps", functional_autoencoder, wgan_generator, style_decoder, start="w-"),
    **kinds("recurrent", handwriting, video_frames, addition, start="w-"),
    **kinds("attention", token_learner, behavior_sequence, start="w-"),
    **kinds("tables", feature_space, wine_quality, citations_baseline, start="w-"),
    **kinds("tables", coupling_layer, accent_classifier, start="w-"),
    **kinds("sequences", eeg_stimuli, start="w-"),
}
"""The class of each kind of network, and what builds it."""
