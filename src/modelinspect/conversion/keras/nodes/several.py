"""Functions that make several tensors of one: splits, and tensors that are taken apart along an axis."""

from __future__ import annotations

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import UnknownLayerError
from modelinspect.conversion.keras.nodes.arguments import Arguments
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.operators import INT32

_MOST_PARTS = 1 << 12


def split(t: Trace, given: Arguments) -> Item:
    """Split along an axis into equal parts, or at indices (Keras 3), or into lengths (TensorFlow)."""
    x = given.tensor(0, "x", "value")
    axes, sections = (
        given.integers(2, "axis") or [0],
        given.get(1, "indices_or_sections", "num_or_size_splits"),
    )
    if len(axes) != 1 or not -len(x.shape) <= axes[0] < len(x.shape):
        raise UnknownLayerError("along another axis")
    name = t.call.scopes.unique(t.call.at("split")[0])
    axis = t.constant(axes[0], f"{name}/split_dim", INT32, inside=False)
    if isinstance(sections, int) and not isinstance(sections, bool):
        return t.outside("Split", [axis, x], name, num_split=sections)
    lengths = [each for each in sections if isinstance(each, int)] if isinstance(sections, list) else []
    if not lengths or not isinstance(sections, list) or len(lengths) != len(sections) or min(lengths) < 0:
        raise UnknownLayerError("of other settings")
    if t.is_keras3:
        ends = [*lengths, x.shape[axes[0]]]
        lengths = [end - begin for begin, end in zip([0, *lengths], ends, strict=True)]
        if min(lengths) < 0:
            raise UnknownLayerError("of other settings")
    return t.outside("SplitV", [x, t.constant(lengths, f"{name}/Const", INT32, inside=False), axis], name)


def unstacked(t: Trace, given: Arguments) -> Item:
    """Take an axis apart: one tensor for each place of it."""
    x = given.tensor(0, "x", "value")
    axes = given.integers(2, "axis") or [0]
    if len(axes) != 1 or not -len(x.shape) <= axes[0] < len(x.shape):
        raise UnknownLayerError("along another axis")
    count = given.get(1, "num") or x.shape[axes[0]]
    if not isinstance(count, int) or not 0 < count <= _MOST_PARTS:
        raise UnknownLayerError("of a length that is not known")
    return t.node("Unpack", [x], "unstack", num=count, axis=axes[0])
