"""Configurations that name code in every place and form that loaders look at, each in the containers of Keras
3 and tf_keras.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
import marshal
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Json = Any


@dataclass(frozen=True)
class Made:
    """A model file: its name, and what it is made of."""

    name: str
    place: str
    form: str


def _proof(*arguments: Any, **settings: Any) -> Any:
    __import__("builtins").PROOF.append("code")
    return arguments[0] if arguments else None


CODE = codecs.encode(marshal.dumps(_proof.__code__), "base64").decode("ascii")
UNKNOWN = "payload_module"
"""A module that is no part of Python or of a known package: somebody's own."""
_KERAS = {"module": "keras.layers", "registered_name": None}


def function_forms() -> dict[str, Json]:
    """Return what stands for a function.

    In the folder of the loaders, ``this`` is a payload in place of the module of the standard library, and
    `UNKNOWN` one that no package has: both tell that they were imported.
    """
    return {
        "value-list": {"class_name": "__lambda__", "config": {"value": [CODE, None, None]}},
        "value-text": {"class_name": "__lambda__", "config": {"value": CODE}},
        "code": {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}},
        "code-list": {
            "class_name": "__lambda__",
            "config": {"code": [CODE, None, None], "defaults": None, "closure": None},
        },
        "code-module": {
            "class_name": "__lambda__",
            "module": "builtins",
            "config": {"code": CODE, "defaults": None, "closure": None},
        },
        "function": {"class_name": "function", "module": "this", "config": "run", "registered_name": "run"},
        "class": {"class_name": "Payload", "module": "this", "config": {}, "registered_name": None},
        "class-as-package": {
            "class_name": "run",
            "module": "this",
            "config": {},
            "registered_name": "payload>run",
        },
        "unknown-module": {"class_name": "Payload", "module": UNKNOWN, "config": {}, "registered_name": None},
        "name": "this.run",
        "known-name": "relu",
    }


def layer(kind: str, **config: Json) -> Json:
    """Return a layer as Keras 3 writes it; readers of Keras 2 pass over what is more than they write."""
    return {
        "class_name": kind,
        "config": {"name": kind.lower(), "trainable": True, "dtype": "float32", **config},
        **_KERAS,
    }


def layer_forms() -> dict[str, Json]:
    """Return layers that are code, or call something while the model is loaded."""
    write = {"contents": "proof", "name": None}
    return {
        "tfop-write": {
            "class_name": "TFOpLambda",
            "config": {"name": "w", "trainable": True, "dtype": "float32", "function": "io.write_file"},
            "name": "w",
            "inbound_nodes": [["_CONSTANT_VALUE", -1, "tfop-proof", write]],
        },
        "tfop-matching": {
            "class_name": "TFOpLambda",
            "config": {"name": "w", "trainable": True, "dtype": "float32", "function": "io.gfile.makedirs"},
            "name": "w",
            "inbound_nodes": [["_CONSTANT_VALUE", -1, "tfop-folder", {}]],
        },
        "foreign-layer": {
            "class_name": "Payload",
            "module": "this",
            "config": {"name": "p"},
            "registered_name": None,
        },
        "lambda-module-function": layer(
            "Lambda", function={"class_name": "function", "module": "this", "config": "run"}, arguments={}
        ),
        "lambda-old": layer(
            "Lambda",
            function=[CODE, None, None],
            function_type="lambda",
            module="__main__",
            output_shape=None,
            output_shape_type="raw",
            arguments={},
        ),
        "lambda-old-text": layer(
            "Lambda",
            function=f"!{CODE}",
            function_type="lambda",
            module="__main__",
            output_shape=None,
            output_shape_type="raw",
            arguments={},
        ),
        "lambda-old-shape": layer(
            "Lambda",
            function="relu",
            function_type="function",
            module="__main__",
            output_shape=[CODE, None, None],
            output_shape_type="lambda",
            output_shape_module="__main__",
            arguments={},
        ),
        "lambda-old-function": layer(
            "Lambda",
            function="run",
            function_type="function",
            module="this",
            output_shape=None,
            output_shape_type="raw",
            arguments={},
        ),
    }


PLACES = (
    "activation", "kernel_initializer", "bias_initializer", "kernel_regularizer", "activity_regularizer", "kernel_constraint",  # noqa: E501
    "activation-layer", "lambda", "lambda-shape", "loss", "metrics", "optimizer", "root", "wrapped",
)  # fmt: skip


