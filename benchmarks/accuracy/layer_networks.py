"""Build one small network around each layer class that few networks have, and convert it with TensorFlow.

usage: python benchmarks/accuracy/layer_networks.py KERAS FOLDER [PART]
       python benchmarks/accuracy/layer_networks.py FOLDER --store

Networks are made, filled and stored by `recorded_networks.py`: ``--store`` writes the files without weights
into ``layer_bases.tar.xz`` and TensorFlow's sizes into ``layer_sizes.csv``, 0 where the converter refused.
"""

from __future__ import annotations

import csv
import io
import sys
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy import converted_networks as converted  # noqa: E402
from benchmarks.accuracy import recorded_networks as recorded  # noqa: E402
from benchmarks.accuracy.layer_more import MORE, Layers, chain, wired  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network, named  # noqa: E402

_IMAGE, _SIGNAL = (12, 12, 4), (20, 6)
NETWORKS: dict[str, Layers] = {
    "conv1d-transpose": chain(
        _SIGNAL, lambda k: k.Conv1DTranspose(5, 4, strides=2, padding="same", activation="relu")
    ),
    "conv1d-transpose-valid": chain(_SIGNAL, lambda k: k.Conv1DTranspose(5, 3, strides=2)),
    "separable-conv1d": chain(_SIGNAL, lambda k: k.SeparableConv1D(8, 3, padding="same", activation="relu")),
    "separable-conv1d-causal": chain(_SIGNAL, lambda k: k.SeparableConv1D(8, 3, padding="valid", strides=2)),
    "depthwise-conv1d": chain(_SIGNAL, lambda k: k.DepthwiseConv1D(3, padding="same", depth_multiplier=1)),
    "depthwise-conv1d-more": chain(_SIGNAL, lambda k: k.DepthwiseConv1D(3, depth_multiplier=2)),
    "grouped-conv2d": chain(
        _IMAGE,
        lambda k: k.Conv2D(8, 3, groups=2, padding="same", activation="relu"),
        lambda k: k.Conv2D(3, 1),
    ),
    "grouped-conv1d": chain(_SIGNAL, lambda k: k.Conv1D(6, 3, groups=3)),
    "group-normalization": chain(
        _IMAGE, lambda k: k.Conv2D(8, 3), lambda k: k.GroupNormalization(4), lambda k: k.ReLU()
    ),
    "rms-normalization": chain(_SIGNAL, lambda k: k.RMSNormalization(), lambda k: k.Dense(4)),
    "unit-normalization": chain((10,), lambda k: k.Dense(8), lambda k: k.UnitNormalization()),
    "normalization": chain(
        (10,), lambda k: k.Normalization(mean=[0.5] * 10, variance=[2.0] * 10), lambda k: k.Dense(4)
    ),
    "normalization-image": chain(
        _IMAGE,
        lambda k: k.Normalization(mean=[0.5, 1.0, 2.0, 1.5], variance=[2.0, 1.0, 3.0, 0.5]),
        lambda k: k.Conv2D(4, 3),
    ),
    "einsum-dense": chain(_SIGNAL, lambda k: k.EinsumDense("abc,cd->abd", (None, 7), bias_axes="d")),
    "einsum-dense-heads": chain(
        _SIGNAL, lambda k: k.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de", activation="relu")
    ),
    "einsum-dense-rows": chain((10,), lambda k: k.EinsumDense("ab,bc->ac", 7, bias_axes="c")),
    "dot": wired(((10,), (10,)), lambda k, a, b: k.Dot(1)([k.Dense(6)(a), k.Dense(6)(b)])),
    "dot-normalized": wired(
        ((10,), (10,)), lambda k, a, b: k.Dot(1, normalize=True)([k.Dense(6)(a), k.Dense(6)(b)])
    ),
    "dot-sequences": wired(((8, 6), (5, 6)), lambda k, a, b: k.Dot(2)([a, b])),
    "attention": wired(((8, 6), (5, 6)), lambda k, a, b: k.Dense(3)(k.Attention()([a, b]))),
    "attention-scaled": wired(((8, 6), (5, 6)), lambda k, a, b: k.Attention(use_scale=True)([a, b])),
    "additive-attention": wired(((8, 6), (5, 6)), lambda k, a, b: k.AdditiveAttention()([a, b])),
    "cross-attention": wired(((8, 6), (5, 7)), lambda k, a, b: k.MultiHeadAttention(2, 4)(a, b)),
    "attention-other-value": wired(((8, 6),), lambda k, a: k.MultiHeadAttention(2, 4, value_dim=3)(a, a)),
    "causal-attention-2": wired(
        ((8, 6),), lambda k, a: k.MultiHeadAttention(2, 4)(a, a, use_causal_mask=True)
    ),
    "group-query-attention": wired(((8, 6),), lambda k, a: k.GroupQueryAttention(4, 4, 2)(a, a)),
    "masked-embedding": chain(
        (9,),
        lambda k: k.Embedding(50, 8, mask_zero=True),
        lambda k: k.GlobalAveragePooling1D(),
        lambda k: k.Dense(3),
    ),
    "masked-lstm": chain(
        (9,), lambda k: k.Embedding(50, 8, mask_zero=True), lambda k: k.LSTM(5), lambda k: k.Dense(3)
    ),
    "masking-lstm": chain(_SIGNAL, lambda k: k.Masking(), lambda k: k.LSTM(5)),
    "masking": chain(_SIGNAL, lambda k: k.Masking(), lambda k: k.Dense(5)),
    "distributed-conv2d": chain(
        (3, 10, 10, 2),
        lambda k: k.TimeDistributed(k.Conv2D(4, 3, activation="relu")),
        lambda k: k.TimeDistributed(k.MaxPooling2D()),
        lambda k: k.TimeDistributed(k.Flatten()),
        lambda k: k.Dense(2),
    ),
    "distributed-dense": chain(_SIGNAL, lambda k: k.TimeDistributed(k.Dense(4, activation="relu"))),
    "distributed-pooling": chain((3, 10, 10, 2), lambda k: k.TimeDistributed(k.GlobalAveragePooling2D())),
    "conv-lstm2d": chain((3, 8, 8, 2), lambda k: k.ConvLSTM2D(3, 3, padding="same")),
    "hard-sigmoid": chain((10,), lambda k: k.Dense(8, activation="hard_sigmoid"), lambda k: k.Dense(3)),
    "hard-sigmoid-image": chain(_IMAGE, lambda k: k.Conv2D(4, 3), lambda k: k.Activation("hard_sigmoid")),
    "mish": chain((10,), lambda k: k.Dense(8, activation="mish"), lambda k: k.Dense(3)),
    "hard-swish": chain(_IMAGE, lambda k: k.Conv2D(4, 3, activation="hard_silu")),
    "log-softmax": chain((10,), lambda k: k.Dense(8, activation="log_softmax")),
    "glu": chain((10,), lambda k: k.Dense(8, activation="glu")),
    "leaky-relu": chain((10,), lambda k: k.Dense(8, activation="leaky_relu")),
    "relu-limits": chain((10,), lambda k: k.Dense(8), lambda k: k.ReLU(max_value=4.0, threshold=0.5)),
    "relu-limit": chain((10,), lambda k: k.Dense(8), lambda k: k.ReLU(max_value=1.0)),
    "thresholded-relu": chain((10,), lambda k: k.Dense(8), lambda k: k.ThresholdedReLU(0.7)),
    "elu-slope": chain((10,), lambda k: k.Dense(8), lambda k: k.ELU(0.5)),
    "softmax-axis": chain(_SIGNAL, lambda k: k.Softmax(axis=1)),
    "spectral": chain((10,), lambda k: k.SpectralNormalization(k.Dense(8))),
    "spectral-conv": chain(_IMAGE, lambda k: k.SpectralNormalization(k.Conv2D(5, 3, padding="same"))),
    "reversible-embedding": wired(
        ((9,),),
        lambda k, a: (lambda table: table(k.Dense(8)(table(a)), reverse=True))(k.ReversibleEmbedding(50, 8)),
    ),
    "conv3d": chain(
        (6, 8, 8, 2), lambda k: k.Conv3D(4, 3, padding="same", activation="relu"), lambda k: k.Conv3D(3, 2)
    ),
    "conv3d-pool": chain(
        (6, 8, 8, 2), lambda k: k.Conv3D(4, 3), lambda k: k.GlobalAveragePooling3D(), lambda k: k.Dense(2)
    ),
    "max-pooling3d": chain((6, 8, 8, 2), lambda k: k.MaxPooling3D()),
    "zero-padding3d": chain((4, 6, 6, 2), lambda k: k.ZeroPadding3D()),
    "cropping3d": chain((4, 6, 6, 2), lambda k: k.Cropping3D()),
    "up-sampling3d": chain((2, 4, 4, 2), lambda k: k.UpSampling3D()),
    "up-sampling1d": chain((8, 3), lambda k: k.UpSampling1D(2)),
    "gru-reset-before": chain(_SIGNAL, lambda k: k.GRU(5, reset_after=False)),
    "lstm-state": wired((_SIGNAL,), lambda k, a: k.Concatenate()(k.LSTM(5, return_state=True)(a)[:2])),
    "normalization-axis": chain(_IMAGE, lambda k: k.BatchNormalization(axis=1)),
    "layer-normalization-axes": chain(_IMAGE, lambda k: k.LayerNormalization(axis=(1, 2, 3))),
    "conv-transpose-output": chain(
        _IMAGE, lambda k: k.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)
    ),
    "resizing": chain(_IMAGE, lambda k: k.Resizing(6, 6), lambda k: k.Conv2D(3, 3)),
    "center-crop": chain(_IMAGE, lambda k: k.CenterCrop(8, 8), lambda k: k.Conv2D(3, 3)),
    "rescaling-channels": chain(
        (12, 12, 3), lambda k: k.Rescaling([0.5, 0.25, 0.125], [0.1, 0.2, 0.3]), lambda k: k.Conv2D(3, 3)
    ),
    "category-encoding": chain(
        (10,), lambda k: k.CategoryEncoding(12, output_mode="multi_hot"), lambda k: k.Dense(3)
    ),
    "random-translation": chain(_IMAGE, lambda k: k.RandomTranslation(0.1, 0.1), lambda k: k.Conv2D(3, 3)),
    "adaptive-pooling": chain(_IMAGE, lambda k: k.AdaptiveAveragePooling2D(3)),
    "locally-connected1d": chain(_SIGNAL, lambda k: k.LocallyConnected1D(3, 3)),
}


