"""Names in configurations that do not come from Keras itself: companion packages, and classes that a program
registered.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.names import WrapperClass
from modelinspect.rules.unsafe.tables import names

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
