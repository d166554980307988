"""What prunes a model is known from its configuration, in less than a second and without TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from modelinspect.pruning.engines import Engine, choose_engine
from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import NAMES, Stage, choose_methods, choose_stages
from modelinspect.pruning.modelfile import ModelFile, ModelKind
from modelinspect.pruning.stage import check, for_choice
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path


def job(
    model: str | Path, engine: str = "auto", stages: tuple[str, ...] = (), methods: tuple[str, ...] = ()
) -> Job:
    return Job(model=str(model), stages=choose_stages(stages), methods=choose_methods(methods), engine=engine)


@pytest.mark.parametrize(
    ("fixture", "engine", "reason"),
    [
        ("keras_zip/model.keras", Engine.KERAS, "it was written by Keras 3"),
        ("mlp/original.h5", Engine.TFMOT, "it was written by Keras 2"),
    ],
)
def test_the_writer_of_a_file_decides(fixture: str, engine: Engine, reason: str) -> None:
    choice = check(job(fixture_path(fixture)))
    assert choice.engine is engine
    assert choice.reason.startswith(reason)


@pytest.mark.parametrize(
    ("wanted", "engine"), [("auto", Engine.TFMOT), ("tfmot", Engine.TFMOT), ("keras", Engine.KERAS)]
)
def test_both_engines_build_the_known_architectures(wanted: str, engine: Engine) -> None:
    assert check(job("mlp", wanted)).engine is engine


def test_an_unpacked_keras_file_and_weights_beside_a_configuration_are_for_keras_3(tmp_path: Path) -> None:
    with zipfile.ZipFile(fixture_path("keras_zip/model.keras")) as archive:
        archive.extractall(tmp_path)
    assert check(job(tmp_path)).engine is Engine.KERAS
    assert check(job(tmp_path / "model.weights.h5")).engine is Engine.KERAS
    (tmp_path / "config.json").unlink()
    with pytest.raises(PruningError, match="has only weights"):
        check(job(tmp_path / "model.weights.h5"))


def test_keras_3_cannot_train_a_saved_model() -> None:
    facts = ModelFile(ModelKind.SAVED_MODEL, "", ())
    assert choose_engine("auto", "saved", facts).engine is Engine.TFMOT
    with pytest.raises(PruningError, match="Keras 3 cannot train a SavedModel"):
        choose_engine("keras", "saved", facts)


def test_an_engine_has_its_own_stages_and_methods() -> None:
    keras = job("mlp", "keras")
    chosen = for_choice(keras, check(keras))
    assert chosen.stages == (Stage.ORIGINAL, Stage.PRUNED)
    assert set(NAMES) - set(chosen.methods) == {"saved-model-keras", "saved-model-no-traces"}
    tfmot = job("mlp", "tfmot")
    assert for_choice(tfmot, check(tfmot)).stages == (Stage.ORIGINAL, Stage.WRAPPED, Stage.STRIPPED)
    for wrong, message in (
        (
            job("mlp", "keras", stages=("wrapped",)),
            "the keras engine has the stages original, pruned, not wrapped",
        ),
        (job("mlp", "tfmot", methods=("keras-int8",)), "the tfmot engine has no method keras-int8"),
    ):
        with pytest.raises(JobError, match=message):
            for_choice(wrong, check(wrong))


def test_the_engine_is_known_in_a_second_and_without_tensorflow() -> None:
    code = (
        "import sys, time\n"
        "from modelinspect.pruning.job import Job\n"
        "from modelinspect.pruning.stage import check\n"
        "start = time.process_time()\n"
        "print(check(Job(model=sys.argv[1], stages=(), methods=())).engine, time.process_time() - start)\n"
        "print(*(name for name in ('tensorflow', 'keras', 'tf_keras') if name in sys.modules))\n"
    )
    command = [sys.executable, "-c", code, str(fixture_path("keras_zip/model.keras"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.split()[0] == "keras"
    assert float(first.split()[1]) < 1.0
    assert second == ""


def rewritten(place: Path, **changes: object) -> Path:
    """Return a copy of the Keras 3 fixture whose first layer with weights has other keys in its
    configuration.
    """
    with (
        zipfile.ZipFile(fixture_path("keras_zip/model.keras")) as before,
        zipfile.ZipFile(place, "w") as after,
    ):
        for name in before.namelist():
            data = before.read(name)
            if name == "config.json":
                config = json.loads(data)
                layer = next(
                    layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"
                )
                layer.update(changes)
                data = json.dumps(config).encode()
            after.writestr(name, data)
    return place


def test_a_layer_of_its_author_is_named_in_the_first_second_with_what_to_do(tmp_path: Path) -> None:
    place = rewritten(tmp_path / "own.keras", module=None, class_name="Scale", registered_name="house>Scale")
    start = time.process_time()
    result = run_cli("prune", place, "-o", tmp_path / "out")
    assert time.process_time() - start < 1.0
    assert (result.code, result.out) == (3, b"")
    assert (
        "is a Scale (house>Scale), a class that Keras does not have; give the file that defines it with"
        " --code" in result.err
    )
    assert result.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.keras"]


def test_a_lambda_layer_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
    place = rewritten(
        tmp_path / "evil.keras",
        class_name="Lambda",
        registered_name=None,
        config={"name": "evil", "function": code},
    )
    result = run_cli("prune", place, "-o", tmp_path / "out", "--engine", "keras")
    assert (result.code, result.out) == (3, b"")
    assert "Lambda layer 'evil' (function) holds marshalled Python code" in result.err
    assert "(lambda-code)" in result.err
    assert "--allow-code" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "torch"), "no engine is named 'torch'; there are auto, tfmot, keras"),
        (
            ("--engine", "keras", "--stages", "wrapped"),
            "the keras engine has the stages original, pruned, not wrapped",
        ),
        (
            ("--engine", "keras", "--methods", "saved-model-keras"),
            "the keras engine has no method saved-model-keras",
        ),
        (("--sparsity", "1.2"), "must be at least 0 and below 1, not 1.2"),
        (("--block-size", "tflite-int4"), "or a layout (tflite-float, tflite-int8)"),
    ],
)
def test_what_an_engine_does_not_have_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run_cli("prune", "mlp", "-o", tmp_path / "out", *arguments)
    assert (result.code, result.out) == (2, b"")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("config", [b"{", b"[]", b"", b"[" * 100_000])
def test_a_configuration_beside_weights_that_is_none_is_one_line(tmp_path: Path, config: bytes) -> None:
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    with pytest.raises(
        PruningError, match="cannot be checked: .*model.weights.h5" if config == b"[]" else "not JSON"
    ) as refused:
        check(job(tmp_path))
    assert "would run code" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
