"""Files of the corpus, which others made, load as before with the real loaders after shrink."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from tests.support.corpus import corpus_file

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.corpus]

Values = dict[str, Any]


def seeded(shape: Any, dtype: Any) -> Any:
    """Return inputs of a shape, with 2 or 1 where it is open."""
    random = np.random.default_rng(0)
    size = [
        2 if index == 0 and (each is None or each < 1) else max(each or 1, 1)
        for index, each in enumerate(shape)
    ]
    if np.issubdtype(dtype, np.floating):
        return random.random(size).astype(dtype)
    return random.integers(0, 2, size).astype(dtype)


def by_keras(path: Path) -> Values:
    """Return weights, and outputs, of a model that the Keras loads which wrote it."""
    version = str(mi.open(path).facts.get("keras_version", ""))
    keras = import_module("tf_keras" if version.startswith("2") else "keras")
    model = keras.models.load_model(path, compile=False)
    inputs = [seeded(each.shape, getattr(each.dtype, "name", each.dtype)) for each in model.inputs]
    answers = model(inputs if len(inputs) > 1 else inputs[0])
    found = {f"weight {number}": each for number, each in enumerate(model.get_weights())}
    answers = answers if isinstance(answers, list | tuple) else [answers]
    return found | {f"output {number}": np.asarray(each) for number, each in enumerate(answers)}


def by_h5py(path: Path) -> Values:
    """Return every dataset and attribute."""
    import h5py

    found: Values = {}

    def visit(name: str, item: Any) -> None:
        found.update({f"{name}@{key}": value for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    return found


def by_tflite(path: Path) -> Values:
    """Return what the interpreter computes, for every signature or for the model's own inputs."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(path), experimental_preserve_all_tensors=False)
    keys = sorted(interpreter.get_signature_list())
    found: Values = {}
    for key in keys:
        runner = interpreter.get_signature_runner(key)
        inputs = {
            name: seeded(each["shape"], each["dtype"]) for name, each in runner.get_input_details().items()
        }
        found |= {f"{key}/{name}": value for name, value in runner(**inputs).items()}
    if not keys:
        interpreter.allocate_tensors()
        for each in interpreter.get_input_details():
            interpreter.set_tensor(each["index"], seeded(each["shape"], each["dtype"]))
        interpreter.invoke()
        for number, each in enumerate(interpreter.get_output_details()):
            found[f"output {number}"] = interpreter.get_tensor(each["index"])
    return found


def by_session(path: Path) -> Values:
    """Return all variables of a SavedModel and what its signatures of numbers answer, in a session."""
    import tensorflow as tf

    found: Values = {}
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        for key, signature in sorted(meta.signature_def.items()):
            places = {name: graph.get_tensor_by_name(info.name) for name, info in signature.inputs.items()}
            kinds = {name: place.dtype for name, place in places.items()}
            if not kinds or tf.string in kinds.values():
                continue
            feeds = {}
            for name, place in places.items():
                sizes = place.shape.as_list() if place.shape.rank is not None else [1]
                feeds[place] = seeded(sizes, kinds[name].as_numpy_dtype)
            for name, info in signature.outputs.items():
                found[f"{key}/{name}"] = session.run(info.name, feeds)
    assert found
    return found | by_reader(path / "variables" / "variables.index")


