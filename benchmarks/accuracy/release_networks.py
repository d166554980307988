"""Convert some of the recorded networks with other TensorFlow releases, and record the sizes.

usage: python benchmarks/accuracy/release_networks.py unpack FOLDER            with modelinspect's Python
       PYTHON benchmarks/accuracy/release_networks.py convert FOLDER [PART]    with the Python of each release
       python benchmarks/accuracy/release_networks.py store FOLDER             with modelinspect's Python

``unpack`` writes the networks with their weights. ``convert`` needs only TensorFlow, tf_keras and Keras, and
converts with the release that is installed; a network that is done is not converted again, and where the
converter ends the process, the next run goes on after the form that did. ``store`` writes
``release_sizes.csv``: a row for each network and form, a column for each release, empty where Keras or the
converter refused.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
TABLE = FOLDER / "release_sizes.csv"
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
LOOPS = ("recurrent", "p-attended", "p-tagger")
"""Kinds with loops, which have no full-integer form and need a batch of one."""

NETWORKS: dict[str, tuple[str, ...]] = {
    "plan": ("mlp-0.80-4x1", "mlp-0.50-16x1", "cnn-0.80-unstructured", "separable-0.95-16x1"),
    "unseen": (
        "mlp-2-103",
        "mlp-3-103",
        "cnn-2-101",
        "cnn1d-2-100",
        "cnn1d-3-100",
        "separable-2-0",
        "separable-3-0",
        "resnet-2-200",
        "unet-2-0",
        "inception-2-0",
        "dilated-2-4",
        "dilated-3-203",
        "normalized-2-1",
        "plain-2-8",
        "recurrent-2-7",
        "recurrent-3-7",
        "text-2-100",
        "attention-2-0",
        "sequences-2-102",
        "small-layers-2-0",
    ),
    "fresh": (
        "normalized-transpose-2-0",
        "p-densenet-2-0",
        "g-features-2-0",
        "dueling-3-0",
        "keyword-3-1",
        "normalized-signal-3-0",
        "rescaled-image-3-0",
        "spatial-pyramid-3-0",
        "p-quartznet-3-0",
        "p-densenet-3-0",
        "p-table-transformer-3-0",
        "p-attended-3-0",
        "p-tagger-3-0",
        "p-resnext-3-0",
    ),
    "signature": (
        "cnn-2-101",
        "mlp-2-202",
        "normalized-2-201",
        "cnn-3-101",
        "mlp-3-5",
        "resnet-3-200",
        "attention-3-0",
        "text-3-202",
        "module-branches-1-1",
        "module-dense-1-107",
        "module-images-1-106",
        "module-frozen-1-1",
    ),
}
"""The networks that the rules for older releases were written with, by the set that they are recorded in."""
CHECKS: dict[str, tuple[str, ...]] = {
    "unseen": (
        "dilated-3-1",
        "inception-2-100",
        "normalized-2-101",
        "plain-2-3",
        "resnet-3-202",
        "separable-3-1",
        "small-layers-3-0",
        "squeeze-2-100",
        "squeeze-3-0",
    ),
    "fresh": (
        "dueling-3-1",
        "normalized-signal-2-0",
        "p-convnext-3-0",
        "p-excited-ecg-3-0",
        "p-gated-mixer-3-0",
        "p-image-mixer-3-0",
        "p-inception-time-2-0",
        "p-mbconv-2-0",
        "p-neural-filter-2-0",
        "p-resnext-2-0",
        "rescaled-image-2-0",
        "two-tables-3-0",
    ),
    "signature": (
        "autoencoder-3-100",
        "dilated-2-201",
        "many-ways-2-200",
        "module-nested-1-100",
        "separable-2-1",
        "small-layers-2-200",
        "small-layers-3-100",
        "squeeze-3-100",
        "unet-3-200",
    ),
}
"""Networks that were drawn at random after the rules were written."""
ALL = {name: (*names, *CHECKS.get(name, ())) for name, names in NETWORKS.items()}


def unpack(folder: Path, names: Collection[str] | None = None) -> None:
    """Write the networks with their weights, or those that are named: ``SET.NAME.h5``, ``SET.NAME.keras``,
    or a SavedModel.
    """
    sys.path.insert(0, str(FOLDER.parents[1]))
    from benchmarks.accuracy import plan_networks, plan_reality, signature_networks, unseen_networks
    from benchmarks.accuracy.fresh_networks import FRESH
    from benchmarks.accuracy.recorded_networks import suffix, unpacked

    wanted = {
        name: [one for one in some if names is None or f"{name}.{one}" in names] for name, some in ALL.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    cases = {case.name: case for case in plan_networks.cases()}
    for name in wanted["plan"]:
        plan_reality.write_h5(cases[name], folder / f"plan.{name}.h5")
    bases = unseen_networks.bases() if wanted["unseen"] else {}
    for name in wanted["unseen"]:
        path = folder / f"unseen.{name}.h5"
        path.write_bytes(bases[name])
        unseen_networks.fill(path, unseen_networks.named(name))
    with unpacked(FRESH, wanted["fresh"]) as held:
        for name in wanted["fresh"]:
            end = suffix(unseen_networks.named(name))
            shutil.copy(held / name / f"model{end}", folder / f"fresh.{name}{end}")
    for path in folder.glob("*.h5"):
        if keras_of(path) == 2:
            forget_optional(path)
    with tarfile.open(FOLDER / "signature_bases.tar.xz") as archive:
        for name in wanted["signature"]:
            some = [one for one in archive if one.name.partition("/")[0] == name]
            archive.extractall(folder, some, filter="data")
            signature_networks.fill(folder / name, unseen_networks.named(name))
            (folder / name).rename(folder / f"signature.{name}")


def forget_optional(path: Path) -> None:
    """Take out of the configuration what tf_keras writes since 2.20, and earlier ones refuse to read."""
    import h5py

    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        text = text.decode() if isinstance(text, bytes) else text
        file.attrs["model_config"] = text.replace(', "optional": false', "")


def keras_of(source: Path) -> int:
    """Return the version of Keras that loads a network, 0 for a SavedModel."""
    if source.is_dir():
        return 0
    return 2 if source.name.startswith("plan.") else int(source.stem.rsplit("-", 2)[1])


def convert(folder: Path, part: str) -> None:
    """Convert what is not done with the installed release; each version of Keras has its own process."""
    for keras in ("2", "3", "0"):
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": "0" if keras == "3" else "1"}
        command = [sys.executable, __file__, "part", str(folder), keras, part]
        while subprocess.run(command, env=environment, check=False).returncode < 0:
            print("the converter ended the process", flush=True)


def convert_part(folder: Path, keras: int, part: str) -> None:
    """Convert the networks of one version of Keras."""
    import tensorflow as tf

    release = tf.__version__
    for source in sorted(folder.iterdir()):
        target = folder.parent / release / source.name
        if keras_of(source) != keras or part not in source.name or (target / "done").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        try:
            make, inputs = loaded(source, target, keras)
        except Exception as error:  # noqa: BLE001 - a library refuses a file by any error
            (target / "refused.txt").write_text(f"not loaded: {type(error).__name__}: {error}"[:600])
            (target / "done").touch()
            print(release, source.name, "not loaded", str(error)[:150].replace("\n", " "), flush=True)
            continue
        with loaded_once():
            for form in FORMS:
                convert_form(form, make, inputs, source, target)
        (target / "done").touch()
        print(release, source.name, len(list(target.glob("*.tflite"))), flush=True)


def convert_form(form: str, make: Callable[[], Any], inputs: Any, source: Path, target: Path) -> None:
    """Convert to one form, unless that or float32 ended the process before."""
    trying = target / f"{form}.trying"
    if (target / f"{form}.tflite").exists() or trying.exists() or (target / "float32.trying").exists():
        return
    if form.startswith("int") and any(kind in source.name for kind in LOOPS):
        return
    trying.touch()
    try:
        converter = make()
        prepare(converter, form, inputs)
        (target / f"{form}.tflite").write_bytes(converter.convert())
    except Exception as error:  # noqa: BLE001 - the converter raises errors of many kinds; each is a refusal
        with (target / "refused.txt").open("a") as out:
            out.write(f"{form}: {type(error).__name__}: {str(error)[:600]}\n")
        print(source.name, form, type(error).__name__, str(error)[-160:].replace("\n", " "), flush=True)
    trying.unlink()


def loaded(source: Path, target: Path, keras: int) -> tuple[Callable[[], Any], Any]:
    """Load a network; return what makes a converter of it, and its inputs by name or in order."""
    import tensorflow as tf

    lite = tf.lite.TFLiteConverter
    keys = ["serving_default"]
    if keras == 0:
        path = str(source)
        signature = tf.saved_model.load(path).signatures["serving_default"]
        given = signature.structured_input_signature[1]
        return lambda: lite.from_saved_model(path, signature_keys=keys), given
    if keras == 2:
        import tf_keras as library
    else:
        import keras as library
    model = library.models.load_model(str(source), compile=False)
    if any(kind in source.name for kind in LOOPS) and any(each.shape[0] is None for each in model.inputs):
        given = [library.Input(each.shape[1:], 1, dtype=each.dtype, name=each.name) for each in model.inputs]
        fixed = library.models.clone_model(model, input_tensors=given if len(given) > 1 else given[0])
        fixed.set_weights(model.get_weights())
        model = fixed
    saved = target / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    lite.from_keras_model(model)._convert_keras_to_saved_model(str(saved))
    if not (saved / "saved_model.pb").exists():  # the converter freezes the model itself then
        return lambda: lite.from_keras_model(model), list(model.inputs)
    signature = tf.saved_model.load(str(saved)).signatures["serving_default"]
    given = signature.structured_input_signature[1]
    return lambda: lite.from_saved_model(str(saved), signature_keys=keys), given


def prepare(converter: Any, form: str, inputs: Any) -> None:
    """Set a converter to make a form; full-integer forms are calibrated with random samples."""
    import numpy as np
    import tensorflow as tf

    kind, optimizations = FORMS[form]
    converter.optimizations = [getattr(tf.lite.Optimize, name) for name in optimizations]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if not kind.startswith("int"):
        return
    int16 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if kind == "int8" else int16]

    def sample(tensor: Any, generator: Any) -> Any:
        dtype = np.dtype(tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.as_numpy_dtype)
        return generator.uniform(0, 9, [length or 1 for length in tensor.shape]).astype(dtype)

    def samples() -> Iterator[Any]:
        generator = np.random.default_rng(0)
        for _ in range(2):
            if isinstance(inputs, dict):
                yield {name: sample(inputs[name], generator) for name in sorted(inputs)}
            else:
                yield [sample(tensor, generator) for tensor in inputs]

    converter.representative_dataset = samples


@contextmanager
def loaded_once() -> Iterator[None]:
    """Let converters load a SavedModel once and not for each form, which takes half of the time."""
    from tensorflow.lite.python import lite

    kept: dict[str, Any] = {}
    load = lite._load

    def once(folder: Any, tags: Any = None) -> Any:
        if str(folder) not in kept:
            kept[str(folder)] = load(folder, tags)
        return kept[str(folder)]

    lite._load = once
    try:
        yield
    finally:
        lite._load = load


def store(folder: Path) -> None:
    """Write the sizes."""
    releases = sorted(
        (path.name for path in folder.iterdir() if path.name[0].isdigit()),
        key=lambda text: [int(number) for number in text.split(".")],
    )
    rows: list[tuple[str, ...]] = []
    for source in sorted((folder / "inputs").iterdir()):
        for form in FORMS:
            paths = [folder / release / source.name / f"{form}.tflite" for release in releases]
            sizes = [str(path.stat().st_size) if path.is_file() else "" for path in paths]
            if any(sizes):
                rows.append((source.name, form, *sizes))
    with TABLE.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([("network", "form", *releases), *rows])


def main() -> None:
    command, folder = sys.argv[1], Path(sys.argv[2])
    inputs = folder / "inputs"
    if command == "unpack":
        unpack(inputs)
    elif command == "store":
        store(folder)
    elif command == "convert":
        convert(inputs, sys.argv[3] if len(sys.argv) > 3 else "")
    else:
        convert_part(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])


if __name__ == "__main__":
    main()
