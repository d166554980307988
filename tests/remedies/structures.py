"""Proves the remedies about structures, files and comparisons."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from pathlib import Path

import numpy as np

from modelinspect.remedies import Language, Remedy
from tests.remedies.models import loaded, network
from tests.remedies.proving import causes, equal_weights, findings, follow, have, printed, proves, run, size
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_names
from tests.support.remedies import code_of


@proves(Remedy.NEWEST_HDF5)
def keras_loads_what_shrink_wrote_again() -> None:
    path = have("mlp/stripped.h5")
    follow(path, "tiny-model-overhead", Remedy.NEWEST_HDF5)
    assert size("smaller.h5") < size(path) - 5_000
    assert equal_weights(loaded(path), loaded("smaller.h5"))
    Path("smaller.h5").unlink()
    path = have("keras3_hdf5/nested.h5")
    follow(path, "tiny-model-overhead", Remedy.NEWEST_HDF5)
    assert equal_weights(loaded(path, "keras"), loaded("smaller.h5", "keras"))


@proves(Remedy.NO_TRACES)
def keras_loads_a_saved_model_without_functions() -> None:
    for name in ("saved_model/keras", "pruned_mlp/stripped/saved-model-keras"):
        path = have(name)
        follow(path, "traced-functions", Remedy.NO_TRACES)
        assert causes("smaller", path)["traced-functions"][0] < 0
        assert "traced-functions" not in causes("smaller") or not causes("smaller")["traced-functions"][1]
        assert size("smaller") < size(path) / 1.5
        assert equal_weights(loaded(path), loaded("smaller"))
        shutil.rmtree("smaller")


@proves(Remedy.PLAIN_INITIALIZERS)
def a_model_with_plain_initializers_keeps_its_weights_and_loses_the_text() -> None:
    for module, path in (("tf_keras", "words.h5"), ("keras", "words.keras")):
        keras = importlib.import_module(module)
        table = np.random.default_rng(4).normal(size=(40, 8)).astype("float32")
        layer = keras.layers.Embedding(
            40, 8, embeddings_initializer=keras.initializers.Constant(table.tolist()), name="words"
        )
        model = keras.Sequential(
            [keras.layers.Input((3,)), layer, keras.layers.Flatten(), keras.layers.Dense(1)]
        )
        model.save(path)
        follow(path, "embedded-data", Remedy.PLAIN_INITIALIZERS)
        made = f"smaller{Path(path).suffix}"
        assert "embedded-data" not in findings(made)
        assert size(made) < size(path) - 4_000
        assert equal_weights(loaded(path, module), loaded(made, module))


@proves(Remedy.WORDS_IN_A_FILE)
def a_vocabulary_in_a_file_is_an_asset_and_no_text() -> None:
    import keras

    words = [f"word{number}" for number in range(400)]
    Path("words.txt").write_text("\n".join(words))
    for name, vocabulary in (("list.keras", words), ("file.keras", "words.txt")):
        keras.Sequential(
            [keras.layers.Input((1,), dtype="string"), keras.layers.StringLookup(vocabulary=vocabulary)]
        ).save(name)
    printed("list.keras", "embedded-data", Remedy.WORDS_IN_A_FILE)
    assert "embedded-data" not in findings("file.keras")


@proves(Remedy.DELETE_DEBUG)
def a_saved_model_loads_without_its_debugging_information() -> None:
    import tensorflow as tf

    path = have("saved_model/affine")
    before = size(path)
    follow(path, "debug-info", Remedy.DELETE_DEBUG)
    assert "debug-info" not in causes(path)
    assert size(path) < before
    assert tf.saved_model.load(path).signatures


@proves(Remedy.LIST_TENSORS)
def the_tensors_that_stayed_float_are_listed() -> None:
    import keras

    model = keras.Sequential(
        [keras.Input((32,)), keras.layers.Dense(64, name="narrow"), keras.layers.Dense(64, name="wide")]
    )
    model.get_layer("narrow").quantize("int8")
    model.save("partly.keras")
    text = code_of(printed("partly.keras", "stayed-float", Remedy.LIST_TENSORS))
    shown = run_cli(*text.split()[1:])
    assert shown.code == 0
    assert "wide/kernel" in shown.text


@proves(Remedy.HALF_PRECISION)
def a_model_of_mixed_precision_is_stored_in_half_of_the_bytes() -> None:
    x = np.random.default_rng(1).normal(size=(4, 64)).astype("float32")
    for module, path in (("tf_keras", "mixed.h5"), ("keras", "mixed.keras")):
        keras = importlib.import_module(module)
        layers = [
            keras.layers.Input((64,)),
            keras.layers.Dense(128, dtype="mixed_float16"),
            keras.layers.BatchNormalization(dtype="mixed_float16"),
            keras.layers.Dense(64, dtype="mixed_float16"),
        ]
        model = keras.Sequential(layers)
        model.save(path)
        follow(path, "stayed-float", Remedy.HALF_PRECISION)
        made = f"smaller{Path(path).suffix}"
        assert "stayed-float" not in findings(made)
        assert size(made) < size(path) - 4 * 128 * 64 + 2_000
        half = loaded(made, module)
        assert {weight.dtype for weight in half.get_weights()} <= {np.dtype("float16"), np.dtype("float32")}
        assert np.allclose(half.predict(x, verbose=0), model.predict(x, verbose=0), atol=0.05)


@proves(Remedy.GET_FILES)
def an_artifact_with_all_its_files_misses_nothing() -> None:
    tfjs, prefix, saved = (
        have("tfjs/layers"),
        have("pruned_mlp/original/checkpoint"),
        have("pruned_mlp/original/saved-model-keras"),
    )
    for path, shard in ((tfjs, "*.bin"), (prefix, "*.data-*"), (saved, "variables/*.data-*")):
        assert "missing-data" not in findings(path)
        missing = next(Path(path).glob(shard))
        missing.rename("away")
        printed(path, "missing-data", Remedy.GET_FILES)
        Path("away").rename(missing)
        assert "missing-data" not in findings(path)


@proves(Remedy.SAVE_WITH_WEIGHTS)
def keras_saves_a_model_with_its_weights() -> None:
    import keras

    path = have("keras_zip/no_weights.keras")
    model = network(keras)
    follow(path, "missing-data", Remedy.SAVE_WITH_WEIGHTS, model=model)
    assert "missing-data" not in findings(path)
    assert equal_weights(model, keras.models.load_model(path))


@proves(Remedy.LOOK, Remedy.LOOK_AND_REPACK)
def hidden_bytes_are_shown_and_h5repack_leaves_them_behind() -> None:
    """Every fixture in which some are."""
    followed = {Remedy.LOOK: 0, Remedy.LOOK_AND_REPACK: 0}
    for name in (
        fixture_names(under="hdf5_structures")
        + fixture_names(under="unsafe")
        + fixture_names(under="keras_zip")
        + fixture_names(under="tflite")
    ):
        try:
            path = have(name, name.replace("/", "_"))
            text = findings(path).get("hidden-bytes")
        except OSError:
            continue
        if text is None:
            continue
        remedy = Remedy.LOOK_AND_REPACK if "h5repack" in text else Remedy.LOOK
        text = printed(path, "hidden-bytes", remedy)
        look = code_of(text).split("\n")[0]
        shown = run_cli(*look.split()[1:])
        assert shown.code in (0, 3), look  # 3: the artifact is damaged
        assert "free" in shown.text
        offset = re.search(r"--at 0x([0-9a-f]+)", look)
        assert offset is not None
        if remedy is Remedy.LOOK_AND_REPACK:
            run(code_of(text).split("\n")[1], Language.SHELL)
            (made,) = Path().glob("clean*")
            assert "hidden-bytes" not in findings(str(made)), name
            made.unlink()
        followed[remedy] += 1
    assert followed[Remedy.LOOK] >= 1
    assert followed[Remedy.LOOK_AND_REPACK] >= 3


@proves(Remedy.LOOK)
def a_model_that_is_written_again_has_no_hidden_bytes() -> None:
    import keras

    path = have("unsafe/twice.keras")
    printed(path, "hidden-bytes", Remedy.LOOK)
    network(keras).save("again.keras")
    assert "hidden-bytes" not in findings("again.keras")


@proves(Remedy.COMPARE_STORAGE, Remedy.COMPARE_CONTENTS)
def a_diff_says_what_is_the_same() -> None:
    before, after = have("pruned_mlp/stripped/model.h5"), have("pruned_mlp/stripped/model.keras")
    follow(after, "identical-weights", Remedy.COMPARE_STORAGE, before=before)
    text = code_of(printed(after, "identical-weights", Remedy.COMPARE_STORAGE, before=before))
    assert "4 same of all tensors" in run_cli(*text.split()[1:]).text
    import keras

    model = network(keras)
    os.environ["SOURCE_DATE_EPOCH"] = "1"
    model.save("one.keras")
    data = Path("one.keras").read_bytes()
    stamp = re.search(rb'"date_saved": "([^"]*)"', data)
    assert stamp is not None
    _rewrite("one.keras", "two.keras", stamp[1], b"2020-01-01@00:00:00")
    follow("two.keras", "build-noise", Remedy.COMPARE_CONTENTS, before="one.keras")
    text = code_of(printed("two.keras", "build-noise", Remedy.COMPARE_CONTENTS, before="one.keras"))
    assert "same" in run_cli(*text.split()[1:]).text


def _rewrite(path: str, made: str, old: bytes, new: bytes) -> None:
    """Copy an archive with other words in its members."""
    from zipfile import ZipFile

    with ZipFile(path) as source, ZipFile(made, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(old, new))
