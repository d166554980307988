"""Rebuilds the cases that TensorFlow itself made, checkpoints and graphs; runs once, in a process of its
own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def main(root: Path) -> None:
    for make in (
        bert,
        averages,
        engine,
        savers,
        meta_constants,
        style,
        splat,
        batch,
        table,
        frozen_masks,
        channels,
        cut,
    ):
        make(root)


def folder(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def values(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def checkpoint(path: Path, variables: dict[str, Any], **settings: Any) -> None:
    """Write a checkpoint as TensorFlow 1 does."""
    with tf.Graph().as_default(), v1.Session() as session:
        made = {name: v1.get_variable(name, initializer=value) for name, value in variables.items()}
        session.run(v1.global_variables_initializer())
        v1.train.Saver(made, **settings).save(session, str(path), write_meta_graph=False)


def bert(root: Path) -> None:
    """google-research/bert#63: adam_m and adam_v beside each variable."""
    path = folder(root, "12-bert")
    model = {"bert/encoder/kernel": values(128, 64), "bert/encoder/bias": values(64)}
    checkpoint(folder(path, "release") / "model.ckpt", model)
    slots = {f"{name}/{slot}": value * 0.1 for name, value in model.items() for slot in ("adam_m", "adam_v")}
    checkpoint(folder(path, "trained") / "model.ckpt", {**model, **slots})


def averages(root: Path) -> None:
    """google/automl#799: a moving average of every variable."""
    path = folder(root, "20-averages")
    for name, average in (("plain", False), ("averaged", True)):
        with tf.Graph().as_default(), v1.Session() as session:
            kernel = v1.get_variable("head/kernel", initializer=values(128, 64))
            if average:
                v1.train.ExponentialMovingAverage(0.9).apply([kernel])
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(folder(path, name) / "model"), write_meta_graph=False)


def engine(root: Path) -> None:
    """tensorflow/tensorrt#240: weights frozen into the graph, and kept as variables."""
    weights = values(128, 64)

    class Model(tf.Module):
        def __init__(self, frozen: bool) -> None:
            super().__init__()
            self.kernel = tf.Variable(weights)
            self.frozen = frozen

        @tf.function(input_signature=[tf.TensorSpec((None, 128))])
        def __call__(self, x: Any) -> Any:
            return x @ (tf.constant(weights) if self.frozen else self.kernel)

    path = folder(root, "22-frozen-and-kept")
    for name, frozen in (("plain", False), ("converted", True)):
        model = Model(frozen)
        tf.saved_model.save(model, str(path / name), signatures=model.__call__)


def savers(root: Path) -> None:
    """TensorFlow#23025: each save leaves its nodes in the graph."""
    path = folder(root, "23-grows-at-each-save")
    with tf.Graph().as_default():
        for index in range(20):
            v1.get_variable(f"weight_{index}", (4, 4))
        for count in range(6):
            v1.train.Saver().as_saver_def()
            if count in (0, 5):
                v1.train.export_meta_graph(str(path / f"saved_{count + 1}.meta"), clear_devices=True)


def meta_constants(root: Path) -> None:
    """tensorflow/serving#149: a MetaGraph larger than the weights, for its constants."""
    path = folder(root, "24-meta-constants")
    for name, table in (("without", False), ("with", True)):
        with tf.Graph().as_default():
            weight = v1.get_variable("weight", (64, 8))
            inputs = v1.placeholder(tf.float32, (None, 64), "inputs")
            output = inputs @ weight
            if table:
                output = output + tf.reduce_sum(tf.constant(values(256, 64), name="table"))
            tf.identity(output, "output")
            v1.train.export_meta_graph(str(path / f"{name}.meta"))


def style(root: Path) -> None:
    """fast-style-transfer#204: one checkpoint of weights, or several with Adam's slots."""
    path = folder(root, "25-many-checkpoints")
    with tf.Graph().as_default(), v1.Session() as session:
        weight = v1.get_variable("transform/weight", initializer=values(128, 64))
        step = v1.train.AdamOptimizer(0.01).minimize(tf.reduce_sum(weight * weight))
        session.run(v1.global_variables_initializer())
        session.run(step)
        v1.train.Saver([weight]).save(session, str(folder(path, "weights") / "model"), write_meta_graph=False)
        saver = v1.train.Saver(max_to_keep=3)
        for count in range(3):
            session.run(step)
            saver.save(session, str(folder(path, "training") / "model"), count, write_meta_graph=False)


