"""Convert the recorded layer networks to full integers with TensorFlow, to show what its quantizers do.

usage: python benchmarks/accuracy/integer_layers.py FOLDER [PART]
       python benchmarks/accuracy/integer_layers.py FOLDER --store

The networks are those of `layer_networks.py`; their SavedModels are made again from what is recorded, so no
network is stored twice. ``--store`` writes TensorFlow's sizes into ``integer_layer_sizes.csv``, 0 where the
converter refused. A network that is converted is not converted again; after the converter ended the process,
the next run goes on with the next form.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy import converted_networks as converted  # noqa: E402
from benchmarks.accuracy import layer_networks as layers  # noqa: E402
from benchmarks.accuracy import recorded_networks as recorded  # noqa: E402
from benchmarks.accuracy.unseen_networks import named  # noqa: E402

SIZES = FOLDER / "integer_layer_sizes.csv"
FORMS = ("int8", "int16x8")


def sizes() -> dict[str, dict[str, int]]:
    """Return the sizes of TensorFlow's files by network and form; 0 where the converter refused."""
    found: dict[str, dict[str, int]] = {}
    with SIZES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["network"], {})[row["form"]] = int(row["size"])
    return found


def outcomes(folder: Path, names: Collection[str] | None = None) -> Iterator[layers.Outcome]:
    """Predict the full-integer forms that the converter makes of each network, or of those that are named."""
    for name, forms in sizes().items():
        if names is not None and name not in names:
            continue
        real = {f"tflite-{form}": size for form, size in forms.items() if size}
        path = folder / name / f"model{recorded.suffix(named(name))}"
        if not real:
            continue
        plan = {entry.option: entry for entry in mi.plan(path, only=tuple(real), downloads=False).options}
        for option, size in real.items():
            entry = plan.get(option)
            known = (entry.size, entry.basis, entry.error or 0.0) if entry is not None else (0, "", 1.0)
            yield layers.Outcome(name, path.suffix, option, known[0], size, known[1], known[2])


def convert(saved: Path, target: Path, form: str) -> None:
    """Convert one network to one form, or write down why that fails."""
    import tensorflow as tf

    refused = target.with_suffix(".refused")
    if target.is_file() or refused.is_file():
        return
    refused.write_text("ended the process", encoding="utf-8")
    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=["serving_default"])
        converted.prepare(converter, *converted.FORMS[form], str(saved))
        target.write_bytes(converter.convert())
    except Exception as error:  # noqa: BLE001 - the converter raises errors of many kinds; each is a refusal, kept with its text
        refused.write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        return
    refused.unlink()


def store(folder: Path) -> None:
    """Write the sizes of all networks that were converted."""
    rows = []
    for name, floats in layers.sizes().items():
        paths = {form: folder / f"{name}.{form}.tflite" for form in FORMS}
        if floats["float32"] and all(
            path.is_file() or path.with_suffix(".refused").is_file() for path in paths.values()
        ):
            rows += [
                (name, form, path.stat().st_size if path.is_file() else 0) for form, path in paths.items()
            ]
    with SIZES.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([("network", "form", "size"), *rows])


def main() -> None:
    folder = Path(sys.argv[1])
    if "--store" in sys.argv:
        store(folder)
        return
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    folder.mkdir(parents=True, exist_ok=True)
    with layers.unpacked() as networks:
        for name, floats in layers.sizes().items():
            if part in name and floats["float32"] and (networks / name / "saved").is_dir():
                for form in FORMS:
                    convert(networks / name / "saved", folder / f"{name}.{form}.tflite", form)
                print(name, flush=True)


if __name__ == "__main__":
    main()
