"""Read the sections of a LiteRT-LM file, each as what it holds."""

from __future__ import annotations

from typing import cast

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact
from modelinspect.core.limits import MIB
from modelinspect.core.names import MIN_RUNTIME_VERSION, TOKENIZER_JSON
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import Role, Tensor
from modelinspect.encodings.protobuf.schema import MessageType
from modelinspect.encodings.protobuf.wire import Malformed, read_varint, scan, spans
from modelinspect.errors import Code, FormatError
from modelinspect.formats.archives.compressed import open_compressed
from modelinspect.formats.archives.nested import NestedParsing, Packed
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.litertlm.header import Section
from modelinspect.formats.litertlm.schema import SectionType, message
from modelinspect.formats.tflite import FORMAT as TFLITE
from modelinspect.formats.tokenizers import read_hugging_face, read_sentencepiece
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource

_SIZE = 8
"""Bytes of the uncompressed size before a zlib stream."""
_SCALE, _ZERO_POINT = 4, 8
"""Bytes of a scale and of a zero point in a model's tables (QuantizationParameters in schema.fbs)."""


@dataclass(slots=True)
class Placed:
    """A section that has its bytes to itself: its name, the path of its regions, and how it is opened."""

    section: Section
    name: str
    path: PathId
    packed: Packed


class _ModelFiles(NestedParsing):
    """A model in a section, beside which is the section of its weights, whatever the model calls that
    file.
    """

    def __init__(self, outer: Parsing, model: Placed, weights: Placed | None) -> None:
        super().__init__(outer, {model.name: model.packed}, model.name)
        self.facts = {}
        self._weights = weights

    def beside(self, name: str) -> Site | None:
        return self._weights.packed.site() if self._weights is not None else None


class SectionReader:
    """The sections of one file being read."""

    def __init__(self, site: Site, placed: list[Placed]) -> None:
        self.site = site
        self.placed = placed
        self.facts: dict[int, dict[str, Fact]] = {one.section.index: {} for one in placed}
        self.models: dict[str, Fact] = {}

    def run(self) -> None:
        """Read every section once, models before the weights that they may need."""
        for one in self.placed:
            try:
                self._read(one)
            except FormatError as error:
                self.site.survive(error)
        for one in self.placed:
            if one.section.kind is SectionType.TFLITE_WEIGHTS and not one.packed.is_open:
                self.site.diagnose(f"no model uses the weights of section {one.name}", one.section.begin)
                one.packed.claim(RegionKind.FREE)

    def _read(self, one: Placed) -> None:
        fact = self.facts[one.section.index]
        match one.section.kind:
            case SectionType.TFLITE_MODEL:
                self._read_model(one)
            case SectionType.TFLITE_WEIGHTS:
                pass  # claimed by the model that refers to it
            case SectionType.SP_TOKENIZER:
                site = one.packed.site()
                fact |= read_sentencepiece(site, site.claims.root)
            case SectionType.HF_TOKENIZER_ZLIB:
                fact |= self._read_zlib(one)
            case SectionType.LLM_METADATA | SectionType.EMBEDDING_METADATA | SectionType.EXECUTOR_METADATA:
                fact |= _read_message(one.packed.site(), one.section.kind)
            case SectionType.TTS_METADATA | SectionType.ASR_METADATA:
                one.packed.claim(RegionKind.METADATA)
            case SectionType.GENERIC_BINARY_DATA:
                one.packed.claim(RegionKind.ASSET)
            case SectionType.DEPRECATED:
                one.packed.claim(RegionKind.FREE)
            case _:
                problem = f"section {one.name} has a type that is not known"
                self.site.diagnose(problem, one.section.begin, Severity.NOTE, Code.UNSUPPORTED)

    def _read_model(self, one: Placed) -> None:
        """Parse a TFLite model; its tensors' names begin with the section's."""
        nested = _ModelFiles(self.site.parsing, one, self._weights_of(one))
        first = nested.tensor_count
        try:
            TFLITE.parse(nested)
        finally:
            tensors = [
                _renamed(nested, TensorId(number), one.name) for number in range(first, nested.tensor_count)
            ]
            self.facts[one.section.index] |= _widths(tensors)
            self.models[one.name] = cast("Fact", nested.facts)

    def _weights_of(self, model: Placed) -> Placed | None:
        found = [
            one
            for one in self.placed
            if one.section.kind is SectionType.TFLITE_WEIGHTS and one.section.model == model.section.model
        ]
        if len(found) > 1:
            problem = f"{len(found)} sections have the weights of {model.name}; the first is used"
            self.site.diagnose(problem, found[1].section.begin, code=Code.AMBIGUOUS)
        return found[0] if found else None

    def _read_zlib(self, one: Placed) -> dict[str, Fact]:
        """Read a compressed ``tokenizer.json``: its size, then one zlib stream, which is decoded within the
        limits.
        """
        site = one.packed.site()
        site.source.require(0, _SIZE, "the size of the tokenizer")
        size = int.from_bytes(site.source.read_at(0, _SIZE), "little")
        site.claims.claim(0, _SIZE, RegionKind.CONTAINER, site.claims.path("uncompressed size"))
        run = Span(_SIZE, site.source.size - _SIZE)
        name = f"{site.source.name}: {one.name}"
        source = DecompressedSource(
            site.source, run.offset, run.size, Codec.ZLIB, size, limits=site.limits, name=name
        )
        inner = open_compressed(site, run, source, Codec.ZLIB, site.claims.path(TOKENIZER_JSON))
        return {**read_hugging_face(inner, inner.claims.root), "uncompressed_size": source.size}


