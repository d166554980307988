"""One inspected artifact: facts, no open file, no weights."""

from __future__ import annotations

from enum import StrEnum

from modelinspect.core.bytemap import ByteMap
from modelinspect.core.facts import Facts
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.core.tensors import Stream, Tensor
from modelinspect.errors import Code


class FormatName(StrEnum):
    """The artifact formats, as reports name them."""

    KERAS_HDF5 = "keras-hdf5"
    KERAS_ZIP = "keras-zip"
    WEIGHTS_HDF5 = "weights-hdf5"
    SAVED_MODEL = "saved-model"
    CHECKPOINT = "checkpoint"
    GRAPH_DEF = "graph-def"
    TFLITE = "tflite"
    TFJS = "tfjs"
    LITERTLM = "litertlm"
    SAFETENSORS = "safetensors"
    KERAS_PRESET = "keras-preset"
    HDF5 = "hdf5"
    MLIR = "mlir"
    ORBAX = "orbax"


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Trouble that the parser survived: its kind (``code``), in words (``problem``), and where.

    ``offset`` counts from the start of ``member``.
    """

    severity: Severity
    problem: str
    member: str
    offset: int | None = None
    code: Code = Code.MALFORMED


class DocumentKind(StrEnum):
    """What a document of an artifact says."""

    KERAS_CONFIG = "keras-config"
    """JSON: a model's or its training's configuration."""
    KERAS_METADATA = "keras-metadata"
    """A SavedMetadata message: the configurations of a SavedModel's layers."""
    GRAPH = "graph"
    """A message that holds nodes; ``label`` is its name."""
    GRAPH_TEXT = "graph-text"
    """The same in text form."""
    TFJS_MODEL = "tfjs-model"
    """The model.json or manifest of a TensorFlow.js model."""
    SHARD_MAP = "shard-map"
    """JSON: the shards of Keras 3 weights."""
    EXTERNAL_LINK = "external-link"
    """A link to another HDF5 file; ``label`` says from where to where."""
    EXTERNAL_STORAGE = "external-storage"
    """A dataset whose data are in other files; ``label`` says which."""
    VIRTUAL_DATASET = "virtual-data-set"
    """A dataset that is put together of others; ``label`` is its path."""
    CHAT_TEMPLATE = "chat-template"
    """A template in Jinja that turns a conversation into a prompt."""


@dataclass(frozen=True, slots=True)
class Document:
    """Where something is that a rule may want to read: a text, a graph, a reference to another file.

    ``data`` are its bytes where they are nowhere as they are.
    """

    kind: DocumentKind
    stream: Stream
    span: Span
    label: str = ""
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class LogicalMap:
    """What a compressed run of a member decodes to: the map of its logical bytes.

    ``span`` is the run as it is stored; the member's own map shares its bytes out over the regions of
    ``map``, below ``path``.
    """

    span: Span
    codec: str
    path: tuple[str, ...]
    map: ByteMap


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the artifact and the map of its bytes; ``logical`` has the maps of its compressed runs."""

    name: str
    map: ByteMap
    logical: tuple[LogicalMap, ...] = ()

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self.map.size


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is known of an artifact without reading its weights.

    ``location`` opens it again. ``Region.tensor`` is an index into ``tensors``. ``diagnostic_count`` also
    counts those that were not kept; ``documents`` are places to read more.
    """

    location: str
    format: FormatName
    members: tuple[Member, ...]
    tensors: tuple[Tensor, ...]
    facts: Facts = field(default_factory=Facts)
    diagnostics: tuple[Diagnostic, ...] = ()
    diagnostic_count: int = 0
    documents: tuple[Document, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all members."""
        return sum(member.size for member in self.members)

    def member(self, name: str) -> Member:
        """Return the member of that name. Raises `KeyError`."""
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)
