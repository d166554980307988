"""What a function of TensorFlow can do that a configuration names: TFOpLambda and ClassMethod call any
exported one while loading.
"""

from __future__ import annotations

import re

from modelinspect.formats.graph.core_ops import core_ops
from modelinspect.rules.unsafe.class_names import names
from modelinspect.rules.unsafe.operator_table import OPERATORS, Risk

_PREFIXES = ("tf.", "tensorflow.", "compat.v1.", "compat.v2.", "_api.v2.")
_RAW = "raw_ops."
_SYMBOLS: tuple[tuple[Risk, str, str], ...] = (
    (
        Risk.CODE,
        "load_library load_op_library load_file_system_library experimental.register_filesystem_plugin"
        " lite.experimental.load_delegate",
        "loads native code from a file",
    ),
    (Risk.CODE, "lite.* __internal__.saved_model.*", "loads another model"),
    (
        Risk.CODE,
        "app.run test.main __internal__.distribute.*",
        "runs a program's functions or starts processes",
    ),
    (Risk.CODE, "autograph.*", "compiles Python code"),
    (Risk.CODE, "py_function numpy_function py_func", "calls a Python function"),
    (Risk.CODE, "saved_model.load saved_model.load_v2 saved_model.loader.load", "loads another model"),
    (
        Risk.CODE,
        "keras.models.* keras.saving.* keras.layers.deserialize keras.config.*",
        "loads another model, or allows it to run code",
    ),
    (
        Risk.CODE,
        "keras.utils.deserialize_keras_object keras.utils.legacy.*",
        "makes objects of a configuration",
    ),
    (Risk.CODE, "import_graph_def graph_util.* train.import_meta_graph", "imports another graph"),
    (Risk.CODE, "keras.__internal__.*", "reaches into Keras"),
    (Risk.WRITE, "io.gfile.* gfile.*", "opens, copies or deletes files"),
    (
        Risk.WRITE,
        "io.write_file write_file io.write_graph train.write_graph io.TFRecordWriter python_io.*",
        "writes files",
    ),
    (
        Risk.WRITE,
        "saved_model.* summary.* train.* profiler.* debugging.experimental.* keras.callbacks.* keras.export.*"
        " keras.utils.plot_model keras.utils.save_img mlir.experimental.write_bytecode"
        " quantization.experimental.*",
        "writes files",
    ),
    (
        Risk.READ,
        "io.read_file read_file io.matching_files matching_files io.tf_record_iterator",
        "reads files",
    ),
    (
        Risk.READ,
        "io.match_filenames_once resource_loader.* feature_column.categorical_column_with_vocabulary_file"
        " feature_column.sequence_categorical_column_with_vocabulary_file lookup.TextFileIndex"
        " mlir.experimental.* keras.utils.load_img keras.utils.audio_dataset_from_directory"
        " keras.utils.image_dataset_from_directory keras.utils.text_dataset_from_directory",
        "reads files",
    ),
    (Risk.READ, "data.* lookup.TextFileInitializer keras.preprocessing.* keras.datasets.*", "reads files"),
    (Risk.NETWORK, "keras.utils.get_file keras.applications.*", "fetches a file over the network"),
    (
        Risk.NETWORK,
        "distribute.* experimental.dtensor.*"
        " config.experimental_connect_to_* config.experimental_connect_to_cluster tpu.*",
        "talks to other machines",
    ),
    (
        Risk.PRINT,
        "print Print keras.backend.print_tensor logging.*",
        "prints tensors, or appends them to a file (output_stream)",
    ),
)
_EXACT = {
    name: (risk, reason)
    for risk, listed, reason in _SYMBOLS
    for name in listed.split()
    if not name.endswith("*")
}
_BELOW = [
    (name[:-1], risk, reason)
    for risk, listed, reason in _SYMBOLS
    for name in listed.split()
    if name.endswith("*")
]
_WORDS = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OPERATIONS = {_WORDS.sub("_", op).lower(): known for op, known in OPERATORS.items()}
"""Operators by the names of the functions that TensorFlow generates and exports for them."""
_KERAS = ("keras.activations.", "keras.losses.", "keras.metrics.")


def symbol_risk(symbol: str) -> tuple[Risk, str] | None:
    """Return what a symbol can do and how that is said; None for one that only computes on tensors, or that
    nothing is known of.
    """
    name = plain_symbol(symbol)
    if name.startswith(_RAW):
        return OPERATORS.get(name.removeprefix(_RAW))
    known = _EXACT.get(name) or _OPERATIONS.get(name)
    if known is not None:
        return known
    for prefix, risk, reason in _BELOW:
        if name.startswith(prefix):
            return risk, reason
    return None


def is_tensor_function(symbol: str) -> bool:
    """Return whether a symbol is known to compute on tensors only."""
    name = plain_symbol(symbol)
    if name.startswith(_RAW):
        op = name.removeprefix(_RAW)
        return op in core_ops() and (op not in OPERATORS or OPERATORS[op][0] is Risk.DECODE)
    if name.startswith(_KERAS):
        return name.rpartition(".")[2] in names().functions
    return name in names().tensor_functions


def plain_symbol(symbol: str) -> str:
    """Return a symbol without the prefixes that only choose a version of the API."""
    changed = True
    while changed:
        changed = False
        for prefix in _PREFIXES:
            if symbol.startswith(prefix):
                symbol, changed = symbol.removeprefix(prefix), True
    return symbol
