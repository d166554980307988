"""The categories of the bytes of an artifact."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from modelinspect.core.tensors import Helpers


class Coded(StrEnum):
    """A closed list of names; ``code`` is a member's place in it, ``meaning`` says what it stands for."""

    code: int
    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.code = len(cls.__members__)
        member.meaning = meaning
        return member


class Category(Coded):
    """What bytes are for, in the order in which reports list them; ``meaning`` says which bytes these are."""

    GRAPH = "graph", "graph definitions: nodes, functions, operators, layer configuration"
    METADATA = "metadata", "signatures, versions, training configuration, names, attributes, indices"
    DENSE_WEIGHTS = "dense-weights", "densely stored elements of model tensors that are not zero"
    ZERO_WEIGHTS = "zero-weights", "densely stored elements of model tensors that are zero by value"
    COMPRESSED_WEIGHTS = "compressed-weights", "stored bytes of model tensors under a compressor"
    SPARSE_VALUES = "sparse-values", "kept values of sparse tensors"
    SPARSE_INDEX = "sparse-index", "segments, indices and dimension metadata of sparse tensors"
    QUANTIZATION = "quantization", "scales, zero points, ranges"
    OPTIMIZER_STATE = "optimizer-state", "slot variables, iterations, learning rates, moving-average shadows"
    PRUNING_STATE = (
        "pruning-state",
        "masks, thresholds, pruning steps, clustering and quantization-aware training helpers",
    )
    COMPILED = (
        "compiled",
        "programs for another processor with their weights inside: Edge TPU, Ethos-U, NPU byte code",
    )
    ASSETS = "assets", "vocabularies, label files and other files beside the model"
    DEBUG = "debug", "debug information, source maps, stack traces"
    CONTAINER = "container", "framing: headers, B-trees, heaps, tags, lengths, checksums"
    FREE = "free", "allocated and unused: padding, alignment, reserved slots, free space"
    UNATTRIBUTED = "unattributed", "bytes that no parser could name"

    @property
    def legend(self) -> str:
        """What the bytes are, in at most 33 characters: the line beside a bar."""
        return _LEGENDS[self]


_LEGENDS: dict[Category, str] = {
    Category.GRAPH: "layers, operators, functions",
    Category.METADATA: "names, versions, training config",
    Category.DENSE_WEIGHTS: "weights that are not zero",
    Category.ZERO_WEIGHTS: "zeros stored in full",
    Category.COMPRESSED_WEIGHTS: "weights, compressed",
    Category.SPARSE_VALUES: "values of sparse tensors",
    Category.SPARSE_INDEX: "positions of sparse values",
    Category.QUANTIZATION: "scales and zero points",
    Category.OPTIMIZER_STATE: "only needed to resume training",
    Category.PRUNING_STATE: "masks, thresholds, pruning steps",
    Category.COMPILED: "program for another processor",
    Category.ASSETS: "vocabularies, labels, other files",
    Category.DEBUG: "source locations, stack traces",
    Category.CONTAINER: "headers, indexes, checksums",
    Category.FREE: "allocated but not used, padding",
    Category.UNATTRIBUTED: "not identified",
}

HELPER_STATE: dict[str, tuple[str, str]] = {
    Helpers.CLUSTERING: ("clustering state", "centroids, and the index of each"),
    Helpers.QUANTIZATION: ("state of quantization-aware training", "ranges, steps of training"),
}
"""What the bytes of `PRUNING_STATE` are called, and their legend, by what wraps the layers where that is not
pruning.
"""
HELPER_ROLE: dict[str, str] = {
    Helpers.CLUSTERING: "clustering",
    Helpers.QUANTIZATION: "QAT",
}
"""What the text calls the role ``pruning``, by what wraps the layers where that is not pruning."""

CATEGORIES: tuple[Category, ...] = tuple(Category)
"""Every category, at the place that its code names."""

AROUND: tuple[Category, ...] = (
    Category.GRAPH,
    Category.METADATA,
    Category.ASSETS,
    Category.DEBUG,
    Category.CONTAINER,
    Category.FREE,
)
"""The categories of structures other than tensors."""
