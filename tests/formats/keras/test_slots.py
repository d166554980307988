"""Names of the variables that an optimizer makes in a weights store, which only numbers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.tensors import DTYPES
from modelinspect.formats.keras.given_names import GivenNames
from modelinspect.formats.keras.slots import class_of_scope, optimizer_settings, slot_names
from modelinspect.formats.keras.variables import Variable

TRAINED = [("stem/kernel", (3, 4)), ("stem/bias", (4,))]
SHAPES = [(3, 4), (4,)]


def test_a_setting_decides_between_slots_of_the_same_shapes() -> None:
    shapes = [(), (), *SHAPES, (3, 4), (3, 4), (4,), (4,)]
    averaged = slot_names("Adam", shapes, TRAINED, {"use_ema": True, "gradient_accumulation_steps": None})
    accumulated = slot_names("Adam", shapes, TRAINED, {"use_ema": False, "gradient_accumulation_steps": 4})
    assert averaged is not None
    assert averaged[2:4] == ("Adam/average/stem/kernel", "Adam/average/stem/bias")
    assert accumulated is not None
    assert accumulated[2:4] == (
        "Adam/gradient_accumulator/stem/kernel",
        "Adam/gradient_accumulator/stem/bias",
    )


def test_a_centered_rmsprop_has_no_momentum() -> None:
    shapes = [(), (), *SHAPES, *SHAPES]
    names = slot_names("RMSprop", shapes, TRAINED, {"momentum": 0.0, "centered": True})
    assert names is not None
    assert names[-1] == "RMSprop/average_gradient/stem/bias"


def test_sgd_of_keras_2_makes_momentum_that_is_not_used() -> None:
    names = slot_names("SGD", [(), (), *SHAPES], TRAINED, {"momentum": 0.0, "use_ema": False})
    assert names is not None
    assert names[-1] == "SGD/momentum/stem/bias"


def test_slots_that_the_settings_do_not_make_get_no_names() -> None:
    assert slot_names("Adam", [(), (), *SHAPES], TRAINED, {"amsgrad": True}) is None


def test_an_optimizer_that_made_no_slots_yet_has_its_counters() -> None:
    assert slot_names("Adam", [()], TRAINED, {}) == ("Adam/iteration",)
    assert slot_names("Adam", [(), ()], TRAINED, {}) == ("Adam/iteration", "Adam/learning_rate")
    assert slot_names("Adam", [(3, 4)], TRAINED, {}) is None


@pytest.mark.parametrize(
    ("within", "name"), [("", "Adam/vars/0"), ("optimizer/inner_optimizer", "optimizer/vars/0")]
)
def test_a_word_names_the_optimizer_but_not_what_scales_its_loss(within: str, name: str) -> None:
    odd = [Variable(DTYPES["float32"], (7, 7))]  # no slot of the model
    owners = {"optimizer": odd} | ({within: odd} if within else {})
    assert GivenNames(owners, None, {"optimizer": "adam"}).find()["optimizer", 0] == name


def test_rmsprop_is_known_by_the_name_that_keras_3_gives_it() -> None:
    assert class_of_scope("rm_sprop") == "RMSprop"


def test_settings_are_those_of_the_optimizer_whose_loss_is_scaled() -> None:
    inner = {"class_name": "Adam", "config": {"use_ema": True}}
    outer = {"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": inner}}
    assert optimizer_settings({"optimizer": outer}, "Adam") == {"use_ema": True}
    assert optimizer_settings({"optimizer": "adam"}, "Adam") == {}
    assert optimizer_settings(None, "Adam") == {}


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_model_that_tf_keras_trained_has_named_slots_beside_its_metrics(tmp_path: Path) -> None:
    keras = pytest.importorskip("tf_keras")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="stem")])
    model.compile("adam", "mse")
    model.fit(np.zeros((8, 3)), np.zeros((8, 4)), verbose=0)
    model.save(tmp_path / "model.keras")
    names = {tensor.name for tensor in mi.open(tmp_path / "model.keras").tensors}
    assert {"Adam/m/stem/kernel", "Adam/v/stem/bias"} <= names
