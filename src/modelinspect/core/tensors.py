"""Describe tensors: what they are, where their bytes are and how their elements are laid out."""

from __future__ import annotations

from array import array
from enum import StrEnum
from math import prod

from modelinspect.core.dtypes import DTYPES as DTYPES
from modelinspect.core.dtypes import DType as DType
from modelinspect.core.dtypes import ElementKind as ElementKind
from modelinspect.core.dtypes import opaque as opaque
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.errors import InvariantError


class ByteOrder(StrEnum):
    """Which byte of an element comes first."""

    LITTLE = "little"
    BIG = "big"


class Role(StrEnum):
    """What a tensor is for."""

    WEIGHT = "weight"
    OPTIMIZER = "optimizer"
    PRUNING = "pruning"
    QUANTIZATION = "quantization"
    STATISTIC = "statistic"
    CONSTANT = "constant"
    OTHER = "other"


class Helpers(StrEnum):
    """What wraps a model's layers while it trains."""

    NONE = "none"
    PRUNING = "pruning"
    CLUSTERING = "clustering"
    QUANTIZATION = "quantization"


class Storage(StrEnum):
    """How a tensor's elements are stored.

    ``inline`` elements are in a message or header beside other fields (a protobuf value, a compact dataset);
    their bytes count as dense.
    """

    DENSE = "dense"
    SPARSE = "sparse"
    COMPRESSED = "compressed"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Extent:
    """Stored bytes of a tensor: a span of a member as it is on disk, and how its bytes are encoded (``raw``,
    ``deflate``, …).
    """

    member: str
    span: Span
    encoding: str = "raw"


@dataclass(frozen=True, slots=True)
class WindowStep:
    """A run of bytes that is its own stream, such as a stored zip member."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class DecompressStep:
    """A compressed run of bytes that decodes to a stream of ``logical_size`` bytes; ``codec`` names the
    decoder.
    """

    offset: int
    size: int
    codec: str
    logical_size: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes that a parser worked on, described so they can be opened again: a member and the steps into
    it.
    """

    member: str
    steps: tuple[WindowStep | DecompressStep, ...] = ()

    @property
    def stored(self) -> tuple[int, Span | None]:
        """Where it begins in the member, and the run of the member that is decoded first, None where nothing
        is.
        """
        base = 0
        for step in self.steps:
            base += step.offset
            if isinstance(step, DecompressStep):
                return base, Span(base, step.size)
        return base, None

    def then(self, step: WindowStep | DecompressStep) -> Stream:
        """Return the stream that one more step leads to."""
        return Stream(self.member, (*self.steps, step))


@dataclass(frozen=True, slots=True)
class RawPayload:
    """Elements one after another over spans of a stream, as they are in memory but for the byte order.

    Elements narrower than a byte are packed, the first in the low bits.
    """

    stream: Stream
    spans: tuple[Span, ...]
    byte_order: ByteOrder = ByteOrder.LITTLE


@dataclass(frozen=True, slots=True)
class JoinedPayload:
    """Elements one after another over several raw payloads, each of whole elements: slices of a variable in
    their shards.
    """

    parts: tuple[RawPayload, ...]


@dataclass(frozen=True, slots=True)
class SplatPayload:
    """One element in ``span`` of a stream, little-endian, that every element of the tensor equals."""

    stream: Stream
    span: Span


@dataclass(frozen=True, slots=True)
class Hdf5Filter:
    """A filter of an HDF5 dataset's pipeline: its registered number (1 deflate, 2 shuffle, 3 fletcher32, …),
    name and parameters.
    """

    number: int
    name: str
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Hdf5Payload:
    """Elements in the chunks of an HDF5 dataset, each filtered by itself; what no chunk holds is the fill
    value.

    Row i of the columns is one chunk: ``sizes[i]`` stored bytes at ``offsets[i]`` of the stream, a bit of
    ``masks[i]`` for each filter that was skipped, and ``rank`` element offsets in ``coordinates``. ``fill``
    are the bytes of one element (None: zeros).
    """

    stream: Stream
    chunk_shape: tuple[int, ...]
    filters: tuple[Hdf5Filter, ...]
    offsets: array[int] = field(hash=False)
    sizes: array[int] = field(hash=False)
    masks: array[int] = field(hash=False)
    coordinates: array[int] = field(hash=False)
    fill: bytes | None = None
    byte_order: ByteOrder = ByteOrder.LITTLE


@dataclass(frozen=True, slots=True)
class ZarrPayload:
    """Elements in the chunks of a zarr array, each encoded by itself; what no chunk holds is the fill value.

    Row i of the columns is one chunk: ``sizes[i]`` stored bytes at ``offsets[i]`` of ``streams[which[i]]``,
    and ``rank`` element offsets in ``coordinates``. ``codecs`` are undone in this order (``zstd``, ``gzip``,
    ``zlib``, ``crc32c``). ``fill`` are the bytes of one element (None: zeros).
    """

    streams: tuple[Stream, ...]
    chunk_shape: tuple[int, ...]
    codecs: tuple[str, ...]
    which: array[int] = field(hash=False)
    offsets: array[int] = field(hash=False)
    sizes: array[int] = field(hash=False)
    coordinates: array[int] = field(hash=False)
    fill: bytes | None = None
    byte_order: ByteOrder = ByteOrder.LITTLE


