"""Proves the commands of `plan` that Python runs: they make a file of the printed size, which loads."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import modelinspect as mi
from modelinspect.remedies import Language, Remedy
from tests.remedies.models import loaded, network, outputs
from tests.remedies.proving import equal_weights, have, proves, run

TFLITE = (
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic-int8",
    "tflite-sparse",
    "tflite-dynamic-int8-sparse",
)


def _options(path: str, *wanted: str) -> dict[str, Any]:
    found = {entry.option: entry for entry in mi.plan(path, only=wanted).options}
    assert set(found) == set(wanted), mi.plan(path, only=wanted).left_out
    return found


def _made(code: str, language: Language = Language.PYTHON, **names: Any) -> Path:
    """Run lines of Python or a shell; return the one file that comes of it, or the last one written."""
    before = set(Path().iterdir())
    run(code, language, **names)
    return max(set(Path().iterdir()) - before, key=lambda path: path.stat().st_mtime_ns)


@proves(Remedy.REPACK_HDF5, Remedy.REPACK_GZIP_HDF5)
def hdf5_written_again_has_the_printed_size_and_the_same_values() -> None:
    for name in (
        "mlp/original.h5",
        "pruned_mlp/stripped/model.weights.h5",
        "pruned_layers/cnn/stripped/model.h5",
        "keras3_hdf5/nested.h5",
    ):
        path = Path(have(name))
        for option, entry in _options(str(path), "hdf5-gzip", "hdf5-repack").items():
            made = _made(entry.command)
            assert made.stat().st_size == entry.size < path.stat().st_size, option
            with h5py.File(path) as old, h5py.File(made) as new:
                assert _same(old, new)
            if name in ("mlp/original.h5", "keras3_hdf5/nested.h5"):
                keras = "keras" if "keras3" in name else "tf_keras"
                assert equal_weights(loaded(str(path), keras), loaded(str(made), keras))
            made.unlink()


def _same(old: Any, new: Any) -> bool:
    """Tell whether two files have the same objects, attributes and elements."""
    found = []

    def compare(place: str, item: Any) -> None:
        found.append(set(item.attrs) == set(new[place].attrs))
        if isinstance(item, h5py.Dataset):
            found.append(np.array_equal(item[()], new[place][()]))

    old.visititems(compare)
    return all(found) and len(found) > 4


@proves(Remedy.CANONICAL_HDF5)
def canonical_zeros_compress_to_the_printed_size() -> None:
    for name in ("mlp/stripped.h5", "pruned_mlp/stripped/model.weights.h5", "pruned_mlp/wrapped/model.h5"):
        path = have(name)
        (entry,) = _options(path, "canonical-zeros").values()
        before = Path(path).read_bytes()
        made = _made(entry.command)
        assert made.name.endswith(".gz")
        assert made.stat().st_size == entry.size, name
        assert Path(path).read_bytes() == before
        canonical = made.with_suffix("")
        assert canonical.read_bytes() == gzip.decompress(made.read_bytes())
        assert "negative-zeros" not in {finding.rule for finding in mi.explain(canonical).findings}
        with h5py.File(path) as old, h5py.File(canonical) as new:
            assert _same(old, new)
        made.unlink()
        canonical.unlink()


@proves(Remedy.POSITIVE_ZEROS, Remedy.POSITIVE_ZEROS_FIRST)
def canonical_zeros_of_other_formats_are_nearly_as_small_as_printed() -> None:
    from tests.remedies.models import convert

    for name in ("pruned_mlp/stripped/model.keras", "pruned_mlp/stripped/float32.tflite"):
        path = have(name)
        (entry,) = _options(path, "canonical-zeros").values()
        model = run(entry.command, Language.PYTHON, model=loaded(have("pruned_mlp/stripped/model.h5")))[
            "model"
        ]
        if path.endswith(".keras"):
            model.save("again.keras")
        else:
            convert(model, "again.tflite")
        size = len(gzip.compress(Path(f"again{Path(path).suffix}").read_bytes(), 9))
        assert abs(size - entry.size) <= 0.01 * entry.size, (name, size, entry.size)


@proves(Remedy.DEFLATE_KERAS)
def a_deflated_archive_has_the_printed_size() -> None:
    for name in ("keras_zip/model.keras", "pruned_mlp/wrapped/model.keras"):
        (entry,) = _options(have(name), "zip-deflate").values()
        made = _made(entry.command, Language.SHELL)
        assert made.stat().st_size == entry.size
        made.unlink()


@proves(Remedy.SAVE_UNCOMPILED, Remedy.STRIP)
def saved_models_have_the_printed_sizes() -> None:
    for name, wanted in (
        ("pruned_mlp/original/model.h5", ("strip-optimizer",)),
        ("pruned_mlp/original/model.keras", ("strip-optimizer",)),
        ("pruned_mlp/wrapped/model.h5", ("strip-optimizer", "strip-pruning")),
        ("pruned_mlp/wrapped/model.keras", ("strip-pruning",)),
        ("keras_zip/model.keras", ("strip-optimizer",)),
        ("keras3_hdf5/nested.h5", ("strip-optimizer",)),
    ):
        path = have(name)
        for entry in _options(path, *wanted).values():
            made = _made(entry.command)
            size = made.stat().st_size
            assert abs(size - entry.size) <= (entry.error or 0) * size, (name, entry.option, entry.size, size)
            made.unlink()


@proves(Remedy.SAVE_WEIGHTS_UNCOMPILED, Remedy.STRIP_WEIGHTS)
def saved_weights_have_the_printed_sizes() -> None:
    for name, model, wanted in (
        ("pruned_mlp/original/model.weights.h5", "pruned_mlp/original/model.h5", "strip-optimizer"),
        ("pruned_mlp/wrapped/model.weights.h5", "pruned_mlp/wrapped/model.h5", "strip-pruning"),
    ):
        (entry,) = _options(have(name), wanted).values()
        made = _made(entry.command, model=loaded(have(model)))
        size = made.stat().st_size
        assert abs(size - entry.size) <= (entry.error or 0) * size, (name, entry.size, size)


@proves()
def tflite_forms_have_the_printed_sizes() -> None:
    """Within the error that is stated; of a pruned network, of a SavedModel, within wrappers, and of weights
    with their model.
    """
    for name, wanted in (
        ("pruned_mlp/original/model.h5", TFLITE[:3]),
        ("pruned_mlp/stripped/model.keras", TFLITE[1:2]),
        ("pruned_layers/cnn/stripped/model.h5", TFLITE),
        ("pruned_mlp/stripped/saved-model-keras", TFLITE[3:4]),
        ("pruned_mlp/wrapped/model.h5", TFLITE[:1]),
        ("pruned_mlp/stripped/float32.tflite", TFLITE[2:3]),
    ):
        path = have(name)
        model = loaded(have("pruned_mlp/stripped/model.h5", "own.h5"))
        for entry in _options(path, *wanted).values():
            made = _made(entry.command, model=model)
            size = made.stat().st_size
            assert made.suffix == ".tflite"
            assert abs(size - entry.size) <= (entry.error or 0) * size, (name, entry.option, entry.size, size)
            if "cnn" not in name:
                assert outputs(str(made), np.zeros((1, 10), "f4")).shape == (1, 10)
            made.unlink()


@proves()
def keras_3_models_and_exports_convert_as_printed() -> None:
    import keras

    network(keras).save("own.h5")
    for name in ("keras_zip/model.keras", "own.h5", "saved_model_keras3/exported"):
        path = have(name) if "/" in name else name
        found = mi.plan(path, only=TFLITE[:2]).options
        for entry in found:
            made = _made(entry.command)
            assert abs(made.stat().st_size - entry.size) <= (entry.error or 0) * made.stat().st_size, (
                name,
                entry.option,
                entry.size,
            )
            made.unlink()
        assert found or name != "keras_zip/model.keras"


@proves(Remedy.SAVE_COPY, Remedy.WRITE_CLONE, Remedy.STRIP_CHECKPOINT)
def folders_are_saved_with_about_the_printed_sizes() -> None:
    """What is saved of a SavedModel or a checkpoint is known less well, and `plan` tells it where it is asked
    for by name.
    """
    for name, option in (
        ("pruned_mlp/original/saved-model-keras", "strip-optimizer"),
        ("pruned_mlp/original/checkpoint", "strip-optimizer"),
        ("pruned_mlp/wrapped/checkpoint", "strip-pruning"),
    ):
        path = have(name, name.replace("/", "_"))
        (entry,) = _options(path, option).values()
        stage = name.split("/")[1]
        before = set(Path().iterdir())
        run(entry.command, Language.PYTHON, model=loaded(have(f"pruned_mlp/{stage}/model.h5", f"{stage}.h5")))
        new = [made for made in set(Path().iterdir()) - before if not made.name.endswith(".h5")]
        real = sum(
            file.stat().st_size
            for made in new
            for file in ([made] if made.is_file() else made.rglob("*"))
            if file.is_file()
        )
        assert abs(real - entry.size) <= (entry.error or 0) * real, (name, entry.size, real, entry.error)
        for made in new:
            shutil.rmtree(made) if made.is_dir() else made.unlink()
