"""Draw networks that no rule was written for, in Keras 2 and Keras 3, and convert each with TensorFlow.

usage: python benchmarks/accuracy/fresh_networks.py KERAS FOLDER [PART] [--seeds FIRST LAST]
           [--idioms | --public]
       python benchmarks/accuracy/fresh_networks.py FOLDER --store

`fresh_kinds.py` and `fresh_graphs.py` build them, independently of `unseen_networks.py`; ``--public`` takes
`public_kinds.py` instead, which was written later and independently of both, and ``--idioms`` `idioms.py`.
Keras 2 saves `.h5`, Keras 3 `.keras`; of every third network that is not of `public_kinds.py` the SavedModel
is stored too. Weights come from numpy alone (`fill`), so a test makes the files again without TensorFlow:
``--store`` writes them without weights into ``fresh_bases.tar.xz`` and TensorFlow's sizes into
``fresh_sizes.csv``. Networks that are done are not made again, so the run can be stopped at any time. Seeds
under 100 calibrate the stated errors and no rule was written for them; seeds from 100 are free for
development.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy.fresh_graphs import GRAPHS  # noqa: E402
from benchmarks.accuracy.fresh_kinds import KINDS  # noqa: E402
from benchmarks.accuracy.idioms import IDIOMS  # noqa: E402
from benchmarks.accuracy.public_kinds import PUBLIC  # noqa: E402
from benchmarks.accuracy.signature_networks import DATA, _cleared  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network, named, weight  # noqa: E402

ALL = {**KINDS, **GRAPHS}
BUILDERS = {**ALL, **IDIOMS, **PUBLIC}
WEIGHTS = "model.weights.h5"
BASES = "fresh_bases.tar.xz"
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
LARGEST = 1 << 19
"""Larger graphs are not stored, in bytes."""


def networks(first: int = 0, last: int = 2, kinds: Iterable[str] = tuple(ALL)) -> Iterator[Network]:
    """Yield networks, seed after seed, so any part of the run has every kind."""
    for seed in range(first, last + 1):
        for kind in sorted(kinds, key=lambda kind: BUILDERS[kind][0] == "recurrent"):
            for keras in (2, 3):
                yield Network(kind, keras, seed)


def is_saved_too(network: Network) -> bool:
    """Return whether a network's SavedModel is stored as well."""
    if network.kind in PUBLIC:
        return False
    return network.kind in IDIOMS or (list(ALL).index(network.kind) + network.seed) % 3 == 0


