"""Computes the bytes that a case is about without modelinspect: arithmetic of its construction, and what
other software reads of its files.

A case's figures are formulas over the functions of this module. ``before`` and ``after`` are the two
artifacts.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any


def evaluate(formula: str, before: Path, after: Path) -> int:
    """Return the value of a formula; our own test data, not input."""
    names = {"before": before, "after": after, **READERS}
    value = eval(formula, {"__builtins__": {}}, names)
    assert isinstance(value, int), formula
    return value


def size(path: Path) -> int:
    """Return the bytes of a file, of all files of a folder, or of those of a checkpoint's prefix."""
    if path.is_file():
        return path.stat().st_size
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}.*")
    return sum(one.stat().st_size for one in files if one.is_file())


def dense(*layers: tuple[int, int]) -> int:
    """Return the parameters of dense layers, each of inputs and outputs: a kernel and a bias."""
    return sum(inputs * outputs + outputs for inputs, outputs in layers)


def pruned(sparsity: float, *kernels: int) -> int:
    """Return the zeros that tfmot leaves in kernels of so many elements: it rounds what it keeps
    (pruning_impl.py, _update_mask).
    """
    return sum(count - round(count * (1 - sparsity)) for count in kernels)


def h5(path: Path, name: str = "") -> int:
    """Return the bytes that the HDF5 library says it stores for data sets whose path matches, also in a
    .keras.
    """
    return sum(dataset.id.get_storage_size() for place, dataset in _datasets(path) if re.search(name, place))


def zip_member(path: Path, name: str) -> int:
    """Return the bytes of a member of a zip archive, decoded."""
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo(name).file_size


def zip_stored(path: Path) -> int:
    """Return the bytes that the members of a zip archive take, compressed or not."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.compress_size for entry in archive.infolist())


def h5_named(path: Path) -> int:
    """Return the bytes of attributes and names: each name with the zero that ends it, each value, of a string
    its reference (16) too.
    """
    import h5py

    total = 0
    with h5py.File(path) as file:
        objects: list[Any] = [file]
        file.visititems(lambda _, item: objects.append(item))
        for item in objects:
            total += sum(len(name) + 1 + _attribute_bytes(item, name) for name in item.attrs)
            total += sum(len(name) + 1 for name in item) if isinstance(item, h5py.Group) else 0
    return total


def _attribute_bytes(item: Any, name: str) -> int:
    import h5py

    attribute = item.attrs.get_id(name)
    kind, count = attribute.get_type(), prod(attribute.shape)
    if not isinstance(kind, h5py.h5t.TypeStringID) or not kind.is_variable_str():
        return int(kind.get_size()) * count
    value = item.attrs[name]
    texts = [value] if isinstance(value, str | bytes) else list(value.flat)
    return 16 * count + sum(len(text.encode() if isinstance(text, str) else text) for text in texts)


def h5_zeros(path: Path, name: str = "") -> int:
    """Return the bytes of the zeros in data sets of two axes or more whose path matches."""
    return sum(_zeros(array) for array in _kernels(path, name))


def h5_negative_zeros(path: Path, name: str = "") -> int:
    """Return the bytes of those zeros that are -0.0."""
    return sum(_negative_zeros(array) for array in _kernels(path, name))


def h5_dead(path: Path, name: str = "", inputs: int = 10) -> int:
    """Return the bytes that two dense layers have less without dead channels between them; the first has so
    many inputs.
    """
    return _without_channels(_kernels(path, name), inputs)


def _without_channels(kernels: list[Any], inputs: int) -> int:
    """Return the bytes of a chain of dense layers, less those of one without the channels that are zeros
    alone or that nobody reads.
    """
    kernels = sorted(kernels, key=lambda kernel: kernel.shape[0] != inputs)
    alive = [
        kernels[0].shape[0],
        *(int((one.any(axis=0) & other.any(axis=1)).sum()) for one, other in pairwise(kernels)),
    ]
    left = zip(alive, [*alive[1:], kernels[-1].shape[1]], strict=True)
    item = kernels[0].itemsize
    before = sum(item * prod(kernel.shape) + 4 * kernel.shape[1] for kernel in kernels)  # biases are float32
    return before - sum(item * height * width + 4 * width for height, width in left)


def _kernels(path: Path, name: str) -> list[Any]:
    arrays = [dataset[()] for place, dataset in _datasets(path) if re.search(name, place)]
    return [array for array in arrays if array.ndim > 1]


def _zeros(array: Any) -> int:
    return int(array.itemsize) * int((array == 0).sum())


def _negative_zeros(array: Any) -> int:
    import numpy as np

    return int(array.itemsize) * int(((array == 0) & np.signbit(array)).sum())


def _datasets(path: Path) -> Iterator[tuple[str, Any]]:
    import h5py

    source: Any = path
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read("model.weights.h5"))
    found: list[tuple[str, Any]] = []
    with h5py.File(source) as file:
        file.visititems(
            lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None
        )
        yield from found


def checkpoint(prefix: Path, name: str = "") -> int:
    """Return the bytes of the variables that TensorFlow reads from a checkpoint, or from a SavedModel's;
    strings are none.
    """
    return sum(array.nbytes for place, array in _variables(prefix) if re.search(name, place))


def checkpoint_zeros(prefix: Path, name: str = "") -> int:
    """Return the bytes of the zeros in a checkpoint's variables of two axes or more."""
    return sum(
        _zeros(array) for place, array in _variables(prefix) if array.ndim > 1 and re.search(name, place)
    )


