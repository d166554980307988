"""Build networks, give them weights, and convert them with TensorFlow: what the sets of networks share.

A network that is done is not made again, and where the converter ends the process, the next run goes on after
the form that did. `recorded_networks.py` then records what is made.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import signature_networks as signatures
from benchmarks.accuracy.recorded_networks import NetworkSet, fill, suffix
from benchmarks.accuracy.unseen_networks import Network, weight

FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "float32": ("", ()),
    "float16": ("float16", ("DEFAULT",)),
    "dynamic-int8": ("", ("DEFAULT",)),
    "float32-sparse": ("", ("EXPERIMENTAL_SPARSITY",)),
    "dynamic-int8-sparse": ("", ("DEFAULT", "EXPERIMENTAL_SPARSITY")),
    "int8": ("int8", ("DEFAULT",)),
    "int16x8": ("int16x8", ("DEFAULT",)),
}
"""What each form supports beside float32, and its optimizations."""


def keras_library(keras: int) -> Any:
    """Import Keras 2 or Keras 3; a process has one of them."""
    if keras == 2:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tf_keras as library
    else:
        import keras as library
    return library


def build(network: Network, library: Any, which: NetworkSet) -> Any:
    """Return the network, not trained."""
    library.backend.clear_session()
    return which.builders[network.kind][1](
        library, random.Random(f"{which.name}/{network.kind}/{network.seed}")
    )


def save(network: Network, library: Any, folder: Path, which: NetworkSet) -> Any:
    """Save a network with its weights into a folder: as a file and as the SavedModel that
    `TFLiteConverter.from_keras_model` writes for itself, or only as a SavedModel. Return the model.
    """
    import tensorflow as tf

    if which.assign is not None:
        library.utils.set_random_seed(zlib.crc32(network.name.encode()))
    model, saved = build(network, library, which), str(folder / "saved")
    if which.assign is not None:
        which.assign(model, network)
    if which.is_exported(network) and not isinstance(model, library.Model):  # a module of TensorFlow
        if hasattr(model, "weights") and which.assign is None:
            signatures.assign(model, network)
        for variable in () if hasattr(model, "weights") or which.assign else model.variables:
            variable.assign(weight(network, variable.name.split(":")[0], tuple(variable.shape)))
        tf.saved_model.save(model, saved, signatures=model.__call__)
        return model
    if which.is_exported(network):
        if which.assign is None:
            signatures.assign(model, network)
        if network.keras == 2:
            model.save(saved, save_format="tf", include_optimizer=False)
        else:
            model.export(saved, verbose=False)
        return model
    path = folder / f"model{suffix(network)}"
    model.save(str(path), **({"include_optimizer": False} if network.keras == 2 else {}))
    if which.assign is None:
        fill(path, network)
    model = library.models.load_model(str(path), compile=False)
    tf.lite.TFLiteConverter.from_keras_model(model)._convert_keras_to_saved_model(saved)
    return model


def convert(network: Network, library: Any, folder: Path, which: NetworkSet) -> None:
    """Save a network and convert it; a form that the converter refuses is not there, and the reason is
    written into ``refused.json``.
    """
    import tensorflow as tf

    refused, trying = folder.with_name(folder.name + ".refused"), folder.with_name(folder.name + ".trying")
    if trying.is_file():  # the converter ended the process
        refused.write_text((refused.read_text() if refused.is_file() else "") + trying.read_text() + "\n")
    without = refused.read_text().split() if refused.is_file() else []
    reasons = dict.fromkeys(without, "ended the process")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with _loaded_once():
        save(network, library, folder, which)
        saved = str(folder / "saved")
        for form in which.forms_of(network):
            kind, optimizations = FORMS[form]
            if form in without:
                continue
            trying.write_text(form)
            try:
                converter = tf.lite.TFLiteConverter.from_saved_model(
                    saved, signature_keys=["serving_default"]
                )
                prepare(converter, kind, optimizations, saved)
                (folder / f"{form}.tflite").write_bytes(converter.convert())
            except Exception as error:  # noqa: BLE001 - the converter raises errors of many kinds; each is a refusal, kept with its text
                reasons[form] = f"{type(error).__name__}: {error}"
                print(network.name, form, type(error).__name__, str(error)[-160:].replace("\n", " "))
                if form == "float32":
                    break
    trying.unlink(missing_ok=True)
    (folder / "refused.json").write_text(json.dumps(reasons, indent=0), encoding="utf-8")
    (folder / "done").touch()


@contextmanager
def _loaded_once() -> Iterator[None]:
    """Let converters load a SavedModel once, and not for each form, which takes half of the time.

    They need the key of the signature then: without it, the converter takes ``serve`` away from what Keras 3
    exported, and of what is loaded already it would convert both signatures.
    """
    from tensorflow.lite.python import lite

    held: dict[str, Any] = {}
    load = lite._load

    def once(folder: Any, tags: Any = None) -> Any:
        if str(folder) not in held:
            held[str(folder)] = load(folder, tags)
        return held[str(folder)]

    lite._load = once
    try:
        yield
    finally:
        lite._load = load


def prepare(converter: Any, kind: str, optimizations: tuple[str, ...], saved: str) -> None:
    """Set a converter to make a form; full-integer forms are calibrated with random samples."""
    import tensorflow as tf
    from tensorflow.python.saved_model.loader_impl import parse_saved_model

    converter.optimizations = [getattr(tf.lite.Optimize, name) for name in optimizations]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if not kind.startswith("int"):
        return
    int16 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if kind == "int8" else int16]
    (graph,) = parse_saved_model(saved).meta_graphs
    given = graph.signature_def["serving_default"].inputs

    def samples() -> Iterator[dict[str, Any]]:
        generator = np.random.default_rng(0)
        for _ in range(2):
            yield {
                name: generator.uniform(0, 9, _lengths(given[name])).astype(
                    tf.as_dtype(given[name].dtype).as_numpy_dtype
                )
                for name in sorted(given)
            }

    converter.representative_dataset = samples


def _lengths(given: Any) -> list[int]:
    """Return the shape of a sample: one example, and 32 for other axes of unknown length, which pooling would
    leave nothing of if they were 1.
    """
    axes = [axis.size for axis in given.tensor_shape.dim]
    return [max(axes[0], 1), *(length if length > 0 else 32 for length in axes[1:])] if axes else []


def attempt(network: Network, library: Any, target: Path, which: NetworkSet) -> None:
    """Convert a network once, and write down why where that fails."""
    if (target / "done").exists() or (target / "failed").exists():
        return
    try:
        convert(network, library, target, which)
    except Exception as error:  # noqa: BLE001 - a library refuses a layer by any error; the network is left out
        (target / "failed").write_text(f"{type(error).__name__}: {error}"[:400], encoding="utf-8")
        print(network.name, "FAILED", type(error).__name__, str(error)[:200].replace("\n", " "), flush=True)
    print(network.name, flush=True)
