"""Reads TFLite models with TensorFlow's generated classes and its interpreter, for comparison."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def object_model(data: bytes) -> Any:
    """Return the model as TensorFlow's object API reads it."""
    from tensorflow.lite.python import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(data)


def text(value: bytes | str | None) -> str:
    """Return a name of the object API as text."""
    return (value or b"").decode("utf-8", "replace") if isinstance(value, bytes | type(None)) else value


def numbers(vector: Any) -> tuple[Any, ...]:
    """Return a vector of the object API; None is empty."""
    return () if vector is None else tuple(x.item() if hasattr(x, "item") else x for x in vector)


def buffer_bytes(model: Any, data: bytes, index: int) -> bytes:
    """Return the bytes of a buffer, wherever they stand."""
    if not 0 <= index < len(model.buffers):
        return b""
    buffer = model.buffers[index]
    if buffer.offset > 1:
        return data[buffer.offset : buffer.offset + buffer.size]
    return (
        b""
        if buffer.data is None
        else bytes(memoryview(buffer.data).cast("B"))
        if hasattr(buffer.data, "dtype")
        else bytes(buffer.data)
    )


def tensors(model: Any, data: bytes) -> dict[tuple[int, int], dict[str, Any]]:
    """Return every tensor by subgraph and index: name, type, shape, quantization, sparsity, bytes."""
    found = {}
    for g, graph in enumerate(model.subgraphs or []):
        for t, tensor in enumerate(graph.tensors or []):
            q, s = tensor.quantization, tensor.sparsity
            found[g, t] = {
                "name": text(tensor.name),
                "type": tensor.type,
                "shape": numbers(tensor.shape),
                "variable": tensor.isVariable,
                "quantization": (
                    None
                    if q is None
                    else (
                        numbers(q.scale),
                        numbers(q.zeroPoint),
                        q.quantizedDimension,
                        numbers(q.min),
                        numbers(q.max),
                        q.detailsType,
                    )
                ),
                "details": (
                    None
                    if q is None or q.details is None
                    else {k: repr(v) for k, v in vars(q.details).items()}
                ),
                "sparsity": None if s is None else sparsity(s),
                "bytes": buffer_bytes(model, data, tensor.buffer),
            }
    return found


def sparsity(s: Any) -> tuple[Any, ...]:
    """Return the index of a sparse tensor as plain values."""

    def index(vector: Any) -> tuple[Any, ...]:
        return () if vector is None else numbers(vector.values)

    axes = tuple(
        (d.format, d.denseSize, index(d.arraySegments), index(d.arrayIndices)) for d in s.dimMetadata
    )
    return numbers(s.traversalOrder), numbers(s.blockMap), axes


def rest(model: Any) -> str:
    """Return all of a model but its tensors and the bytes of its buffers, as text."""

    def plain(value: Any) -> Any:
        if hasattr(value, "__dict__"):
            return {
                type(value).__name__: {
                    k: plain(v) for k, v in vars(value).items() if k not in ("tensors", "buffers")
                }
            }
        if hasattr(value, "tolist"):
            return value.tolist()
        return [plain(item) for item in value] if isinstance(value, list) else repr(value)

    return repr(plain(model))


def interpreter(data: bytes) -> Any:
    """Return an interpreter that keeps all tensors and runs no delegate."""
    import tensorflow as tf

    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    return tf.lite.Interpreter(
        model_content=data, experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=True
    )
