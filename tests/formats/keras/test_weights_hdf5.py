"""The weights store of Keras 3: layers by path, roles by what the paths and the variables' shapes tell."""

from __future__ import annotations

import json

import numpy as np
from tests.support.fixtures import fixture_path
from tests.support.keras_hdf5 import layers, parse_made, parse_path, roles

from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import DTYPES, Role
from modelinspect.formats.keras.config import model_config
from modelinspect.formats.keras.store import Variable, layer_of, snake_case, split_path, store_paths
from modelinspect.formats.keras.store import roles as roles_of


def test_layers_have_the_names_that_the_file_notes() -> None:
    found = layers(parse_path(fixture_path("keras3_hdf5/nested.weights.h5")))
    assert found["layers/dense/vars/0"] == "out"
    assert found["layers/sequential/layers/dense/vars/1"] == "sub/inner"
    assert found["layers/bidirectional/forward_layer/cell/vars/0"] == "both/forward_lstm/lstm_cell"
    assert found["optimizer/vars/0"] is None


def test_the_names_that_the_file_notes_are_facts() -> None:
    facts = parse_path(fixture_path("keras3_hdf5/nested.weights.h5")).facts
    names = facts["layer_names"]
    assert isinstance(names, dict)
    assert names["layers/dense"] == "out"
    assert names["layers/sequential/layers/dense"] == "inner"
    assert facts["optimizer"] == "adam"


def test_statistics_and_slots_are_known_without_a_configuration() -> None:
    found = roles(parse_path(fixture_path("keras3_hdf5/nested.weights.h5")))
    statistics = {name for name, role in found.items() if role == "statistic"}
    batch = "layers/batch_normalization/vars/"
    assert statistics == {
        batch + "2",
        batch + "3",
        *(f"layers/normalization/vars/{index}" for index in range(3)),
    }
    assert {name.split("/")[0] for name, role in found.items() if role == "optimizer"} == {"optimizer"}


def test_scales_of_quantized_layers_are_quantization() -> None:
    int8 = roles(parse_path(fixture_path("keras3_hdf5/int8.weights.h5")))
    assert {name for name, role in int8.items() if role == "quantization"} == {
        "layers/dense/vars/2",
        "layers/dense_1/vars/1",
    }
    int4 = roles(parse_path(fixture_path("keras3_hdf5/int4.weights.h5")))
    assert {name for name, role in int4.items() if role == "weight"} == {
        "layers/dense/vars/0",
        "layers/dense/vars/1",
        "layers/dense_1/vars/0",
    }


def test_bfloat16_is_read_from_the_note_beside_opaque_elements() -> None:
    artifact = parse_path(fixture_path("keras3_hdf5/bfloat16.weights.h5"))
    assert {tensor.dtype.name for tensor in artifact.tensors} == {"bfloat16"}
    assert {tensor.logical_size for tensor in artifact.tensors} == {60, 10}


def test_a_wrapped_store_tells_masks_from_the_copies_of_kernels() -> None:
    found = roles(parse_path(fixture_path("pruned_mlp/wrapped/model.weights.h5")))
    wrapper = {name: role for name, role in found.items() if name.startswith("layers/prune_low_magnitude/")}
    assert wrapper["layers/prune_low_magnitude/vars/0"] == "weight"
    assert wrapper["layers/prune_low_magnitude/layer/vars/0"] == "weight"
    assert {wrapper[f"layers/prune_low_magnitude/vars/{index}"] for index in (1, 2, 3)} == {"pruning"}


