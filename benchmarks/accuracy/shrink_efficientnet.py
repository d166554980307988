"""Shrink EfficientNetB0 in five formats, and compare what the real loaders make of each file and its result.

usage: python benchmarks/accuracy/shrink_efficientnet.py [--write]

The network has seeded random weights and one step of training with Adam; every format that can hold optimizer
state then does. Keras 3 writes the `.keras` file, the exported SavedModel and the checkpoint, tf_keras the
`.h5` file, and TensorFlow's converter the TFLite file. Each is shrunk losslessly, and with ``training``
dropped where the file holds any. The program stops with an error where a weight, an optimizer variable that
must stay, or an output on seeded inputs is not equal bit by bit, or where a second run changes a file.
``--write`` puts sizes and counts into shrink_efficientnet.csv, and docs/generate_tables.py makes a table.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402

TABLE = FOLDER / "shrink_efficientnet.csv"
SHAPE = (224, 224, 3)
Values = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One format at one level: sizes in bytes, and how many tensors and loaded arrays were equal."""

    name: str
    writer: str
    level: str
    before: int
    after: int
    tensors: int
    dropped: int
    loader: str
    weights: int
    optimizer: int
    outputs: int


def seeded_inputs() -> Any:
    """Return two images, float32 of [2, 224, 224, 3], from 0 to 255."""
    return np.random.default_rng(1).uniform(0, 255, (2, *SHAPE)).astype("f4")


def build(package: str) -> Any:
    """Return the network of one Keras, with seeded weights and the state that one step of Adam leaves."""
    keras = import_module(package)
    keras.utils.set_random_seed(0)
    network = keras.applications.EfficientNetB0(weights=None, input_shape=SHAPE)
    network.compile(keras.optimizers.Adam(), keras.losses.CategoricalCrossentropy())
    targets = np.eye(1000, dtype="f4")[[3, 500]]
    network.fit(seeded_inputs(), targets, batch_size=2, epochs=1, verbose=0)
    return network


def save_keras(folder: Path) -> Path:
    """Write the `.keras` file of Keras 3."""
    build("keras").save(folder / "efficientnet.keras")
    return folder / "efficientnet.keras"


def save_h5(folder: Path) -> Path:
    """Write the `.h5` file of tf_keras."""
    build("tf_keras").save(folder / "efficientnet.h5")
    return folder / "efficientnet.h5"


def save_exported(folder: Path) -> Path:
    """Write the SavedModel that `export` of Keras 3 makes."""
    build("keras").export(folder / "exported", verbose=False)
    return folder / "exported"


def save_tflite(folder: Path) -> Path:
    """Write the float32 TFLite file that the converter makes of the exported SavedModel."""
    import tensorflow as tf

    data = tf.lite.TFLiteConverter.from_saved_model(str(save_exported(folder))).convert()
    (folder / "efficientnet.tflite").write_bytes(data)
    return folder / "efficientnet.tflite"


def save_checkpoint(folder: Path) -> Path:
    """Write the checkpoint of the network and its optimizer; return its prefix."""
    import tensorflow as tf

    network = build("keras")
    (folder / "checkpoint").mkdir()
    saver = tf.train.Checkpoint(model=network, optimizer=network.optimizer)
    return Path(saver.write(str(folder / "checkpoint" / "efficientnet")))


def values_of(network: Any) -> Values:
    """Return the weights, optimizer variables and outputs of a Keras model, by kind and place."""
    found = {f"weight {number}": each for number, each in enumerate(network.get_weights())}
    variables = getattr(getattr(network, "optimizer", None), "variables", [])
    variables = variables() if callable(variables) else variables
    found |= {f"optimizer {number}": np.asarray(each) for number, each in enumerate(variables)}
    return found | {"output": np.asarray(network(seeded_inputs()))}


def load_keras(path: Path) -> Values:
    """Return what Keras 3 loads."""
    return values_of(import_module("keras").models.load_model(path))


def load_h5(path: Path) -> Values:
    """Return what tf_keras loads."""
    return values_of(import_module("tf_keras").models.load_model(path))


