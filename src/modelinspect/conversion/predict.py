"""Predict the size of every TFLite form of a float model."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from modelinspect.conversion.flatbuffer.size import packed_size
from modelinspect.conversion.flatbuffer.write import write
from modelinspect.conversion.forms.elements import Contents, Elements
from modelinspect.conversion.forms.integer import check_graphs, to_integer
from modelinspect.conversion.forms.integer_parts import Decided
from modelinspect.conversion.forms.narrow_weights import to_float16, to_int8
from modelinspect.conversion.forms.rewrite import (
    Model,
    SparseTensor,
    Weights,
    add_metadata,
    buffers_in_order,
    put_together,
    take_apart,
)
from modelinspect.conversion.forms.sparse import to_sparse
from modelinspect.conversion.releases import NEWEST, Release
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.names import CONVERSION_METADATA, MIN_RUNTIME_VERSION
from modelinspect.core.records import dataclass
from modelinspect.formats.tflite.schema import schema
from modelinspect.measure.compressors import GZIP_FRAME, Deflate
from modelinspect.measure.kept import Kept
from modelinspect.sources.base import Source

CONVERSION = CONVERSION_METADATA.encode()
_RUNTIME = MIN_RUNTIME_VERSION.encode(), b"1.14.0".ljust(16, b"\0")
_RUNTIME_SIZE = 16
_INTEGER = (Weights.FULL_INT8, Weights.INT16X8)
_HASH = 0x9E3779B97F4A7C15
"""Any number: that of a real model has as many bytes, and no order either."""


@dataclass(frozen=True, slots=True)
class Form:
    """A TFLite file that the converter could make; ``sparse`` are the tensors that it would encode.

    ``doubt`` is how many bytes there may be more or less, as the samples for the calibration decide.
    """

    weights: Weights
    is_sparse: bool
    size: int
    sparse: tuple[SparseTensor, ...]
    root: Node
    model: Model
    told: Node | None = None
    doubt: int = 0


def predict(
    root: Node,
    kept: Mapping[int, Kept],
    weights: Weights,
    *,
    sparse: bool,
    release: Release = NEWEST,
    elements: Mapping[int, Elements] | None = None,
) -> Form:
    """Return one form of a float model, as a release of TensorFlow writes it; ``elements`` gives those of its
    constants by their buffers.

    Raises `UnmeasurableError` where it is not known how an operator is quantized to integers.
    """
    if weights in _INTEGER:
        check_graphs(root)
    model, decided = take_apart(root, kept, release), Decided()
    if weights is Weights.FLOAT16:
        to_float16(model, elements)
    elif weights is Weights.INT8:
        to_int8(model, sparse=sparse)
    elif weights in _INTEGER:
        decided = to_integer(model, weights, sparse=sparse, elements=elements)
    if sparse:
        to_sparse(model)
    if release.repeats_metadata and (sparse or weights is Weights.FULL_INT8):
        add_metadata(model, MIN_RUNTIME_VERSION.encode(), _RUNTIME_SIZE)
    told = _tell_conversion(model, weights, release)
    tree = put_together(model)
    tree.set_list("buffers", buffers_in_order(model))
    size = packed_size(tree, schema("model")) + decided.expected
    return Form(weights, sparse, size, tuple(model.sparse), tree, model, told, decided.doubt)


def gzipped_size(
    form: Form,
    elements: Mapping[int, Elements],
    source: Source | None = None,
    sizes: dict[bytes, int] | None = None,
) -> int:
    """Return what gzip -9 makes of the form, without a name in its header.

    Raises `FormatError`, `UnmeasurableError`.

    ``elements`` gives those of the float model's constants; ``source`` is the file that the form was read
    from, if any. ``sizes`` keeps what files compress to by their digests: forms of small kernels are equal.
    """
    contents = Contents(form.model, elements, source)
    for name, data in (
        _RUNTIME,
        (
            CONVERSION,
            bytes(write(form.told, schema("conversion"), contents)) if form.told is not None else b"",
        ),
    ):
        contents.put_metadata(form.model, name, data)
    written = write(form.root, schema("model"), contents, form.size)
    sizes = {} if sizes is None else sizes
    key = sha256(written).digest()
    if key not in sizes:
        stream = Deflate()
        stream.add(written)
        sizes[key] = stream.finish() + GZIP_FRAME
    return sizes[key]


def _tell_conversion(model: Model, weights: Weights, release: Release) -> Node | None:
    """Write how the model was converted, as the converter does at last; return what it says."""
    if "metadata" not in model.root.lists:
        model.root.set_list("metadata", [])  # the converter always writes this vector
    entries = model.root.lists["metadata"]
    entry = next((each for each in entries if each.values.get("name") == CONVERSION), None)
    if entry is None:
        return None
    modes = (weights is not Weights.FLOAT32) + len({each.block > 1 for each in model.sparse})
    environment = Node(
        "Environment",
        {"tensorflow_version": release.version.encode(), "api_version": 2, "model_type": 2},
    )
    if release.has_hash:
        environment.set(model_hash=_HASH)
    options = Node("ConversionOptions", {"model_optimization_modes": Vector(modes, 4)})
    told = Node("ConversionMetadata", {}, {"environment": environment, "options": options})
    model.store(entry.number("buffer"), packed_size(told, schema("conversion")))
    return told
