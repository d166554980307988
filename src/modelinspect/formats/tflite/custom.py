"""Name what custom operators carry: flexbuffers, Flex nodes, byte code of accelerators."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.encodings.flatbuffers.flexbuffers import Flex, read_flex
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.compiled import EDGE_TPU

LARGEST = 1 << 20
"""Options above this are named whole: a flexbuffer of that size is data, not options."""
VALUES = 65_536


PAYLOAD = 256
"""A value of an Edge TPU's options above this is the program, not a setting."""


def claim_options(site: Site, offset: int, size: int, path: PathId, operator: str) -> Flex | None:
    """Claim the options of an operator: value by value where they are a flexbuffer, or else whole.

    Return the flexbuffer.
    """
    is_program = operator == EDGE_TPU
    flex = None
    if 0 < size <= LARGEST:
        try:
            flex = read_flex(site.source.read_at(offset, size), VALUES)
        except FormatError:  # options may be anything: custom operators read them as they like
            flex = None
    if flex is None:
        site.claims.claim(offset, size, RegionKind.COMPILED if is_program else RegionKind.GRAPH, path)
        return None
    paths = site.claims.paths
    end = 0
    for span in flex.spans:
        value = RegionKind.COMPILED if is_program and span.size > PAYLOAD else RegionKind.GRAPH
        kind = RegionKind.CONTAINER if span.framing else value
        name = _flex_names(span.path) if operator.startswith("Flex") else span.path
        site.claims.claim(offset + span.offset, span.size, kind, paths.child(path, *name))
        if span.offset > end:
            site.claims.claim(offset + end, span.offset - end, RegionKind.FREE, paths.child(path, "padding"))
        end = span.offset + span.size
    return flex


def _flex_names(path: tuple[str, ...]) -> tuple[str, ...]:
    """Say what the two elements of a Flex operator's options are: the TensorFlow operator and its node, a
    serialized NodeDef.
    """
    match path:
        case ("[0]", *rest):
            return ("operator", *rest)
        case ("[1]", *rest):
            return ("NodeDef", *rest)
    return path


def byte_code(flex: Flex | None) -> tuple[int, int, str] | None:
    """Return where an operator of an accelerator (DISPATCH_OP) has its byte code in the file, and the code's
    name.
    """
    if flex is None or not isinstance(flex.root, Mapping):
        return None
    offset, size, name = (flex.root.get(key) for key in ("bytecode_offset", "bytecode_size", "name"))
    if type(offset) is not int or type(size) is not int or offset <= 0 or size <= 0:
        return None
    return offset, size, name if isinstance(name, str) else ""


def byte_code_note(data: bytes) -> tuple[int, int] | None:
    """Return the offset and size that the metadata NPU_BYTE_CODE gives: two decimal numbers of 16 characters
    after a tag.
    """
    tag = b"<npu_byte_code>"
    if not data.startswith(tag):
        return None
    numbers = [part for part in data[len(tag) :].split(b"\0") if part]
    if len(numbers) != 2 or not all(number.isdigit() and len(number) < 20 for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1])