def checkpoint_negative_zeros(prefix: Path, name: str = "") -> int:
    """Return the bytes of those zeros that are -0.0."""
    return sum(
        _negative_zeros(array)
        for place, array in _variables(prefix)
        if array.ndim > 1 and re.search(name, place)
    )


def _variables(prefix: Path) -> Iterator[tuple[str, Any]]:
    import numpy as np
    import tensorflow as tf

    prefix = prefix / "variables/variables" if (prefix / "variables").is_dir() else prefix
    reader = tf.train.load_checkpoint(str(prefix))
    for name in sorted(reader.get_variable_to_shape_map()):
        array = np.asarray(reader.get_tensor(name))
        if array.dtype.kind in "fiub":
            yield name, array


def constants(path: Path, name: str = "") -> int:
    """Return the bytes of the constants of numbers in a graph, its functions included, as TensorFlow's
    classes read it.
    """
    import tensorflow as tf

    total = 0
    for scope, node in _nodes(path):
        if node.op == "Const" and re.search(name, f"{scope}/{node.name}"):
            array = tf.make_ndarray(node.attr["value"].tensor)
            total += array.nbytes if array.dtype.kind in "fiub" else 0
    return total


def stored_constants(path: Path) -> int:
    """Return the bytes that the elements of those constants take as they are written: whole, or an integer in
    as few as it needs.
    """
    total = 0
    for _, node in _nodes(path):
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            total += (
                len(tensor.tensor_content)
                + 4 * len(tensor.float_val)
                + sum(max(value.bit_length() + 6, 7) // 7 for value in tensor.int_val)
            )
    return total


def constant_zeros(path: Path, name: str = "") -> int:
    """Return the bytes of the zeros in the constants of two axes or more."""
    return sum(_zeros(array) for array in _matrices_of_graph(path, name))


def constant_negative_zeros(path: Path, name: str = "") -> int:
    """Return the bytes of those zeros that are -0.0."""
    return sum(_negative_zeros(array) for array in _matrices_of_graph(path, name))


def _matrices_of_graph(path: Path, name: str) -> list[Any]:
    import tensorflow as tf

    found = [
        tf.make_ndarray(node.attr["value"].tensor)
        for _, node in _nodes(path)
        if node.op == "Const" and re.search(name, node.name)
    ]
    return [array for array in found if array.dtype.kind == "f" and array.ndim > 1]


def node_bytes(path: Path) -> int:
    """Return the bytes of the nodes of a graph, each without the tag and the length before it."""
    return sum(int(node.ByteSize()) for _, node in _nodes(path))


def _nodes(path: Path) -> Iterator[tuple[str, Any]]:
    graph = _graph(path)
    for node in graph.node:
        yield "", node
    for function in graph.library.function:
        for node in function.node_def:
            yield function.signature.name, node


@cache
def _graph(path: Path) -> Any:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    if path.is_dir():
        return SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    if path.suffix == ".meta":
        return MetaGraphDef.FromString(path.read_bytes()).graph_def
    return GraphDef.FromString(path.read_bytes())


def tflite(path: Path) -> int:
    """Return the bytes of the buffers of a TFLite model that tensors refer to, each tensor's for itself."""
    return sum(len(found["bytes"]) for found in _constants(path))


def tflite_dense(path: Path) -> int:
    """Return what the sparse tensors of a TFLite model would take dense: an element is as wide as its values
    are.
    """
    return sum(prod(found["shape"]) * _width(found) for found in _constants(path) if found["sparsity"])


def tflite_values(path: Path) -> int:
    """Return the bytes of the values that sparse tensors keep."""
    return sum(len(found["bytes"]) for found in _constants(path) if found["sparsity"])


def tflite_zeros(path: Path) -> int:
    """Return the bytes of the zeros in the dense constants of two axes or more; weights are quantized around
    0.
    """
    return sum(_zeros(array) for array in _matrices(path))


def tflite_negative_zeros(path: Path) -> int:
    """Return the bytes of those zeros that are -0.0."""
    return sum(_negative_zeros(array) for array in _matrices(path))


def tflite_dead(path: Path, inputs: int) -> int:
    """Return the bytes that two dense layers have less without dead channels between them; the first has so
    many inputs.
    """
    return _without_channels([array.T for array in _matrices(path)], inputs)


def _matrices(path: Path) -> list[Any]:
    import numpy as np

    kinds = {0: "<f4", 1: "<f2", 9: "i1"}
    return [
        np.frombuffer(found["bytes"], kinds[found["type"]]).reshape(found["shape"][0], -1)
        for found in _constants(path)
        if len(found["shape"]) > 1 and not found["sparsity"] and found["type"] in kinds
    ]


def tflite_scales(path: Path) -> int:
    """Return the bytes of scales (4 each) and zero points (8 each) of all tensors."""
    found = [each["quantization"] for each in _tensors(path) if each["quantization"] is not None]
    return sum(4 * len(scales) + 8 * len(points) for scales, points, *_ in found)


def tflite_index(path: Path) -> int:
    """Return the bytes of the indices of sparse tensors: how each axis lies, segments and indices as wide as
    the largest needs.
    """
    total = 0
    for found in _constants(path):
        if found["sparsity"]:
            traversal, blocks, axes = found["sparsity"]
            total += 4 * (len(traversal) + len(blocks))
            total += sum(_axis_bytes(*axis) for axis in axes)
    return total


def _axis_bytes(format: int, dense_size: int, segments: tuple[int, ...], indices: tuple[int, ...]) -> int:
    """Return the bytes of the fields of DimensionMetadata (schema.fbs); a field of its default value is not
    written.
    """
    fields = (1 if format else 0) + (4 if dense_size else 0)
    return fields + sum(1 + len(run) * _index_width(run) for run in (segments, indices) if run)


def tflite_copies(path: Path) -> int:
    """Return the bytes of constants of a TFLite model whose elements another constant before them has too."""
    seen: set[bytes] = set()
    again = 0
    for found in _constants(path):
        again += len(found["bytes"]) if found["bytes"] in seen else 0
        seen.add(found["bytes"])
    return again


def _index_width(run: tuple[int, ...]) -> int:
    largest = max(run, default=0)
    return 1 if largest <= 0xFF else 2 if largest <= 0xFFFF else 4


def _width(found: dict[str, Any]) -> int:
    return {0: 4, 1: 2, 9: 1}[found["type"]]


def _constants(path: Path) -> list[dict[str, Any]]:
    return [found for found in _tensors(path) if found["bytes"]]


@cache
def _tensors(path: Path) -> list[dict[str, Any]]:
    from tests.support.tflite_oracle import object_model, tensors

    data = path.read_bytes()
    return list(tensors(object_model(data), data).values())


READERS = {
    reader.__name__: reader
    for reader in (
        *(dense, pruned, size),
        *(zip_member, zip_stored, h5, h5_named, h5_zeros, h5_negative_zeros, h5_dead),
        *(checkpoint, checkpoint_zeros, checkpoint_negative_zeros),
        *(constants, stored_constants, constant_zeros, constant_negative_zeros, node_bytes),
        *(
            tflite,
            tflite_dense,
            tflite_values,
            tflite_zeros,
            tflite_negative_zeros,
            tflite_dead,
            tflite_scales,
            tflite_index,
            tflite_copies,
        ),
    )
}