def by_reader(path: Path) -> Values:
    """Return every variable of a checkpoint."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path.with_suffix("")))
    return {key: reader.get_tensor(key) for key in sorted(reader.get_variable_to_shape_map())}


_TINY, _LITERT = "git/mlcommons+tiny", "git/google-ai-edge+LiteRT"
_WAKE = "benchmark/training/streaming_wakeword/trained_models"
_IRIS = (
    "git/tensorflow+tfx/86bbd368b247/tfx/examples/iris/iris_native_keras_custom_splits/.temp/7/iris_tuning"
)
_SERVING = "tensorflow_serving/servables/tensorflow/testdata"
FILES: list[tuple[str, Callable[[Path], Values]]] = [
    (f"{_TINY}/76413def4cd0/{_WAKE}/str_ww_model.h5", by_keras),
    (f"{_TINY}/859b3b381dc6/{_WAKE}/str_ww_model.h5", by_keras),
    (f"{_TINY}/HEAD/{_WAKE}/str_ww_ref_model.h5", by_keras),
    ("git/promptfoo+modelaudit/HEAD/tests/assets/samples/keras/safe_model.h5", by_h5py),
    ("extracted/sleepecg==0.6.0/ws-gru-mesa.zip/classifier.keras", by_keras),
    ("extracted/sleepecg==0.6.0/wrn-gru-mesa.zip/classifier.keras", by_keras),
    ("extracted/sleepecg==0.6.0/ws-gru-mesa.zip/classifier.weights.h5", by_h5py),
    ("extracted/sleepecg==0.6.0/wrn-gru-mesa-weighted.zip/classifier.weights.h5", by_h5py),
    ("apt/hdf5==1.10.8+repack1-1/tools/testfiles/tsaf.h5", by_h5py),
    ("apt/hdf5==1.10.8+repack1-1/test/le_data.h5", by_h5py),
    (f"git/tensorflow+serving/HEAD/{_SERVING}/saved_model_half_plus_two_cpu/00000123", by_session),
    (f"git/tensorflow+serving/HEAD/{_SERVING}/saved_model_half_plus_two_mlmd/00000123", by_session),
    (f"git/tensorflow+serving/HEAD/{_SERVING}/saved_model_half_plus_three/00000123", by_session),
    (
        f"git/tensorflow+serving/626891cc5f17/{_SERVING}/saved_model_half_plus_two_regress_only/00000123",
        by_session,
    ),
    (
        f"git/tensorflow+serving/HEAD/{_SERVING}/saved_model_half_plus_two_mkl/00000123/variables/variables.index",
        by_reader,
    ),
    ("pip/basic_pitch==0.4.0/basic_pitch/saved_models/icassp_2022/nmp", by_session),
    (f"{_IRIS}/trial_1cbaf13c352c7c7aeb70574ac4e5548b/checkpoints/epoch_0/checkpoint.index", by_reader),
    (f"{_TINY}/HEAD/benchmark/training/visual_wake_words/trained_models/vww_96_int8.tflite", by_tflite),
    (
        f"{_TINY}/HEAD/benchmark/training/image_classification/trained_models/pretrainedResnet.tflite",
        by_tflite,
    ),
    (f"{_LITERT}/HEAD/litert/test/testdata/torchaudio_conformer.tflite", by_tflite),
    (f"{_LITERT}/HEAD/litert/test/testdata/ff.tflite", by_tflite),
    (f"{_LITERT}/HEAD/litert/js/packages/core/testdata/multi_signature_model.tflite", by_tflite),
    (
        f"{_LITERT}/cfc768386cec/tests/recommendation/android/app/src/main/assets/recommendation_rnn_i10o100.tflite",
        by_tflite,
    ),
    (f"{_LITERT}/HEAD/litert/test/testdata/qwen_fc_blockwise_quantized.tflite", by_tflite),
]
"""Files that their loader loads, of every format that has such files in the corpus."""


def digests(path: Path) -> dict[str, str]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files if each.is_file()}


@pytest.mark.parametrize(
    ("name", "load"), FILES, ids=[name.rpartition("testdata/")[2][-60:] for name, _ in FILES]
)
def test_a_file_of_the_corpus_loads_as_before(
    name: str, load: Callable[[Path], Values], tmp_path: Path
) -> None:
    path = corpus_file(name)
    before = digests(path)
    after = tmp_path / path.name
    report = mi.shrink(path, after)
    assert report.after is not None, report.reason
    assert report.after.size < report.before.size
    old, new = load(path), load(after)
    assert old.keys() == new.keys() != set()
    for key, value in old.items():
        np.testing.assert_array_equal(value, new[key])
        assert np.asarray(value).dtype == np.asarray(new[key]).dtype
    assert mi.shrink(after).outcome == "unchanged"
    assert digests(path) == before