def convert(function: Any, model: Any) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
    data: bytes = converter.convert()
    return data


def splat(root: Path) -> None:
    """TensorFlow#56075: the converter spreads out what the graph fills."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 128, 128))])
        def __call__(self, x: Any) -> Any:
            return x * tf.fill([1, 128, 128], 0.5)

    path, model = folder(root, "27-splat"), Model()
    tf.saved_model.save(model, str(path / "saved"), signatures=model.__call__)
    (path / "model.tflite").write_bytes(convert(model.__call__, model))


def batch(root: Path) -> None:
    """ultralytics#20018: constants with a place for each image of the batch."""

    class Model(tf.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.scale = tf.Variable(values(64, seed=3))
            self.offsets = values(size, 16, 64)

        @tf.function(input_signature=[tf.TensorSpec((None, 16, 64))])
        def __call__(self, x: Any) -> Any:
            return x * self.scale + tf.constant(self.offsets, name="offsets")

    path = folder(root, "29-batch")
    for size in (1, 8):
        model = Model(size)
        tf.saved_model.save(model, str(path / f"batch_{size}"), signatures=model.__call__)


def table(root: Path) -> None:
    """TensorFlow#60529: a layer without parameters brings a table."""

    class Model(tf.Module):
        def __init__(self, filtered: bool) -> None:
            super().__init__()
            self.kernel = tf.constant(values(64, 32, seed=4))
            self.bank = values(240, 64) if filtered else None

        @tf.function(input_signature=[tf.TensorSpec((240, 64))])
        def __call__(self, x: Any) -> Any:
            return (
                x if self.bank is None else tf.math.maximum(x, tf.constant(self.bank, name="floor"))
            ) @ self.kernel

    path = folder(root, "31-layer-without-parameters")
    for name, filtered in (("plain", False), ("filtered", True)):
        model = Model(filtered)
        (path / f"{name}.tflite").write_bytes(convert(model.__call__, model))


def frozen_masks(root: Path) -> None:
    """TensorFlow#20673: masks frozen with the graph."""
    path = folder(root, "34-frozen-masks")
    kernel, mask = values(128, 64), (values(128, 64, seed=2) > 0).astype("f4")
    for name, masked in (("stripped", False), ("masked", True)):
        with tf.Graph().as_default() as graph:
            inputs = v1.placeholder(tf.float32, (None, 128), "inputs")
            weights = tf.constant(kernel * mask, name="layer1/weights")
            if masked:
                weights = tf.multiply(
                    weights, tf.constant(mask, name="layer1/mask"), name="layer1/masked_weight"
                )
            tf.matmul(inputs, weights, name="output")
        (path / f"{name}.pb").write_bytes(graph.as_graph_def().SerializeToString())


def channels(root: Path) -> None:
    """PocketFlow#276: pruned by channels; the checkpoint has the masks besides and removes nothing."""
    path = folder(root, "39-channels")
    kernel = values(3, 3, 16, 32)
    checkpoint(folder(path, "original") / "model.ckpt", {"conv1/kernel": kernel})
    mask = np.ones_like(kernel)
    mask[..., 20:] = 0
    checkpoint(
        folder(path, "pruned") / "model.ckpt",
        {"conv1/kernel": kernel * mask, "conv1/mask": mask, "conv1/threshold": np.float32(0)},
    )


def cut(root: Path) -> None:
    """discuss.tensorflow.org 19532: a file too small for its parameters; its weights are elsewhere."""
    path = folder(root, "40-weights-missing")
    for name in ("whole", "part"):
        model = tf.train.Checkpoint(kernel=tf.Variable(values(128, 64)), bias=tf.Variable(values(64)))
        model.write(str(folder(path, name) / "model"))
    (path / "part" / "model.data-00000-of-00001").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
