"""The configuration of a model of Keras 3 once it was loaded, quantized and saved."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from modelinspect.conversion.quantized.layers import BLOCK, Kind, Mode
from modelinspect.errors import FormatError

_DEEPEST = 50
_CLASSES = frozenset(Kind)
_RECURRENT = frozenset(("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"))
"""Layers that make their cell themselves. Keras writes the settings of the cell first and leaves them out
then, so the objects among the settings of such a layer always are marked as seen before.
"""


class _Place(Enum):
    ANY = auto()
    RECURRENT = auto()
    """The settings of a recurrent layer."""
    RECURRENT_SETTING = auto()
    """One of these settings, which its cell has too."""


def _inner(place: _Place, name: object, key: str) -> _Place:
    if place is _Place.RECURRENT and key != "dtype":
        return _Place.RECURRENT_SETTING
    return _Place.RECURRENT if name in _RECURRENT and key == "config" else _Place.ANY


def quantized_config(config: dict[str, Any], mode: Mode, number: int) -> dict[str, Any]:
    """Return the configuration that Keras writes; ``number`` stands for the addresses that it writes of
    objects which several layers have in common.

    Raises `FormatError` where it nests too deep.
    """
    made = _Quantizing(mode, number).of(config, 0)
    return {**{key: value for key, value in made.items() if key != "compile_config"}, "compile_config": {}}


class _Quantizing:
    """Walks a configuration in the order in which Keras writes it."""

    def __init__(self, mode: Mode, number: int) -> None:
        self._mode = mode
        self._number = number
        self._is_first = True

    def of(self, value: Any, depth: int, place: _Place = _Place.ANY) -> Any:
        """Return a value of the configuration as Keras writes it."""
        if depth > _DEEPEST:
            raise FormatError("the configuration nests too deep")
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        name = value.get("class_name")
        made = {key: self.of(item, depth + 1, _inner(place, name, key)) for key, item in value.items()}
        # Loading makes an object of each that several layers had in common; functions stay the same ones.
        if "shared_object_id" in made:
            if place is _Place.RECURRENT_SETTING or name == "function":
                made["shared_object_id"] = self._number
            else:
                del made["shared_object_id"]
        settings = made.get("config")
        if name not in _CLASSES or not isinstance(settings, dict):
            return made
        if "dtype" in settings:
            settings["dtype"] = self._policy(settings["dtype"])
        if "quantization_config" in settings:
            settings["quantization_config"] = self._quantization()
        return made

    def _policy(self, policy: Any) -> dict[str, Any]:
        inner = policy.get("config") if isinstance(policy, dict) else {"name": policy}
        name = inner.get("name") if isinstance(inner, dict) else None
        is_int4 = self._mode is Mode.INT4
        return {
            "module": "keras.dtype_policies",
            "class_name": "Int4DTypePolicy" if is_int4 else "QuantizedDTypePolicy",
            "config": {"mode": f"int4/{BLOCK}" if is_int4 else "int8", "source_name": name},
            "registered_name": None,
        }

    def _quantization(self) -> dict[str, Any]:
        """Return the settings of a layer's quantization, which all layers of a model have in common.

        Keras marks an object that it wrote before with its address; the first time it is not marked.
        """
        shared = {} if self._is_first else {"shared_object_id": self._number}
        self._is_first = False
        inner: dict[str, Any] = {"weight_quantizer": None, "activation_quantizer": None}
        if self._mode is Mode.INT4:
            inner["block_size"] = BLOCK
        else:
            inner["activation_quantizer"] = {
                "module": "keras.quantizers",
                "class_name": "AbsMaxQuantizer",
                "config": {"value_range": [-127, 127], "epsilon": 1e-07, "output_dtype": "int8"},
                "registered_name": None,
                **shared,
            }
        name = "Int4QuantizationConfig" if self._mode is Mode.INT4 else "Int8QuantizationConfig"
        return {
            "module": "keras.quantizers",
            "class_name": name,
            "config": inner,
            "registered_name": None,
            **shared,
        }
