"""Drop the optimizer's state of a checkpoint: its entries, and their nodes in the object graph."""

from __future__ import annotations

from posixpath import basename
from typing import Any

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import MIB
from modelinspect.core.names import OBJECT_GRAPH_KEY
from modelinspect.core.tensors import Role
from modelinspect.encodings.protobuf import parse_message
from modelinspect.encodings.sstable.checksum import masked_crc32c
from modelinspect.shrinking.bundle import Bundle
from modelinspect.shrinking.steps import NotShrinkableError

OBJECT_GRAPH = OBJECT_GRAPH_KEY.encode()
_GRAPH_MOST = 256 * MIB


def drop_optimizer(bundle: Bundle, artifact: Artifact) -> int:
    """Mark the entries that only the optimizer needs as dropped and return their bytes; the object graph
    loses them too.

    The nodes of the graph stay, and so do their numbers: TensorFlow restores a node without attributes as an
    object without variables. Raises `NotShrinkableError` where the object graph cannot be written again.
    """
    names = {
        name
        for tensor in artifact.tensors
        if tensor.role is Role.OPTIMIZER
        for name in (tensor.path, *tensor.aliases)
    }
    prefix = basename(bundle.prefix)
    dropped = {
        key
        for key in bundle.entries
        if (text := key.decode("utf-8", "replace")) in names or f"{prefix}:{text}" in names
    }
    if not dropped:
        return 0
    size: int = sum(bundle.entries[key].size for key in dropped)
    if OBJECT_GRAPH in bundle.entries:
        size += bundle.entries[OBJECT_GRAPH].size
        graph = read_object_graph(bundle)
        forget(graph, {key.decode("utf-8", "replace") for key in dropped})
        _replace_text(bundle, OBJECT_GRAPH, graph.SerializeToString(deterministic=True))
        size -= bundle.entries[OBJECT_GRAPH].size
    bundle.dropped |= dropped
    return size


def forget(graph: Any, keys: set[str]) -> None:
    """Take attributes that are stored under some keys out of an object graph, and slots of variables whose
    nodes have nothing left.
    """
    for node in graph.nodes:
        left = [each for each in node.attributes if each.checkpoint_key not in keys]
        if len(left) < len(node.attributes):
            del node.attributes[:]
            node.attributes.extend(left)
    for node in graph.nodes:
        slots = [each for each in node.slot_variables if graph.nodes[each.slot_variable_node_id].attributes]
        if len(slots) < len(node.slot_variables):
            del node.slot_variables[:]
            node.slot_variables.extend(slots)


def read_object_graph(bundle: Bundle) -> Any:
    """Return the object graph, which is stored as a tensor of one text.

    Raises `NotShrinkableError` where it cannot be written again.
    """
    source, offset, size = bundle.stored(OBJECT_GRAPH)
    if size > _GRAPH_MOST:
        raise NotShrinkableError(f"{bundle.prefix}: its object graph has {size:,} bytes")
    data = source.read_at(offset, size)
    length, at = _varint(data)
    graph = parse_message("TrackableObjectGraph", data[at + 4 : at + 4 + length], source.name, offset)
    if at + 4 + length != size or _stored_text(data[at + 4 :]) != (
        data,
        bundle.entries[OBJECT_GRAPH].crc32c,
    ):
        raise NotShrinkableError(f"{bundle.prefix}: its object graph is not stored as TensorFlow stores it")
    count = len(graph.nodes)  # type: ignore[attr-defined]
    if any(each.slot_variable_node_id >= count for node in graph.nodes for each in node.slot_variables):  # type: ignore[attr-defined]
        raise NotShrinkableError(f"{bundle.prefix}: its object graph names a node that does not exist")
    return graph


def _varint(data: bytes) -> tuple[int, int]:
    """Return the first number of data and where it ends."""
    value = 0
    for at, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return value, at + 1
    raise NotShrinkableError("its object graph has no length")


def _replace_text(bundle: Bundle, key: bytes, text: bytes) -> None:
    data, checksum = _stored_text(text)
    bundle.replaced[key] = data
    bundle.entries[key].size = len(data)
    bundle.entries[key].crc32c = checksum


def _stored_text(text: bytes) -> tuple[bytes, int]:
    """Return a tensor of one text as it is stored, and its checksum (tensor_bundle.cc, WriteStringTensor).

    That is its length, a checksum of the length as 4 bytes, and the text; the checksum of all has the length
    as 4 bytes too.
    """
    number = len(text)
    length = bytearray()
    while number >= 0x80:
        length.append(number & 0x7F | 0x80)
        number >>= 7
    length.append(number)
    fixed = len(text).to_bytes(4, "little")
    guard = masked_crc32c(fixed).to_bytes(4, "little")
    return bytes(length) + guard + text, masked_crc32c(fixed + guard + text)