def forms_of(network: Network) -> list[str]:
    """Return the forms that a network is converted to: float32, one whose weights are stored otherwise, and a
    full-integer one.

    What is recurrent has no full-integer form: the converter ends the process, or calibrates for minutes.
    """
    is_public = network.kind in PUBLIC  # these may become more, so their place does not count
    place = zlib.crc32(network.kind.encode()) % 8 if is_public else list(BUILDERS).index(network.kind)
    place += network.seed + network.keras
    others, integers = (
        ("float16", "dynamic-int8", "float32-sparse", "dynamic-int8-sparse"),
        (
            "int8",
            "int16x8",
        ),
    )
    forms = ["float32", others[place % len(others)]]
    return forms if BUILDERS[network.kind][0] == "recurrent" else [*forms, integers[place // len(others) % 2]]


def build(network: Network, library: Any) -> Any:
    """Return the network, not trained."""
    library.backend.clear_session()
    return BUILDERS[network.kind][1](library, random.Random(f"fresh/{network.kind}/{network.seed}"))


def suffix(network: Network) -> str:
    """Return how the file of a network ends."""
    return ".h5" if network.keras == 2 else ".keras"


def fill(path: Path, network: Network) -> None:
    """Write a network's weights into the file that Keras saved."""
    if network.keras == 2:
        with h5py.File(path, "r+") as file:
            _fill(file["model_weights"], network)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    held = io.BytesIO(members[WEIGHTS])
    with h5py.File(held, "r+") as file:
        _fill(file, network)
    members[WEIGHTS] = held.getvalue()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _fill(group: h5py.Group, network: Network) -> None:
    """Give every variable values that depend on its place and its shape; where names are stored, moving
    variances are positive.
    """

    def one(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size:
            values = weight(network, name, item.shape)
            item[...] = (
                values
                if network.keras == 2 or len(item.shape) != 1 or network.is_fresh
                else np.abs(values) + np.float32(0.5)
            )

    group.visititems(one)


def convert(network: Network, library: Any, folder: Path) -> None:
    """Save a network, fill it, load it and convert it; a form that the converter refuses is not there.

    The SavedModel is the one that `TFLiteConverter.from_keras_model` writes for itself; it is written once
    for all forms.
    """
    import tensorflow as tf

    refused, trying = folder.with_name(folder.name + ".refused"), folder.with_name(folder.name + ".trying")
    if trying.is_file():  # the converter ended the process
        refused.write_text((refused.read_text() if refused.is_file() else "") + trying.read_text() + "\n")
    without = refused.read_text().split() if refused.is_file() else []
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path, saved = folder / f"model{suffix(network)}", folder / "saved"
    build(network, library).save(str(path), **({"include_optimizer": False} if network.keras == 2 else {}))
    fill(path, network)
    model = library.models.load_model(str(path), compile=False)
    tf.lite.TFLiteConverter.from_keras_model(model)._convert_keras_to_saved_model(str(saved))
    for form in forms_of(network):
        kind, optimizations = FORMS[form]
        if form in without:
            continue
        trying.write_text(form)
        try:
            converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
            prepare(converter, kind, optimizations, model)
            (folder / f"{form}.tflite").write_bytes(converter.convert())
        except Exception as error:  # noqa: BLE001  # of many kinds, all of them a refusal
            print(network.name, form, type(error).__name__, str(error)[-160:].replace("\n", " "), flush=True)
            if form == "float32":
                break
    trying.unlink(missing_ok=True)
    (folder / "done").touch()


def prepare(converter: Any, kind: str, optimizations: tuple[str, ...], model: Any) -> None:
    """Set a converter to make a form; full-integer forms are calibrated with random samples."""
    import tensorflow as tf

    converter.optimizations = [getattr(tf.lite.Optimize, name) for name in optimizations]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if not kind.startswith("int"):
        return
    int16 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if kind == "int8" else int16]

    def samples() -> Iterator[list[Any]]:
        generator = np.random.default_rng(0)
        for _ in range(2):
            given = []
            for tensor in model.inputs:
                shape = [1 if length is None else length for length in tensor.shape]
                dtype = np.dtype(
                    tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.as_numpy_dtype
                )
                given.append(generator.uniform(0, 9, shape).astype(dtype))
            yield given

    converter.representative_dataset = samples


def attempt(network: Network, library: Any, target: Path) -> None:
    """Convert a network once, and write down why where that fails."""
    if (target / "done").exists() or (target / "failed").exists():
        return
    try:
        convert(network, library, target)
    except Exception as error:  # noqa: BLE001  # a network or a layer that this library cannot build
        (target / "failed").write_text(f"{type(error).__name__}: {error}"[:400], encoding="utf-8")
        print(network.name, "FAILED", type(error).__name__, str(error)[:200].replace("\n", " "), flush=True)
    print(network.name, flush=True)


def store(folder: Path) -> None:
    """Write the files of networks without their weights, and the sizes of their forms; 0 where the converter
    refused.

    Networks that were stored and are not in the folder stay. Similar networks are next to each other, because
    that compresses best.
    """
    done = sorted(path.parent for path in folder.glob("*/done"))
    names = {source.name for source in done}
    with (FOLDER / "fresh_sizes.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            (row["network"], row["form"], int(row["size"]))
            for row in csv.DictReader(file)
            if row["network"] not in names
        ]
    with tarfile.open(FOLDER / BASES) as archive:
        held = {
            member.name: file.read()
            for member in archive
            if member.name.split("/")[0] not in names and (file := archive.extractfile(member)) is not None
        }
    for source in done:
        network = named(source.name)
        paths = {form: source / f"{form}.tflite" for form in forms_of(network)}
        rows += [
            (network.name, form, path.stat().st_size if path.is_file() else 0) for form, path in paths.items()
        ]
        if any(path.is_file() for path in paths.values()):  # what the converter refuses is not predicted
            held.update({f"{network.name}/{name}": data for name, data in members(source, network)})
    with tarfile.open(FOLDER / BASES, "w:xz", preset=9) as archive:
        for name, data in sorted(held.items(), key=_place):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with (FOLDER / "fresh_sizes.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [("network", "form", "size"), *sorted(rows, key=lambda row: row[0])]
        )


def _place(item: tuple[str, bytes]) -> tuple[int, str, str]:
    folder, _, rest = item[0].partition("/")
    return named(folder).keras, rest, folder


def members(source: Path, network: Network) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a network, with zeros for weights."""
    path = source / f"model{suffix(network)}"
    if network.keras == 2:
        data = path.read_bytes()
        yield path.name, _without_weights(data)
    else:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        data = members[WEIGHTS]
        for name, each in members.items():
            yield f"{path.name}/{name}", _without_weights(each) if name == WEIGHTS else each
    saved = source / "saved"
    if is_saved_too(network) and (saved / "saved_model.pb").stat().st_size <= LARGEST:
        places = _places(saved, data)
        for name in ("saved_model.pb", "variables/variables.index", DATA):
            yield f"saved/{name}", _cleared(saved) if name == DATA else (saved / name).read_bytes()
        yield "places.json", json.dumps(places, indent=0, sort_keys=True).encode()


def _places(saved: Path, weights: bytes) -> dict[str, str]:
    """Return which dataset of the weights each variable of a SavedModel equals, by the variable's name."""
    held: dict[bytes, str] = {}

    def one(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == np.float32:
            held.setdefault(item[()].tobytes(), name)

    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(one)
    data = (saved / DATA).read_bytes()
    places = {}
    for tensor in mi.inspect(saved).tensors:
        for extent in tensor.extents:
            name = (
                held.get(data[extent.offset : extent.offset + extent.size]) if extent.member == DATA else None
            )
            if name is not None:
                places[tensor.path] = name
    return places


def fill_saved(saved: Path, weights: bytes, places: Mapping[str, str]) -> None:
    """Write the weights of a filled file into a SavedModel's checkpoint."""
    with h5py.File(io.BytesIO(weights)) as held, (saved / DATA).open("r+b") as file:
        for tensor in mi.open(saved / "variables" / "variables").tensors:
            if tensor.path in places:
                (extent,) = tensor.extents
                file.seek(extent.span.offset)
                file.write(held[places[tensor.path]][()].tobytes())


def _without_weights(data: bytes) -> bytes:
    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        file.visititems(_clear)
    return held.getvalue()


def _clear(_: str, item: object) -> None:
    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size:
        item[...] = 0


def main() -> None:
    if "--store" in sys.argv:
        store(Path(sys.argv[1]))
        return
    keras, folder = int(sys.argv[1]), Path(sys.argv[2])
    if keras == 2:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tf_keras as library
    else:
        import keras as library
    part = sys.argv[3] if len(sys.argv) > 3 and not sys.argv[3].startswith("--") else ""
    place = sys.argv.index("--seeds") + 1 if "--seeds" in sys.argv else 0
    first, last = (int(sys.argv[place]), int(sys.argv[place + 1])) if place else (0, 2)
    kinds = IDIOMS if "--idioms" in sys.argv else PUBLIC if "--public" in sys.argv else ALL
    for network in networks(first, last, kinds):
        if network.keras == keras and part in network.name:
            attempt(network, library, folder / network.name)


if __name__ == "__main__":
    main()