def _shared(library: Any) -> Any:
    layers = library.layers
    inner = library.Sequential([layers.Input((10,)), layers.Dense(6, activation="relu"), layers.Dense(4)])
    first, second = layers.Input((10,)), layers.Input((10,))
    x = layers.Subtract()([inner(first), inner(second)])
    return library.Model([first, second], layers.Dense(1, activation="sigmoid")(x))


def _operators(library: Any) -> Any:
    """Arithmetic that is written with Python's operators: TFOpLambda in Keras 2, layers of keras.ops in Keras
    3.
    """
    layers = library.layers
    given = layers.Input((10,))
    x = layers.Dense(6)(given)
    y = layers.Dense(6)(given)
    return library.Model(given, layers.Dense(2)(x * 2.0 + y - 1.0))


def _operators_more(library: Any) -> Any:
    """Functions of tensors within a functional model."""
    layers = library.layers
    given = layers.Input(_SIGNAL)
    x = layers.Dense(8)(given)
    if library.__name__ == "keras":
        ops = library.ops
        x = ops.concatenate([ops.sqrt(ops.square(x)), ops.relu(x)], axis=-1)
        x = ops.mean(x, axis=1)
    else:
        import tensorflow as tf

        x = tf.concat([tf.sqrt(tf.square(x)), tf.nn.relu(x)], axis=-1)
        x = tf.reduce_mean(x, axis=1)
    return library.Model(given, layers.Dense(2)(x))