def load_exported(path: Path) -> Values:
    """Return the variables and outputs of every signature of a SavedModel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    found: Values = {f"weight {number}": each.numpy() for number, each in enumerate(loaded.variables)}
    for key, function in sorted(loaded.signatures.items()):
        name = next(iter(function.structured_input_signature[1]))
        outputs = function(**{name: tf.constant(seeded_inputs())})
        found |= {f"output {key} {one}": value.numpy() for one, value in sorted(outputs.items())}
    found["output serve"] = loaded.serve(tf.constant(seeded_inputs())).numpy()
    return found


def load_tflite(path: Path) -> Values:
    """Return every constant of the interpreter, and its outputs with and without the default delegate."""
    import tensorflow as tf

    found: Values = {}
    for kind in ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        resolver = tf.lite.experimental.OpResolverType[kind]
        interpreter = tf.lite.Interpreter(str(path), experimental_op_resolver_type=resolver)
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, (2, *SHAPE))
        interpreter.allocate_tensors()
        if kind != "AUTO":
            found |= constants(interpreter)
        interpreter.set_tensor(place, seeded_inputs())
        interpreter.invoke()
        for each in interpreter.get_output_details():
            found[f"output {kind} {each['name']}"] = interpreter.get_tensor(each["index"])
    return found


def constants(interpreter: Any) -> Values:
    """Return the tensors that have values before anything was computed."""
    written = {place for each in interpreter._get_ops_details() for place in each["outputs"]}
    written |= {each["index"] for each in interpreter.get_input_details()}
    return {
        f"weight {each['index']} {each['name']}": interpreter.get_tensor(each["index"]).copy()
        for each in interpreter.get_tensor_details()
        if each["index"] not in written and each["name"]  # kernels' own memory has no name
    }


def load_checkpoint(path: Path) -> Values:
    """Return the variables of a checkpoint, and the outputs of a fresh network that restores it."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path))
    found: Values = {}
    for key in sorted(reader.get_variable_to_shape_map()):
        kind = "graph" if key.startswith("_CHECKPOINTABLE") else "weight"
        kind = "optimizer" if "optimizer" in key.partition("/.")[0] else kind
        if kind != "graph":  # without the optimizer, the graph of objects is another one
            found[f"{kind} {key}"] = np.asarray(reader.get_tensor(key))
    network = import_module("keras").applications.EfficientNetB0(weights=None, input_shape=SHAPE)
    network.set_weights([np.full_like(each, 0.5) for each in network.get_weights()])
    tf.train.Checkpoint(model=network).read(str(path)).expect_partial().assert_existing_objects_matched()
    found |= {f"weight {number}": each for number, each in enumerate(network.get_weights())}
    return found | {"output": np.asarray(network(seeded_inputs()))}


FORMATS: dict[str, tuple[str, str, Callable[[Path], Path], Callable[[Path], Values]]] = {
    "EfficientNetB0 `.keras`": ("Keras 3", "Keras 3", save_keras, load_keras),
    "EfficientNetB0 `.h5`": ("tf_keras", "tf_keras", save_h5, load_h5),
    "EfficientNetB0 SavedModel": ("Keras 3 `export`", "TensorFlow", save_exported, load_exported),
    "EfficientNetB0 `.tflite`": ("TFLiteConverter", "TFLite interpreter", save_tflite, load_tflite),
    "EfficientNetB0 checkpoint": ("tf.train.Checkpoint", "TensorFlow", save_checkpoint, load_checkpoint),
}
"""Per format: writer, loader, and the functions that save and load it."""


def rows_of(name: str, folder: Path) -> list[Row]:
    """Return the rows of a format. Raises `AssertionError` where a result is not as before."""
    writer, loader, save, load = FORMATS[name]
    path = save(folder)
    old = load(path)
    found = []
    for drop in ((), ("training",)):
        after = folder / f"small-{len(drop)}" / path.name
        after.parent.mkdir()
        report = mi.shrink(path, after, drop=drop)
        assert report.proof is not None or drop, f"{name}: {report.reason}"
        if report.proof is None or report.after is None or (drop and not report.proof.dropped):
            continue
        assert mi.shrink(after, drop=drop).outcome == "unchanged", f"{name}: the second run changes it"
        new = load(after)
        counts = compare(name, old, new, dropped=bool(drop))
        found.append(
            Row(
                name,
                writer,
                "training dropped" if drop else "lossless",
                report.before.size,
                report.after.size,
                report.proof.tensors - report.proof.dropped,
                report.proof.dropped,
                loader,
                *counts,
            )
        )
        assert report.proof.equal == found[-1].tensors, f"{name}: tensors differ"
    return found


def compare(name: str, old: Values, new: Values, *, dropped: bool) -> tuple[int, int, int]:
    """Return how many weights, optimizer variables and outputs are equal bit by bit; others are an error."""
    kept = {key for key in old if not (dropped and key.startswith("optimizer"))}
    assert kept <= new.keys(), f"{name}: {kept - new.keys()} are gone"
    for key in sorted(kept):
        one, other = np.asarray(old[key]), np.asarray(new[key])
        same = one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        assert same, f"{name}: {key} differs"
    weights, optimizer, outputs = (
        sum(key.startswith(kind) for key in kept) for kind in ("weight", "optimizer", "output")
    )
    assert weights, name
    assert outputs, name
    return weights, optimizer, outputs


def read_rows() -> list[Row]:
    """Return the rows of the table that ``--write`` wrote."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [
            Row(**{each.name: (int if each.type == "int" else str)(line[each.name]) for each in fields(Row)})
            for line in csv.DictReader(file)
        ]


def main() -> None:
    """Run all formats, print a row for each, and write the table where that is asked for."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    found: list[Row] = []
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(name, Path(folder)):
                print(row, flush=True)
                found.append(row)
    if "--write" in sys.argv:
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [each.name for each in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in found)


if __name__ == "__main__":
    main()
