"""Exports networks as SavedModels without a configuration, and converts each with
TFLiteConverter.from_saved_model.

usage: python benchmarks/accuracy/signature_networks.py WAY FOLDER [PART] [--seeds BASE]
       python benchmarks/accuracy/signature_networks.py FOLDER --store

WAY is how a SavedModel comes to be: ``export`` (Keras 3, the kinds of unseen_networks.py), ``saved``
(tf_keras, its format of TensorFlow, without keras_metadata.pb) or ``module`` (tf.Module and tf.function).
Weights come from numpy only (`fill`), so a test makes the SavedModels again without TensorFlow:
``--store`` writes them without weights into ``signature_bases.tar.xz``, and the sizes of TensorFlow's files
into ``signature_sizes.csv``.
"""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy.signature_modules import MODULES  # noqa: E402
from benchmarks.accuracy.unseen_networks import FORMS, KINDS, Network, weight  # noqa: E402

WAYS = {"module": 1, "saved": 2, "export": 3}
"""How a SavedModel is made, and the number that stands for it where others have the version of Keras."""
SEEDS = {"export": 1.0, "saved": 0.5}
"""The share of the seeds of unseen_networks.py that each way draws."""
LARGEST = 1 << 20
"""The bytes of the largest graph that is stored."""
DATA = "variables/variables.data-00000-of-00001"


def networks(base: int = 0) -> Iterator[Network]:
    """Yield a network of every kind, way and seed."""
    for way, share in SEEDS.items():
        for kind, (_, seeds) in KINDS.items():
            for seed in range(base, base + max(round(seeds * share), 1)):
                yield Network(kind, WAYS[way], seed)
    for kind, (_, seeds) in MODULES.items():
        for seed in range(base, base + seeds):
            yield Network(kind, WAYS["module"], seed)


def fill(folder: Path, network: Network) -> None:
    """Write a network's weights into the SavedModel's checkpoint."""
    artifact = mi.open(folder)
    names = artifact.facts["variable_names"]
    with (folder / DATA).open("r+b") as file:
        for tensor in artifact.tensors:
            name = names.get(tensor.path) if isinstance(names, dict) else None
            if name is not None and tensor.dtype.name == "float32":
                (extent,) = tensor.extents
                file.seek(extent.span.offset)
                file.write(weight(network, name, tensor.shape).tobytes())


def assign(model: Any, network: Network) -> None:
    """Give the variables of a Keras model the weights that `fill` writes, by their names."""
    for variable in model.weights:
        name = variable.path if network.keras == 3 else variable.name.split(":")[0]
        if "float" in str(variable.dtype):
            variable.assign(weight(network, name, tuple(variable.shape)))


def export(network: Network, library: Any, target: Path) -> None:
    """Make a network with its weights and write it as a SavedModel."""
    draw = random.Random(f"{network.kind}/{network.keras}/{network.seed}")
    if network.keras == WAYS["module"]:
        import tensorflow as tf

        module, signatures = MODULES[network.kind][0](tf, draw)
        for variable in module.variables:
            variable.assign(weight(network, variable.name.split(":")[0], tuple(variable.shape)))
        tf.saved_model.save(module, str(target), signatures=signatures)
        return
    library.backend.clear_session()
    model = KINDS[network.kind][0](library, random.Random(f"{network.kind}/{network.seed}"), network.kind)
    assign(model, network)
    if network.keras == 3:
        import tensorflow as tf

        fixed = draw.random() < 0.25 and len(model.inputs) == 1
        given = [
            tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name) for tensor in model.inputs
        ]
        model.export(str(target), verbose=False, **({"input_signature": given} if fixed else {}))
    else:
        model.save(str(target), save_format="tf", include_optimizer=False)
        (target / "keras_metadata.pb").unlink()


def convert(network: Network, library: Any, folder: Path) -> None:
    """Export a network and convert it; a form that the converter refuses is not there."""
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "saved"
    shutil.rmtree(target, ignore_errors=True)
    export(network, library, target)
    for form, (optimizations, halved) in FORMS.items():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(target))
        converter.optimizations = [getattr(tf.lite.Optimize, name) for name in optimizations]
        if halved:
            converter.target_spec.supported_types = [tf.float16]
        try:
            (folder / f"{form}.tflite").write_bytes(converter.convert())
        except Exception as error:  # noqa: BLE001  # of many kinds, all of them a refusal
            print(network.name, form, str(error)[:100].replace("\n", " "))
            break
    (folder / "done").touch()


def store(folder: Path) -> None:
    """Write the SavedModels of all networks without their weights, and the sizes of their forms; 0 where the
    converter refused.

    Graphs that are larger than ``LARGEST`` are left out.
    """
    rows: list[tuple[str, str, int]] = []
    with tarfile.open(
        FOLDER / "signature_bases.tar.xz", "w:xz", preset=6
    ) as archive:  # graphs that are much alike follow one another
        for done in sorted(folder.glob("*/done")):
            source = done.parent / "saved"
            if (source / "saved_model.pb").stat().st_size > LARGEST:
                continue
            for name in ("saved_model.pb", "variables/variables.index", DATA):
                data = _cleared(source) if name == DATA else (source / name).read_bytes()
                member = tarfile.TarInfo(f"{done.parent.name}/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            for form in FORMS:
                path = done.parent / f"{form}.tflite"
                rows.append((done.parent.name, form, path.stat().st_size if path.is_file() else 0))
    with (FOLDER / "signature_sizes.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([("network", "form", "size"), *rows])


def _cleared(source: Path) -> bytes:
    """Return the checkpoint's data with zeros for weights."""
    data = bytearray((source / DATA).read_bytes())
    for tensor in mi.inspect(source).tensors:
        for extent in tensor.extents:
            if extent.member == DATA and str(tensor.dtype) == "float32":
                data[extent.offset : extent.offset + extent.size] = bytes(extent.size)
    return bytes(data)


def main() -> None:
    if "--store" in sys.argv:
        store(Path(sys.argv[1]))
        return
    way, folder = sys.argv[1], Path(sys.argv[2])
    if way == "saved":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tf_keras as library
    else:
        import keras as library
    part = sys.argv[3] if len(sys.argv) > 3 and not sys.argv[3].startswith("--") else ""
    base = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 0
    for network in networks(base):
        if (
            network.keras == WAYS[way]
            and part in network.name
            and not (folder / network.name / "done").exists()
        ):
            convert(network, library, folder / network.name)
            print(network.name, flush=True)


if __name__ == "__main__":
    main()
