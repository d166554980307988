"""Derive what Keras serializes from the installed Keras 3 and tf_keras, and TensorFlow's plain tensor
functions: ``python scripts/derive_keras_names.py [FOLDER ...]``.

A folder holds another release, installed by ``pip install --no-deps --target FOLDER keras==2.3.1``; its names
are read from its sources. The table records every release that it was derived from.

Writes src/modelinspect/rules/unsafe/data/keras_names.json: classes and functions by name that a configuration
of a model may refer to, and the functions that a TFOpLambda layer may call without doing more than
arithmetic. Run it when a new release is out; names are only added to what the file holds, as old files stay.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import json
import os
import pkgutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from keras_sources import Release, read_release

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
TARGET = (
    Path(__file__).parent.parent / "src" / "modelinspect" / "rules" / "unsafe" / "data" / "keras_names.json"
)
FUNCTION_MODULES = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints")
CLASS_MODULES = ("layers", "initializers", "losses", "metrics", "optimizers", "regularizers", "constraints")
NOT_MODELLING = ("get", "serialize", "deserialize")
PLAIN_MODULES = frozenset(
    f"tensorflow.python.ops.{name}"
    for name in [
        "array_ops",
        "array_ops_stack",
        "batch_ops",
        "bitwise_ops",
        "bincount_ops",
        "boolean_mask",
        "candidate_sampling_ops",
        "check_ops",
        "clip_ops",
        "confusion_matrix",
        "ctc_ops",
        "cudnn_rnn_grad",
        "custom_gradient",
        "embedding_ops",
        "histogram_ops",
        "image_ops_impl",
        "inplace_ops",
        "linalg_ops",
        "linalg.linalg_impl",
        "linalg.sparse.sparse_csr_matrix_ops",
        "losses.losses_impl",
        "manip_ops",
        "math_ops",
        "nn_impl",
        "nn_impl_distribute",
        "nn_ops",
        "nn_grad",
        "nn_fused_batch_norm_grad",
        "numerics",
        "numpy_ops.np_array_ops",
        "numpy_ops.np_math_ops",
        "parsing_grad",
        "quantized_ops",
        "random_ops",
        "stateless_random_ops",
        "sets_impl",
        "sort_ops",
        "sparse_ops",
        "special_math_ops",
        "spectral_ops_impl",
        "string_ops",
        "weights_broadcast_ops",
        "signal.dct_ops",
        "signal.fft_ops",
        "signal.mel_ops",
        "signal.mfcc_ops",
        "signal.reconstruction_ops",
        "signal.shape_ops",
        "signal.spectral_ops",
        "signal.window_ops",
        "signal.util_ops",
        "ragged.ragged_array_ops",
        "ragged.ragged_math_ops",
        "ragged.ragged_concat_ops",
        "ragged.ragged_gather_ops",
        "ragged.ragged_squeeze_op",
        "ragged.ragged_string_ops",
        "ragged.ragged_where_op",
        "ragged.ragged_tensor",
        "ragged.ragged_operators",
        "ragged.ragged_getitem",
        "ragged.ragged_conversion_ops",
        "ragged.ragged_factory_ops",
        "ragged.ragged_batch_gather_ops",
        "ragged.segment_id_ops",
        "gen_array_ops",
        "gen_bitwise_ops",
        "gen_image_ops",
        "gen_linalg_ops",
        "gen_math_ops",
        "gen_nn_ops",
        "gen_random_ops",
        "gen_sparse_ops",
        "gen_string_ops",
        "gen_special_math_ops",
        "gen_stateless_random_ops",
        "gen_stateless_random_ops_v2",
        "gen_spectral_ops",
        "gen_ragged_array_ops",
        "gen_ragged_math_ops",
    ]
) | {"tensorflow.python.framework.constant_op", "tensorflow.python.framework.tensor_conversion"}
PLAIN_PREFIXES = ("tensorflow.python.ops.numpy_ops.", "tensorflow.python.ops.linalg.linear_operator")
NOT_PLAIN = (
    "decode",
    "encode",
    "print",
    "py_func",
    "save",
    "load",
    "read",
    "write",
    "make_tensor_proto",
    "parse_",
)
NOT_BACKEND = (
    "print",
    "set",
    "clear",
    "manual",
    "function",
    "rnn",
    "get_session",
    "get_uid",
    "reset",
    "placeholder",
    "map_fn",
    "fold",
)


def main() -> int:
    releases = [read_release(Path(folder)) for folder in sys.argv[1:]]
    old = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.is_file() else {}
    classes, functions = set(old.get("classes", ())), set(old.get("functions", ()))
    classes |= (
        set(keras_3_classes())
        | set(keras_2_classes())
        | set(exported_classes("keras"))
        | set(exported_classes("tf_keras"))
    )
    functions |= set(keras_functions("keras")) | set(keras_functions("tf_keras"))
    for release in releases:
        classes |= release.classes
        functions |= release.functions
    symbols = set(plain_symbols()) | {
        f"{module}.{name}" if module else name
        for module, names in old.get("tensor_functions", {}).items()
        for name in names
    }
    table = {
        "releases": recorded(old.get("releases", {}), releases),
        "classes": sorted(classes),
        "functions": sorted(functions),
        "tensor_functions": by_module(symbols),
        "builtins": sorted(set(old.get("builtins", ())) | set(dir(builtins))),
        "packages": sorted(
            set(old.get("packages", ()))
            | set(dependencies("tensorflow", "keras", "tf_keras", "tensorflow-model-optimization"))
        ),
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(written(table), encoding="utf-8")
    print({key: len(values) for key, values in table.items()})
    return 0


def by_module(symbols: set[str]) -> dict[str, list[str]]:
    """Return the names of functions by the module of TensorFlow that exports them."""
    found: dict[str, list[str]] = {}
    for symbol in sorted(symbols):
        module, _, name = symbol.rpartition(".")
        found.setdefault(module, []).append(name)
    return dict(sorted(found.items()))


def written(table: dict[str, Any]) -> str:
    """Return the table as JSON with each list on one line."""
    entries = []
    for key, value in table.items():
        text = json.dumps(value)
        if isinstance(value, dict):
            lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value[name])}" for name in value)
            text = f"{{\n{lines}\n }}"
        entries.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def recorded(old: dict[str, list[str]], more: list[Release]) -> dict[str, list[str]]:
    """Return the releases of each distribution that the table was derived from, the installed ones too."""
    found = {
        name: {*old.get(name, ()), metadata.version(name)} for name in ("keras", "tf_keras", "tensorflow")
    }
    for release in more:
        found[release.name].add(release.version)
    return {
        name: sorted(versions, key=lambda text: [int(part) for part in text.split(".")])
        for name, versions in found.items()
    }


def modules(package: str) -> Iterator[ModuleType]:
    """Import every module of a package that can be imported without its tests."""
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, f"{package}.", onerror=lambda name: None):
        if (
            "test" in found.name
            or "benchmark" in found.name
            or ".jax" in found.name
            or ".torch" in found.name
            or ".openvino" in found.name
        ):
            continue
        try:
            yield importlib.import_module(found.name)
        except Exception:  # noqa: BLE001 - what needs another backend is not needed here
            continue


def subclasses(base: type) -> Iterator[type]:
    """Yield a class and all below it."""
    pending = [base]
    seen = set()
    while pending:
        one = pending.pop()
        if one not in seen:
            seen.add(one)
            yield one
            pending += one.__subclasses__()


def keras_3_classes() -> Iterator[str]:
    """Yield the classes that Keras 3 loads by module and name: what derives from KerasSaveable, optimizers
    and schedules included.
    """
    list(modules("keras.src"))
    saveable = importlib.import_module("keras.src.saving.keras_saveable").KerasSaveable
    import keras

    bases = (
        saveable,
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
    )
    bases += (
        keras.losses.Loss,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.DTypePolicy,
        keras.quantizers.Quantizer,
    )
    for base in bases:
        yield from (one.__name__ for one in subclasses(base) if one.__module__.startswith("keras."))
    yield from (one.__name__ for one in vars(keras.quantizers).values() if inspect.isclass(one))
    yield from (
        "DTypePolicyMap",
        "SeedGenerator",
        "FeatureSpace",
        "Cross",
        "Feature",
        "GeneralizedVectorizer",
    )


def keras_2_classes() -> Iterator[str]:
    """Yield the classes that tf_keras serializes."""
    list(modules("tf_keras.src"))
    import tf_keras

    mixed = importlib.import_module("tf_keras.src.mixed_precision.policy").Policy
    bases = [
        tf_keras.layers.Layer,
        tf_keras.optimizers.Optimizer,
        tf_keras.optimizers.legacy.Optimizer,
        tf_keras.losses.Loss,
        mixed,
    ]
    bases += [
        tf_keras.metrics.Metric,
        tf_keras.initializers.Initializer,
        tf_keras.regularizers.Regularizer,
        tf_keras.constraints.Constraint,
    ]
    bases += [tf_keras.optimizers.schedules.LearningRateSchedule]
    bases += [importlib.import_module("tf_keras.src.initializers.initializers_v1").RandomNormal.__mro__[1]]
    for base in bases:
        yield from (one.__name__ for one in subclasses(base) if one.__module__.startswith("tf_keras."))
    compile_utils = importlib.import_module("tf_keras.src.engine.compile_utils")
    yield from (compile_utils.LossesContainer.__name__, compile_utils.MetricsContainer.__name__)


def exported_classes(package: str) -> Iterator[str]:
    """Yield the names under which a package exports its classes: older files have names that are aliases
    now.
    """
    for part in CLASS_MODULES:
        module = importlib.import_module(f"{package}.{part}")
        yield from (name for name, one in vars(module).items() if inspect.isclass(one))


def keras_functions(package: str) -> Iterator[str]:
    """Yield the functions of activations, losses and so on that configurations name."""
    for part in FUNCTION_MODULES:
        module = importlib.import_module(f"{package}.{part}")
        yield from (
            name
            for name, one in vars(module).items()
            if inspect.isfunction(one) and name not in NOT_MODELLING
        )


def plain_symbols() -> Iterator[str]:
    """Yield the exported TensorFlow functions that only compute on tensors, by the names under which
    TFOpLambda finds them.
    """
    import tensorflow as tf
    from tensorflow.python.util import tf_decorator, tf_export

    known = tf_export._NAME_TO_SYMBOL_MAPPING
    tf.raw_ops  # noqa: B018 - loads the table
    for name, symbol in list(known.items()):
        _, target = tf_decorator.unwrap(symbol)
        module = getattr(target, "__module__", "") or ""
        last = name.rpartition(".")[2]
        if (
            name.startswith(("io.", "compat."))
            or "raw_ops." in name
            or not callable(target)
            or any(word in last for word in NOT_PLAIN)
        ):
            continue
        if module in PLAIN_MODULES or module.startswith(PLAIN_PREFIXES) or name.startswith("__operators__."):
            yield name
    backend = importlib.import_module("tf_keras.backend")
    for name, one in vars(backend).items():
        if inspect.isfunction(one) and not name.startswith(NOT_BACKEND):
            yield f"keras.backend.{name}"


def dependencies(*names: str) -> Iterator[str]:
    """Yield the top-level modules that come with distributions and with what these need."""
    provided: dict[str, set[str]] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            provided.setdefault(owner.lower().replace("_", "-"), set()).add(module)
    pending, seen = list(names), set()
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        yield from (module for module in provided.get(name, ()) if not module.startswith("_"))
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for line in needed:
            if "extra ==" not in line:
                pending.append(
                    "".join(mark if mark.isalnum() or mark in "-_." else " " for mark in line)
                    .split()[0]
                    .rstrip(".")
                )
    yield from (
        "pip",
        "setuptools",
        "pkg_resources",
        "wheel",
        "yaml",
        "scipy",
        "pandas",
        "PIL",
        "torch",
        "jax",
        "cloudpickle",
        "dill",
        "joblib",
    )


if __name__ == "__main__":
    sys.exit(main())