def test_roles_of_wrappers_follow_the_order_in_which_tfmot_makes_variables() -> None:
    f4, i8, i4 = DTYPES["float32"], DTYPES["int64"], DTYPES["int32"]
    kernel, recurrent, scalar = Variable(f4, (6, 20)), Variable(f4, (5, 20)), Variable(f4, ())
    lstm = [kernel, recurrent, kernel, scalar, recurrent, scalar, Variable(i8, ())]
    assert roles_of("layers/prune_low_magnitude_3", lstm) == [Role.WEIGHT] * 2 + [Role.PRUNING] * 5
    assert roles_of("layers/prune_low_magnitude", [Variable(i8, ())]) == [Role.PRUNING]
    clustered = [kernel, Variable(f4, (4,)), Variable(i8, (6, 20))]
    assert roles_of("layers/cluster_weights", clustered) == [Role.WEIGHT] + [Role.PRUNING] * 2
    aware = [kernel, Variable(f4, (20,)), kernel, Variable(i4, ()), scalar, scalar]
    assert roles_of("layers/quantize_wrapper_v2", aware) == [Role.WEIGHT] * 3 + [Role.PRUNING] * 3


def test_the_class_of_the_configuration_goes_before_the_path() -> None:
    variables = [Variable(DTYPES["float32"], (4,))] * 4
    assert (
        roles_of("layers/my_norm", variables, "keras.layers>BatchNormalization")[2:] == [Role.STATISTIC] * 2
    )
    assert roles_of("layers/my_norm", variables) == [Role.WEIGHT] * 4


def test_paths_of_a_configuration_are_those_of_the_store() -> None:
    def layer(class_name: str, name: str, **settings: object) -> dict[str, object]:
        return {"class_name": class_name, "config": {"name": name, **settings}}

    inner = layer("Sequential", "sub", layers=[layer("InputLayer", "in"), layer("Dense", "inner")])
    both = layer("Bidirectional", "both", layer=layer("LSTM", "lstm"), backward_layer=layer("LSTM", "back"))
    model = model_config(
        layer(
            "Functional",
            "m",
            layers=[layer("Dense", "a"), inner, both, layer("Dense", "b"), layer("Conv2D", "c")],
        )
    )
    assert model is not None
    names = {path: found.name for path, found in store_paths(model).items() if path}
    assert names["layers/dense"] == "a"
    assert names["layers/dense_1"] == "b"
    assert names["layers/conv2d"] == "c"
    assert names["layers/sequential/layers/dense"] == "inner"
    assert names["layers/bidirectional/backward_layer"] == "back"
    assert layer_of("layers/sequential/layers/dense", names) == "inner"
    assert layer_of("layers/bidirectional/forward_layer/cell", names) == "both/forward_layer/cell"


def test_names_are_kerass_own() -> None:
    assert [snake_case(name) for name in ("Dense", "BatchNormalization", "Conv2D", "LSTM", "MyRNNCell", "PReLU")] == [  # noqa: E501
        "dense", "batch_normalization", "conv2d", "lstm", "my_rnn_cell", "p_re_lu",
    ]  # fmt: skip


def test_only_numbered_variables_are_of_the_store() -> None:
    assert split_path("/layers/dense/vars/12") == ("layers/dense", 12)
    assert split_path("/vars/0") == ("", 0)
    for path in (
        "/layers/dense/vars/x",
        "/layers/dense/0",
        "/vars",
        "/layers/dense/vars/٣",
        "/layers/dense/vars/" + "9" * 30,
    ):
        assert split_path(path) is None


def test_a_store_of_tf_keras_2_12_is_known() -> None:
    artifact = parse_made(
        lambda file: file.create_dataset("_layer_checkpoint_dependencies/dense/vars/0", data=np.ones(3, "f4"))
    )
    assert artifact.format is FormatName.WEIGHTS_HDF5
    assert layers(artifact) == {"_layer_checkpoint_dependencies/dense/vars/0": "dense"}


def test_a_store_without_a_variable_is_still_one() -> None:
    assert parse_made(lambda file: file.create_group("layers/flatten/vars")).format is FormatName.WEIGHTS_HDF5


def test_facts_can_be_written_as_json() -> None:
    json.dumps(dict(parse_path(fixture_path("keras3_hdf5/nested.weights.h5")).facts))