def _renamed(parsing: Parsing, number: TensorId, model: str) -> Tensor:
    known = parsing.tensor(number)
    layer = None if known.layer is None else f"{model}:{known.layer}"
    aliases = tuple(f"{model}:{alias}" for alias in known.aliases)
    new = replace(
        known, name=f"{model}:{known.name}", path=f"{model}:{known.path}", layer=layer, aliases=aliases
    )
    parsing.replace_tensor(number, new)
    return new


def _widths(tensors: list[Tensor]) -> dict[str, Fact]:
    """Return how many weights a model has, their bytes by element type, and the average bits of one with its
    scales and zero points.
    """
    weights = [tensor for tensor in tensors if tensor.role is Role.WEIGHT]
    count, stored = (
        sum(tensor.element_count for tensor in weights),
        sum(tensor.stored_size for tensor in weights),
    )
    scales = sum(tensor.stored_size for tensor in tensors if tensor.role is Role.QUANTIZATION)
    for tensor in weights:
        if tensor.quantization is not None:
            scales += _SCALE * len(tensor.quantization.scales) + _ZERO_POINT * len(
                tensor.quantization.zero_points
            )
    sizes: dict[str, int] = {}
    for tensor in weights:
        sizes[tensor.dtype.name] = sizes.get(tensor.dtype.name, 0) + tensor.stored_size
    facts: dict[str, Fact] = {
        "weights": count,
        "weight_bytes": stored,
        "scale_bytes": scales,
        "by_type": dict(sorted(sizes.items())),
    }
    return facts | ({"bits_per_weight": round(8 * (stored + scales) / count, 3)} if count else {})


_LARGEST = 16 * MIB
"""Bytes of a message that are read; the largest part of a real one is a chat template of some kilobytes."""
_TEXT = 1_000
_NUMBERS = ("max_num_tokens", "kv_cache_init_value", "min_input_length", "max_input_length")
_FLAGS = ("supports_thinking", "supports_function_calling")
_ONE_OF = ("llm_model_type", "embedding_model_type")
_TEMPLATE = "jinja_prompt_template"


def _read_message(site: Site, kind: SectionType) -> dict[str, Fact]:
    """Claim a message field by field and return what it says.

    Versions of the builder differ in the numbers of two types.

    Embedding models have 8 and executors 9 since version 0.18; where only the other message fits the bytes,
    it is taken.
    """
    source = site.source
    if source.size > _LARGEST:
        site.diagnose(
            f"a message of {source.size:,} bytes is not read; {_LARGEST:,} is the most", 0, code=Code.LIMIT
        )
        site.claims.claim(0, source.size, RegionKind.METADATA, site.claims.root)
        return {}
    data = source.read_at(0, source.size)
    type_ = _type(data, kind)
    for begin, end, path in spans(data, type_, site.survive, source.name):
        framing = path[-1] in ("tag", "length")
        place = site.claims.path(*path) if framing else site.claims.path(*path[:-1])
        site.claims.claim(begin, end - begin, RegionKind.CONTAINER if framing else RegionKind.METADATA, place)
    facts: dict[str, Fact] = {"message": type_.name.rpartition(".")[2]}
    return facts | _facts(site, data, type_)


def _type(data: bytes, kind: SectionType) -> MessageType:
    if kind is SectionType.LLM_METADATA:
        return message("LlmMetadata")
    names = (
        ("EmbeddingMetadata", "ExecutorMetadata")
        if kind is SectionType.EMBEDDING_METADATA
        else ("ExecutorMetadata", "EmbeddingMetadata")
    )
    types = [message(name) for name in names]
    return next((type_ for type_ in types if _fits(data, type_)), types[0])


def _fits(data: bytes, type_: MessageType) -> bool:
    """Return whether a message and those in it hold only fields that the schema knows, with the wire types
    that it gives them.
    """
    pending = [(0, len(data), type_)]
    while pending:
        begin, end, known = pending.pop()
        try:
            found = scan(data, begin, end)
        except Malformed:
            return False
        for _, tag, first, last in found:
            field = known.fields.get(tag >> 3)
            if field is None or (tag & 7 != field.wire and not field.packable):
                return False
            if field.message is not None:
                pending.append((first, last, field.message))
    return True


def _facts(site: Site, data: bytes, type_: MessageType) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    stops = 0
    try:
        fields = scan(data, 0, len(data))
    except Malformed:  # the walk has reported it
        return facts
    for _, tag, begin, end in fields:
        field = type_.fields.get(tag >> 3)
        if field is None or tag & 7 != field.wire:
            continue
        if field.name in _NUMBERS:
            facts[field.name] = _signed(read_varint(data, begin, end)[0])
        elif field.name in _FLAGS:
            facts[field.name] = bool(read_varint(data, begin, end)[0])
        elif field.name == MIN_RUNTIME_VERSION:
            facts[field.name] = data[begin:end].decode("utf-8", "replace")[:_TEXT]
        elif field.name in _ONE_OF and field.message is not None:
            facts[field.name] = _chosen(data, begin, end, field.message)
        elif field.name == _TEMPLATE:
            facts[f"{_TEMPLATE}_bytes"] = end - begin
            site.document(DocumentKind.CHAT_TEMPLATE, Span(begin, end - begin), _TEMPLATE)
        stops += field.name == "stop_tokens"
    return facts | ({"stop_tokens": stops} if stops else {})


def _chosen(data: bytes, begin: int, end: int, type_: MessageType) -> str:
    """Return the name of the member of a oneof that a message holds."""
    try:
        tags = [tag for _, tag, _, _ in scan(data, begin, end)]
    except Malformed:
        return ""
    return next((type_.fields[tag >> 3].name for tag in tags if tag >> 3 in type_.fields), "")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