def _fixed(library: Any) -> Any:
    """Products over the last axis of three, where the batch is known."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, 6, 10))
    x = layers.Dense(8, activation="gelu")(given)
    return library.Model(given, layers.Dense(4)(x))


NETWORKS |= {
    "dense-fixed-batch": _fixed,
    "dense-sequences": chain(_SIGNAL, lambda k: k.Dense(7, activation="relu"), lambda k: k.Dense(4)),
    "masked-attention": wired(
        ((9,),),
        lambda k, a: (lambda x: k.MultiHeadAttention(2, 4)(x, x))(k.Embedding(50, 8, mask_zero=True)(a)),
    ),
    "masked-dense": chain(
        (9,), lambda k: k.Embedding(50, 8, mask_zero=True), lambda k: k.Dense(3), lambda k: k.Flatten()
    ),
}
NETWORKS |= {"shared-model": _shared, "operators": _operators, "operators-more": _operators_more, **MORE}

FORMS = ("float32", "dynamic-int8")
LOOPS = "masks-"
"""How the kinds begin whose graphs have loops: these graphs are not predicted, and not recorded."""
LAYERS = recorded.NetworkSet(
    "layer",
    {
        kind: ("layers", lambda library, _, builder=builder: builder(library))
        for kind, builder in NETWORKS.items()
    },
    lambda _: list(FORMS),
    lambda network: not network.kind.startswith(LOOPS),
)


def sizes() -> dict[str, dict[str, int]]:
    """Return the sizes of TensorFlow's files by network and form; 0 where the converter refused."""
    return recorded.sizes(LAYERS)