def configurations(shape: str) -> Iterator[tuple[str, str, Json, Json]]:
    """Yield place, form, the model's configuration and that of compiling; ``shape`` is what an input's shape
    is called.
    """
    for place, (form, function) in itertools.product(PLACES, function_forms().items()):
        config, settings = _placed(place, function)
        text = json.dumps(config).replace("batch_shape", shape)
        yield place, form, json.loads(text), settings
    for form, one in layer_forms().items():
        yield "layer", form, json.loads(json.dumps(_sequential([one])).replace("batch_shape", shape)), None
        yield "functional", form, _functional(one), None


def _placed(place: str, function: Json) -> tuple[Json, Json]:
    dense = {"units": 2, "activation": "linear", "use_bias": True}
    match place:
        case "activation-layer":
            return _sequential([layer("Activation", activation=function)]), None
        case "lambda":
            return _sequential([layer("Lambda", function=function, arguments={})]), None
        case "lambda-shape":
            return _sequential([layer("Lambda", function="relu", output_shape=function, arguments={})]), None
        case "loss" | "metrics" | "optimizer":
            settings = {
                "optimizer": "sgd",
                "loss": "mse",
                "metrics": None,
                "loss_weights": None,
                "weighted_metrics": None,
            }
            settings[place] = [function] if place == "metrics" else function
            return _sequential([layer("Dense", **dense)]), settings
        case "root":
            return function, None
        case "wrapped":
            return (
                _sequential([layer("TimeDistributed", layer=layer("Activation", activation=function))]),
                None,
            )
        case _:
            return _sequential([layer("Dense", **{**dense, place: function})]), None


def _sequential(layers: list[Json]) -> Json:
    first = layer("InputLayer", batch_shape=[None, 3])
    first["config"].pop("trainable")
    return {
        "class_name": "Sequential",
        "module": "keras",
        "registered_name": None,
        "config": {"name": "model", "trainable": True, "dtype": "float32", "layers": [first, *layers]},
        "build_config": {"input_shape": [None, 3]},
    }


def _functional(one: Json) -> Json:
    """Return a functional model with the layer behind its input, as files of Keras 2 have it."""
    name = one["config"].get("name", "w")
    first = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "x"},
        "name": "x",
        "inbound_nodes": [],
    }
    after = {"inbound_nodes": [[["x", 0, 0, {}]]], **one, "name": name}
    config = {
        "name": "model",
        "layers": [first, after],
        "input_layers": [["x", 0, 0]],
        "output_layers": [[name, 0, 0]],
    }
    return {"class_name": "Functional", "config": config}  # fmt: skip


_CONTAINERS = (("batch_shape", "keras"), ("batch_input_shape", "keras"), ("batch_input_shape", "h5"))
"""How Keras 3 and Keras 2 call the shape of an input, and the files that they write."""


def write_all(folder: Path) -> list[Made]:
    """Write every configuration in the words of Keras 3 and of Keras 2, as ``.keras`` and ``.h5``."""
    made: list[Made] = []
    for shape, suffix in _CONTAINERS:
        write = _write_zip if suffix == "keras" else _write_hdf5
        for place, form, config, settings in configurations(shape):
            name = f"{len(made):03d}.{suffix}"
            write(folder / name, config, settings)
            made.append(Made(name, place, form))
    for place, form, config, settings in configurations("batch_shape"):
        if place == "lambda":  # ``json.loads`` recognizes UTF-16
            name = f"{len(made):03d}.keras"
            _write_zip(folder / name, config, settings, "utf-16")
            made.append(Made(name, f"{place} in UTF-16", form))
    return made


def _write_zip(path: Path, config: Json, settings: Json, encoding: str = "utf-8") -> None:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    whole = (
        {**config, "compile_config": settings}
        if settings is not None and isinstance(config, dict)
        else config
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "metadata.json", json.dumps({"keras_version": "3.5.0", "date_saved": "2026-01-01@00:00:00"})
        )
        archive.writestr("config.json", json.dumps(whole).encode(encoding))
        archive.writestr("model.weights.h5", weights.getvalue())


def _write_hdf5(path: Path, config: Json, settings: Json) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        if settings is not None:
            optimizer = settings["optimizer"]
            told = (
                {"class_name": "SGD", "config": {"learning_rate": 0.1}} if optimizer == "sgd" else optimizer
            )
            file.attrs["training_config"] = json.dumps({**settings, "optimizer_config": told})
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([], dtype="S1")
        group.attrs["keras_version"] = "2.15.0"
        group.attrs["backend"] = "tensorflow"
