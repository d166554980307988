"""Find the attributes of a node in its bytes, and the constants in them."""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.records import dataclass
from modelinspect.encodings.protobuf import message
from modelinspect.encodings.protobuf.wire import FieldAt, Malformed, check, scan
from modelinspect.formats.graph.constants import Constant, find_constant

BYTES_VALUE = 2 << 3 | 2


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one entry of ``NodeDef.attr`` says; offsets count from the start of the entry."""

    part: str
    constants: tuple[Constant, ...]
    functions: tuple[str, ...]
    size: int
    skeleton: bytes
    """The entry without the names of functions, to compare bodies."""
    module: tuple[int, int] | None = None
    """Where the value is a program in MLIR byte code: its offset and end."""


def said(attributes: list[Attribute]) -> tuple[bytes, tuple[str, ...]]:
    """Return what the attributes of a node say without the functions that they name, and those."""
    skeleton = b"\0".join(sorted(attribute.skeleton for attribute in attributes))
    return skeleton, tuple(function for attribute in attributes for function in attribute.functions)


def sound(data: bytes, index: int, end: int) -> list[FieldAt]:
    """Return the fields before the one that is broken at ``end``."""
    while True:
        try:
            return scan(data, index, end)
        except Malformed as trouble:
            if trouble.index >= end:
                return []
            end = trouble.index


def read_attribute(entry: bytes, value_class: type) -> Attribute:
    """Read an entry of ``attr``. Raises `Malformed`."""
    from google.protobuf.message import DecodeError

    key = ""
    begin = end = 0
    for _, tag, value, stop in scan(entry, 0, len(entry)):
        if tag == 0x0A:
            key = entry[value:stop].decode(errors="replace")
        elif tag == 0x12:
            begin, end = value, stop
    parsed = value_class()
    try:
        parsed.ParseFromString(entry[begin:end])
    except DecodeError as error:
        check(entry, begin, end, message("AttrValue"))
        raise Malformed(f"a protobuf reader refuses the value of attribute {key}: {error}", begin) from error
    constants: list[Constant] = []
    functions: tuple[str, ...] = ()
    skeleton = entry
    module: tuple[int, int] | None = None
    match parsed.WhichOneof("value"):
        case "s" if parsed.s.startswith(signatures.MLIR):
            module = next(
                (
                    (value, stop)
                    for _, tag, value, stop in reversed(scan(entry, begin, end))
                    if tag == BYTES_VALUE
                ),
                None,
            )
        case "tensor":
            constants = _constants_in(entry, begin, end)
        case "list":
            for _, tag, value, stop in scan(entry, begin, end):
                if tag == 0x0A and parsed.list.tensor:
                    constants += _constants_in(entry, value, stop)
            functions = tuple(function.name for function in parsed.list.func)
        case "func":
            functions = (parsed.func.name,)
    if functions:
        skeleton = b"%s=function" % key.encode()
    return Attribute(f"attr {key}", tuple(constants), functions, len(entry), skeleton, module)


def _constants_in(data: bytes, begin: int, end: int) -> list[Constant]:
    """Return the constants that are in field 8 of an AttrValue or of its list: both call it ``tensor``."""
    return [
        find_constant(value, stop, scan(data, value, stop), lambda first, last: data[first:last])
        for _, tag, value, stop in scan(data, begin, end)
        if tag == 8 << 3 | 2
    ]