def unpacked() -> AbstractContextManager[Path]:
    """Write the files of all networks into a folder, each with its weights."""
    return recorded.unpacked(LAYERS)


@dataclass(frozen=True)
class Outcome:
    """One prediction from the file or from the SavedModel; ``predicted`` is 0 where there is none."""

    network: str
    source: str
    form: str
    predicted: int
    real: int
    basis: str
    stated: float

    @property
    def is_told(self) -> bool:
        """Whether the layer is known: one that is not known may be off by its size."""
        return self.predicted > 0 and self.stated < UNKNOWN


UNKNOWN = 0.2
"""The stated error from which a layer counts as not known, in these small files."""


def outcomes(folder: Path) -> Iterator[Outcome]:
    """Predict the forms of every network that the converter accepts."""
    for name, forms in sizes().items():
        real = {f"tflite-{form}": size for form, size in forms.items() if size}
        for path in (folder / name / f"model{recorded.suffix(named(name))}", folder / name / "saved"):
            if not real or not path.exists():
                continue
            plan = {entry.option: entry for entry in mi.plan(path, only=tuple(real), downloads=False).options}
            for option, size in real.items():
                entry = plan.get(option)
                known = (entry.size, entry.basis, entry.error or 0.0) if entry is not None else (0, "", 1.0)
                yield Outcome(name, path.suffix or "saved", option, known[0], size, known[1], known[2])


def store(folder: Path) -> None:
    """Write the files of networks without their weights, and TensorFlow's sizes; what is recorded of networks
    that the folder does not have stays.
    """
    known = sizes()
    archived: dict[str, list[tuple[tarfile.TarInfo, bytes]]] = {}
    with tarfile.open(FOLDER / "layer_bases.tar.xz") as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            if file is not None:
                archived.setdefault(entry.name.partition("/")[0], []).append((entry, file.read()))
    rows: list[tuple[str, str, int]] = []
    with tarfile.open(FOLDER / "layer_bases.tar.xz", "w:xz", preset=9) as archive:
        for network in [Network(kind, keras, 0) for keras in (2, 3) for kind in NETWORKS]:
            source = folder / network.name
            if not (source / "done").is_file():
                rows += [(network.name, form, size) for form, size in known.get(network.name, {}).items()]
                for member, data in archived.get(network.name, []):
                    archive.addfile(member, io.BytesIO(data))
                continue
            for form in FORMS:
                path = source / f"{form}.tflite"
                rows.append((network.name, form, path.stat().st_size if path.is_file() else 0))
            for name, data in recorded.members(source, network, LAYERS) if rows[-1][2] else ():
                member = tarfile.TarInfo(f"{network.name}/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    with (FOLDER / "layer_sizes.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([("network", "form", "size"), *rows])


def main() -> None:
    if "--store" in sys.argv:
        store(Path(sys.argv[1]))
        return
    keras, folder = int(sys.argv[1]), Path(sys.argv[2])
    library = converted.keras_library(keras)
    part = sys.argv[3] if len(sys.argv) > 3 else ""
    for kind in NETWORKS:
        network = Network(kind, keras, 0)
        if part in kind:
            converted.attempt(network, library, folder / network.name, LAYERS)


if __name__ == "__main__":
    main()