@dataclass(frozen=True, slots=True)
class LookupPayload:
    """Elements as indices of ``bits`` each, the first in the high bits, into tables of values, as
    tflite-micro stores them.

    Element i belongs to channel ``i // inner % channels``; a channel's table has ``stride`` values, and
    ``table`` holds one after another.
    """

    stream: Stream
    indices: Span
    bits: int
    table: Span
    stride: int
    channels: int
    inner: int


@dataclass(frozen=True, slots=True)
class ProtobufPayload:
    """Elements that are in a TensorProto, which takes up ``span`` of a stream: raw, typed, or one value for
    many.
    """

    stream: Stream
    span: Span


@dataclass(frozen=True, slots=True)
class TextPayload:
    """Elements that are in a TensorProto in text form; ``span`` of a stream is what is between its
    brackets.
    """

    stream: Stream
    span: Span


@dataclass(frozen=True, slots=True)
class SparseAxis:
    """One axis of a sparse tensor in the order of its traversal.

    A dense axis has ``length`` places, all of them stored. A sparse one has ``segments``, where the places of
    each element of the axes before begin and end among ``indices``; both are unsigned little-endian numbers
    of ``segment_size`` and ``index_size`` bytes.
    """

    length: int
    segments: Span | None = None
    segment_size: int = 0
    indices: Span | None = None
    index_size: int = 0

    @property
    def is_sparse(self) -> bool:
        """Return whether only some places are stored."""
        return self.segments is not None and self.indices is not None


@dataclass(frozen=True, slots=True)
class SparsePayload:
    """Kept values of a tensor, and where they are: the TACO format as LiteRT has it (SparsityParameters in
    schema.fbs).

    ``axes`` are in the order of ``traversal_order``, whose entries below the tensor's rank are its axes, and
    from there on those of the block; ``block_map`` gives the tensor's axis that each axis of the block
    divides. ``values`` are bytes as in memory.
    """

    stream: Stream
    values: Span
    axes: tuple[SparseAxis, ...]
    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ZeroPoints:
    """Zero points of groups of a packed matrix, which other tensors store.

    ``points`` are whole numbers of one byte in a matrix of ``shape``: along one axis a row for each group,
    along the other one of each row or column. ``group_axis`` is the axis of the packed matrix that is divided
    into groups; ``groups`` are the numbers (float32) of the groups along it (None: ``size`` in a row).
    """

    points: Payload
    shape: tuple[int, int]
    is_signed: bool
    group_axis: int
    groups: Payload | None = None
    size: int = 1


@dataclass(frozen=True, slots=True)
class PackedPayload:
    """Whole numbers narrower than a byte that share bytes along an axis of a matrix, as Keras packs them.

    ``stored`` are unsigned bytes of ``stored_shape``; each has ``per_byte`` values along ``axis``, the first
    in the low ``bits`` (or ``is_ternary``: in the lowest place of base 3, where 1 is zero). Values past the
    end of the axis are padding. ``zeros`` are subtracted, so the values as they are read are zero where the
    weights are.
    """

    stored: Payload
    stored_shape: tuple[int, int]
    axis: int
    bits: int
    per_byte: int
    is_signed: bool = True
    is_ternary: bool = False
    zeros: ZeroPoints | None = None


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantization: real = scale * (stored - zero point), for each slice along ``axis`` or for the
    whole tensor (None).

    ``least`` is the real value of a stored 0 where the zero point is not a whole number (TensorFlow.js): then
    real = least + scale * stored, no stored number is a zero, and ``zero_points`` are empty.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the artifact.

    ``name`` is what people called it (``stem/kernel``); ``path``, which is unique, is where the artifact
    stores it (``layers/conv2d_34/vars/0``), the name where nothing else is given, and what facts refer to.
    ``shape`` counts elements; ``logical_size`` is its bytes when dense in memory; ``payload`` says how
    `measure` reads its elements (None: it cannot, and ``payload_note`` says why); ``aliases`` are other names
    of the same bytes; ``loaded_as`` is the element type that its loader makes of it, where that is another
    one.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    role: Role
    storage: Storage
    extents: tuple[Extent, ...]
    logical_size: int
    layer: str | None = None
    payload: Payload | None = None
    payload_note: str = ""
    quantization: Quantization | None = None
    aliases: tuple[str, ...] = field(default=())
    path: str = ""
    loaded_as: DType | None = None

    def __post_init__(self) -> None:
        if not self.path:
            object.__setattr__(self, "path", self.name)
        if self.logical_size < 0 or min(self.shape, default=0) < 0:
            raise InvariantError(
                f"tensor {self.name} has shape {self.shape} and {self.logical_size} logical bytes"
            )

    @property
    def element_count(self) -> int:
        """The product of the shape."""
        return prod(self.shape)

    @property
    def stored_size(self) -> int:
        """The bytes that its elements take in the artifact."""
        extents = self.extents
        if len(extents) == 1:  # of most tensors
            return extents[0].span.size
        return sum(extent.span.size for extent in extents)


def dense_size(dtype: DType, shape: tuple[int, ...]) -> int:
    """Return the bytes of a dense tensor in memory, elements narrower than a byte packed."""
    return (prod(shape) * dtype.bits + 7) // 8


Payload = (
    RawPayload
    | JoinedPayload
    | SplatPayload
    | Hdf5Payload
    | ZarrPayload
    | LookupPayload
    | ProtobufPayload
    | TextPayload
    | SparsePayload
    | PackedPayload
)
"""Every way in which elements can be laid out."""
