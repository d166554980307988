"""MLIR byte code: the container of StableHLO programs, whatever dialects are in it.

Specification: mlir/docs/BytecodeFormat.md of the LLVM project. Operations are not decoded: every section,
string, attribute, type and resource can be found without them.
"""

from modelinspect.encodings.mlir.bytecode import (
    LAST_VERSION,
    Frame,
    MlirCursor,
    Section,
    SectionId,
    read_frame,
)
from modelinspect.encodings.mlir.tables import (
    Dialect,
    Dialects,
    Entry,
    Resource,
    ResourceKind,
    Strings,
    read_dialects,
    read_entries,
    read_resources,
    read_strings,
)

__all__ = [
    "LAST_VERSION",
    "Dialect",
    "Dialects",
    "Entry",
    "Frame",
    "MlirCursor",
    "Resource",
    "ResourceKind",
    "Section",
    "SectionId",
    "Strings",
    "read_dialects",
    "read_entries",
    "read_frame",
    "read_resources",
    "read_strings",
]
