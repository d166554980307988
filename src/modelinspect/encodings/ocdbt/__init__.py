"""OCDBT: the B+tree of keys and values in which TensorStore and Orbax keep arrays.

Specification: tensorstore/kvstore/ocdbt/index.rst.
"""

from modelinspect.encodings.ocdbt.frames import Frame, FrameKind, read_frame
from modelinspect.encodings.ocdbt.trees import (
    Entry,
    Manifest,
    Node,
    Place,
    Version,
    VersionNode,
    read_manifest,
    read_node,
    read_version_node,
)

__all__ = [
    "Entry",
    "Frame",
    "FrameKind",
    "Manifest",
    "Node",
    "Place",
    "Version",
    "VersionNode",
    "read_frame",
    "read_manifest",
    "read_node",
    "read_version_node",
]
