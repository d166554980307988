"""The causes of a difference in size."""

from __future__ import annotations

from modelinspect.reports.categories import Coded


class Cause(Coded):
    """Where a difference in size comes from, in the order in which ties are listed; ``meaning`` says which
    bytes these are.
    """

    OPTIMIZER_STATE = "optimizer-state", "slot variables, iterations and learning rates of an optimizer"
    EMA_SHADOW = "ema-shadow", "moving averages kept beside each variable"
    PRUNING_STATE = "pruning-state", "masks, thresholds, pruning steps and helper variables of clustering"
    QUANTIZATION_AWARE_TRAINING = (
        "quantization-aware-training",
        "ranges and steps of quantization-aware training",
    )
    WRAPPER_DUPLICATE = (
        "wrapper-duplicate",
        "weights that a pruning wrapper and the layer within it both store",
    )
    EXPORT_DUPLICATE = "export-duplicate", "variables that an export writes under two names"
    SHARED_DUPLICATE = "shared-duplicate", "equal tensors stored more than once"
    SPARSE_ENCODING = "sparse-encoding", "sparse storage: indices in, zeros out"
    QUANTIZATION = "quantization", "weights stored as narrow integers, and their scales and zero points"
    DTYPE_CHANGE = "dtype-change", "elements of another width"
    STRUCTURE_CHANGE = "structure-change", "tensors or layers added, removed or reshaped"
    CONSTANT_FOLDING = "constant-folding", "constants that the graph holds"
    MORE_OPERATORS = (
        "more-operators",
        "operators of a TFLite model and the tensors between them: tables, names, shapes, scales",
    )
    GRAPH_DEFINITION = "graph-definition", "nodes, operators, the configuration of layers"
    TRACED_FUNCTIONS = "traced-functions", "functions traced into the graph's library"
    OBJECT_GRAPH = (
        "object-graph",
        "the graph of Python objects, which a SavedModel or checkpoint keeps to load them again",
    )
    TRAINING_CONFIG = (
        "training-config",
        "settings of training and what metrics count: loss, metrics, optimizer",
    )
    METADATA = "metadata", "names, signatures, versions, indices"
    CONTAINER_OVERHEAD = "container-overhead", "framing: headers, B-trees, heaps, tags, zip records"
    COMPRESSION = "compression", "what a compressor saves"
    FRAGMENTATION = "fragmentation", "space that is allocated and not used"
    ALIGNMENT = "alignment", "padding that puts data on round offsets"
    ASSETS = "assets", "vocabularies and other files beside the model"
    COMPILED_PROGRAM = "compiled-program", "a program compiled for another processor, with its weights inside"
    EMBEDDED_DATA = (
        "embedded-data",
        "values written as text in a configuration or topology: weights, vocabularies, base64",
    )
    DEBUG_INFO = "debug-info", "debug information and stack traces"
    TRAILING_BYTES = "trailing-bytes", "bytes after the end that the format states"
    UNEXPLAINED = "unexplained", "bytes that could not be named"


CAUSES: tuple[Cause, ...] = tuple(Cause)
"""Every cause, at the place that its code names."""
