"""Names in configurations: those that Keras and TensorFlow serialize themselves, as
scripts/derive_keras_names.py found them in their releases, those of companion packages, and classes that a
program registered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from modelinspect.core.names import WrapperClass
from modelinspect.core.records import dataclass

BUILTINS = "builtins"
"""The module that Keras writes for the functions of a program, too."""
KERAS = ("keras", "tf_keras", "keras_core")
COMPANIONS = frozenset(
    (
        *(
            "keras_cv",
            "keras_hub",
            "keras_nlp",
            "keras_tuner",
            "keras_rs",
            "tensorflow_addons",
            "tensorflow_hub",
            "tensorflow_text",
        ),
        *(
            "tensorflow_probability",
            "tensorflow_recommenders",
            "tensorflow_decision_forests",
            "tensorflow_model_optimization",
        ),
        "tensorflow_lattice",
    )
)
_REGISTERED = frozenset(
    (
        "Addons",
        "TensorFlowModelOptimization",
        "Vision",
        "Text",
        "Keras",
        "keras",
        BUILTINS,
        *KERAS,
        *COMPANIONS,
    )
)
_DEFAULT_PACKAGE = "Custom"
"""What `register_keras_serializable` puts before a name where no package is given."""
_OPTIMIZERS = frozenset(
    ("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "RMSprop", "SGD")
)
"""Keras' own optimizers, which releases of Keras 2 registered without a package."""
_KNOWN_ELSEWHERE = frozenset(
    (
        *WrapperClass,
        *(
            "function",
            "QuantizeAnnotate",
            "KerasLayer",
            "ListWrapper",
            "AtrousConvolution1D",
            "AtrousConvolution2D",
        ),
        *(
            "Container",
            "Graph",
            "LambdaMerge",
            "ParametricSoftplus",
            "SReLU",
            "Siamese",
            "TimeDistributedDense",
        ),
    )
)
"""Functions, and classes of companions of Keras and of Keras 1, whose releases the table does not have."""
WRAPPERS = frozenset(
    ("ListWrapper", "_DictWrapper", "_TupleWrapper", "TensorShape", "DType", "ObjectIdentityDictionary")
)
"""Classes of TensorFlow that Keras serializes beside specifications of tensors."""


def is_registered_elsewhere(package: str, name: str) -> bool:
    """Return whether ``package>name`` is the name of what neither Keras nor a companion registered."""
    return package not in _REGISTERED and not (package == _DEFAULT_PACKAGE and name in _OPTIMIZERS)


def is_foreign(item: Mapping[str, object], class_name: str, settings: object) -> bool:
    """Return whether an object without a module is of a class that no release of Keras has: one that its
    program registered under its bare name, or a layer or model of Keras 2, whose settings have a name.
    """
    if isinstance(item.get("registered_name"), str):
        is_object = "module" in item
    else:
        is_object = isinstance(settings, Mapping) and isinstance(settings.get("name"), str)
    return (
        is_object
        and class_name not in _KNOWN_ELSEWHERE
        and names().classes.isdisjoint((class_name, class_name.removesuffix("V1").removesuffix("V2")))
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Names by kind.

    ``classes`` and ``functions`` are those of Keras that a configuration may refer to, ``tensor_functions``
    the exported functions of TensorFlow that only compute on tensors, ``builtins`` those of Python,
    ``packages`` the modules that are installed with TensorFlow.
    """

    classes: frozenset[str]
    functions: frozenset[str]
    tensor_functions: frozenset[str]
    tensor_function_names: frozenset[str]
    builtins: frozenset[str]
    packages: frozenset[str]


@lru_cache(maxsize=1)
def names() -> _Names:
    """Read the table once."""
    text = files("modelinspect.rules.unsafe").joinpath("data", "keras_names.json").read_text(encoding="utf-8")
    table = json.loads(text)
    by_module: dict[str, list[str]] = table["tensor_functions"]
    return _Names(
        classes=frozenset(table["classes"]),
        functions=frozenset(table["functions"]),
        tensor_functions=frozenset(
            f"{module}.{name}" if module else name
            for module, exported in by_module.items()
            for name in exported
        ),
        tensor_function_names=frozenset(name for exported in by_module.values() for name in exported),
        builtins=frozenset(table["builtins"]),
        packages=frozenset(table["packages"]),
    )
