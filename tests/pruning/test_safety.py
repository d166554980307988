"""What loading a model file would run is found by lint's rules, and refused, without loading any of it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.modelfile import look_at, refuse_code
from modelinspect.rules.unsafe.operator_table import OPERATORS, Risk
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_names, fixture_path

DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"name": "dense", "activation": "relu"},
    "registered_name": None,
}
HOSTILE = PROJECT.parent / "shared" / "hostile" / "lint"
REFUSED = sorted(path.name for path in HOSTILE.iterdir()) if HOSTILE.is_dir() else []
RUNNING = frozenset((Risk.CODE, Risk.WRITE, Risk.NETWORK, Risk.READ))


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [DENSE, *layers]}}


def h5(path: Path, config: object) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.attrs["keras_version"] = "2.21.0"
    return path


def refused(place: Path) -> str:
    with pytest.raises(PruningError) as caught:
        refuse_code(place, look_at(place))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAAA=", None, None]}},
        {
            "class_name": "Dense",
            "config": {"activation": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
        },
        {
            "class_name": "Dense",
            "config": {
                "activation": {"class_name": "__lambda__", "config": {"value": ["4wEAAAA=", None, None]}}
            },
        },
        {"module": "os", "class_name": "function", "config": "system"},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": "kerasx.layers", "class_name": "Dense", "config": {}},
        {"class_name": "TFOpLambda", "config": {"name": "w", "function": "io.write_file"}},
        {"class_name": "TFOpLambda", "config": {"name": "w", "function": "py_function"}},
        {
            "class_name": "TimeDistributed",
            "config": {"layer": {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}}},
        },
    ],
)
def test_code_in_a_configuration_is_refused(layer: dict[str, Any], tmp_path: Path) -> None:
    assert "--allow-code" in refused(h5(tmp_path / "m.h5", sequential(layer)))


@pytest.mark.parametrize(
    "layer",
    [
        DENSE,
        {"class_name": "TFOpLambda", "config": {"name": "m", "function": "math.multiply"}},
        {"class_name": "TFOpLambda", "config": {"name": "m", "function": "__operators__.add"}},
        {"class_name": "SlicingOpLambda", "config": {"name": "g", "function": "__operators__.getitem"}},
        {"class_name": "Dense", "config": {"name": "lambda"}},
        {"class_name": "PruneLowMagnitude", "config": {"layer": DENSE}},
    ],
)
def test_plain_layers_are_no_code(layer: dict[str, Any], tmp_path: Path) -> None:
    place = h5(tmp_path / "m.h5", sequential(layer))
    refuse_code(place, look_at(place))


@pytest.mark.parametrize("op", sorted(name for name, (risk, _) in OPERATORS.items() if risk in RUNNING))
def test_every_operator_that_runs_writes_sends_or_reads_is_refused(op: str, tmp_path: Path) -> None:
    node = b"\x0a\x01w\x12" + bytes((len(op),)) + op.encode()
    graph = b"\x0a" + bytes((len(node),)) + node
    meta = b"\x12" + bytes((len(graph),)) + graph
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saved_model.pb").write_bytes(b"\x08\x01\x12" + bytes((len(meta),)) + meta)
    (tmp_path / "m" / "keras_metadata.pb").write_bytes(b"\x0a\x02\x08\x01")
    assert op in refused(tmp_path / "m")


@pytest.mark.parametrize("name", REFUSED)
def test_every_hostile_file_is_refused(name: str) -> None:
    refused(HOSTILE / name)


@pytest.mark.parametrize(
    "name",
    [
        *fixture_names(under="mlp", suffix=".h5"),
        *(name for name in fixture_names(under="keras_zip", suffix=".keras") if "npz" not in name),
    ],
)
def test_honest_models_are_loaded(name: str) -> None:
    place = fixture_path(name)
    try:
        model = look_at(place)
    except PruningError as problem:  # weights without a configuration, a damaged file: nothing to judge
        assert "code" not in str(problem)
        return
    refuse_code(place, model)


def test_nothing_is_loaded_to_find_out(tmp_path: Path) -> None:
    place = h5(
        tmp_path / "m.h5",
        sequential(
            {"class_name": "Lambda", "config": {"name": "evil", "function": ["4wEAAAA=", None, None]}}
        ),
    )
    script = (
        "import sys; from pathlib import Path; from modelinspect.pruning.modelfile import look_at; assert"
        " look_at(Path(sys.argv[1])).code; print({'tensorflow', 'keras', 'tf_keras', 'marshal'} &"
        " (set(sys.modules) - {'marshal'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(place)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_keras_archive_with_a_lambda_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "m.keras"
    evil = {"module": "builtins", "class_name": "function", "config": "eval"}
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr(
            "config.json", json.dumps(sequential({**DENSE, "config": {"name": "d", "activation": evil}}))
        )
        archive.writestr("metadata.json", '{"keras_version": "3.15.0"}')
    assert "eval" in refused(place)


def test_an_unreadable_configuration_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PruningError, match="not JSON"):
        look_at(h5(tmp_path / "m.h5", "{"))


@pytest.mark.parametrize(
    "spelling",
    ['{"class_name": "Lambda", "config": {}}', '{ "class_name": "Lambda"}', '{"class_name": "Lambd\\u0061"}'],
)
def test_a_saved_model_whose_metadata_are_broken_around_a_lambda_is_refused(
    spelling: str, tmp_path: Path
) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "keras_metadata.pb").write_bytes(b"\x0a\x30{bad" + spelling.encode() + b"\x12")
    refused(tmp_path)


def test_what_is_no_loadable_keras_model_says_what_it_is(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "torn.h5").write_bytes((tmp_path / "other.h5").read_bytes()[:600])
    (tmp_path / "torn.keras").write_bytes(b"PK\x03\x04 and no more")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("other", "")
    h5(tmp_path / "config.h5", "{not json")
    (tmp_path / "folder").mkdir()
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "saved_model.pb").write_bytes(b"\x08\x01")
    for name, message in {
        "weights.h5": "has only weights",
        "other.h5": "not a Keras model",
        "text.h5": "not a Keras model",
        "torn.h5": "damaged",
        "torn.keras": "not a whole .keras file",
        "empty.keras": "not a whole .keras file",
        "config.h5": "not JSON",
        "folder": "not a SavedModel",
        "graph": "without Keras metadata",
    }.items():
        with pytest.raises(PruningError, match=message):
            look_at(tmp_path / name)
