"""Find the elements of constants in a graph in text form, while its text is walked."""

from __future__ import annotations

from math import prod

from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.core.tensors import ElementKind, Role, Storage, Tensor, TextPayload, dense_size
from modelinspect.encodings.protobuf import message_class
from modelinspect.formats.base import Site
from modelinspect.formats.graph.constants import LARGEST
from modelinspect.formats.graph.data_types import data_type

_TEXT_SIZE = 1 << 16
"""The longest text of a constant without its elements."""

_SPACES = b" \t\r\n\v\f,;"

Found = tuple[int, int, RegionKind, TensorId]
"""Where the elements of a constant begin and end, what they are, and whose."""


@dataclass(slots=True)
class _Open:
    """A message that is open, by the frame that stands for it, and its name."""

    frame: object
    name: str


@dataclass(slots=True)
class _Constant:
    """A TensorProto: where it begins after its bracket and ends before the next, and its fields of elements.

    Of each field: where its name begins, where its value does, and where that ends.
    """

    frame: object
    begin: int
    end: int = 0
    fields: list[tuple[int, int, int]] = field(default_factory=list)


class TextConstants:
    """Receives messages and values in their order, and describes constants when their attribute ends."""

    __slots__ = ("_attribute", "_constant", "_data", "_done", "_function", "_node", "_site")

    def __init__(self, site: Site, data: bytes) -> None:
        self._site = site
        self._data = data
        self._function = self._node = self._attribute = _Open(None, "")
        self._constant: _Constant | None = None
        self._done: list[_Constant] = []

    def opened(self, frame: object, type_name: str, name: str, begin: int) -> None:
        """Take in that a message begins: of that type, with that name, its fields from ``begin`` on."""
        match type_name:
            case "tensorflow.FunctionDef":
                self._function = _Open(frame, name)
            case "tensorflow.NodeDef":
                self._node = _Open(frame, name)
            case "tensorflow.NodeDef.AttrEntry":
                self._attribute = _Open(frame, name)
                self._done = []
            case "tensorflow.TensorProto" if self._attribute.frame is not None and self._constant is None:
                self._constant = _Constant(frame, begin)

    def value(self, frame: object, name: str, start: int, begin: int, end: int) -> None:
        """Take in the value of a field whose name begins at ``start``."""
        constant = self._constant
        if (
            constant is not None
            and frame is constant.frame
            and (name == "tensor_content" or name.endswith("_val"))
        ):
            constant.fields.append((start, begin, end))

    def closed(self, frame: object, offset: int) -> list[Found]:
        """Take in that a message ends; return the constants of an attribute that does."""
        if self._constant is not None and frame is self._constant.frame:
            self._constant.end = offset
            self._done.append(self._constant)
            self._constant = None
        elif frame is self._attribute.frame:
            done, key = self._done, self._attribute.name
            self._attribute, self._done = _Open(None, ""), []
            scope = f"{self._function.name}/" if self._function.frame is not None else ""
            name = f"{scope}{self._node.name}" if key == "value" else f"{scope}{self._node.name}:{key}"
            return [
                found
                for index, constant in enumerate(done)
                for found in self._add(constant, name if len(done) == 1 else f"{name}[{index}]")
            ]
        elif frame is self._function.frame:
            self._function = _Open(None, "")
        return []

    def _add(self, constant: _Constant, name: str) -> list[Found]:
        """Add the tensor and return where its elements are: fields of one name that follow each other are one
        run.
        """
        from google.protobuf import text_format

        proto = message_class("TensorProto")()
        rest = self._without_values(constant)
        try:
            if len(rest) > _TEXT_SIZE:
                return []
            text_format.Parse(rest, proto)
        except (text_format.ParseError, ValueError, RecursionError, OverflowError):
            return []
        dtype = data_type(proto.dtype)  # type: ignore[attr-defined]
        shape = tuple(dimension.size for dimension in proto.tensor_shape.dim)  # type: ignore[attr-defined]
        note = ""
        if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):  # type: ignore[attr-defined]
            note, shape = "its shape is not fully known", ()
        elif prod(shape) >= LARGEST:
            note, shape = "its shape has more elements than can be counted", ()
        elif dtype.kind in (ElementKind.STRING, ElementKind.OPAQUE):
            note = f"elements of type {dtype} are not numbers"
        spans = self._runs(constant)
        payload = (
            None
            if note
            else TextPayload(self._site.stream, Span(constant.begin, constant.end - constant.begin))
        )
        extents = tuple(self._site.extent(span.offset, span.size, "text") for span in spans)
        size = dense_size(dtype, shape)
        tensor = self._site.parsing.add_tensor(
            Tensor(name, dtype, shape, Role.CONSTANT, Storage.INLINE, extents, size, None, payload, note)
        )
        kind = (
            RegionKind.GRAPH
            if dtype.kind in (ElementKind.STRING, ElementKind.OPAQUE)
            else RegionKind.TENSOR_DATA
        )
        return [(span.offset, span.end, kind, tensor) for span in spans]

    def _without_values(self, constant: _Constant) -> bytes:
        """Return the text of a constant but for its values, and but for the spaces between them."""
        pieces: list[bytes] = []
        place = constant.begin
        for start, _, end in (*constant.fields, (constant.end, 0, 0)):
            piece = self._data[place:start].strip(_SPACES)
            if piece:
                pieces.append(piece)
            place = end
        return b"\n".join(pieces)

    def _runs(self, constant: _Constant) -> list[Span]:
        """Return where the values are: those that nothing else is between are one run."""
        runs: list[tuple[int, int]] = []
        last = -1
        for start, begin, end in constant.fields:
            if runs and not self._data[last:start].strip(_SPACES):
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((begin, end))
            last = end
        return [Span(begin, end - begin) for begin, end in runs]
