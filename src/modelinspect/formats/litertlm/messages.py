"""Read the metadata messages of LiteRT-LM: of the language model, its executor, an embedding model."""

from __future__ import annotations

from modelinspect.core.artifact import DocumentKind
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact
from modelinspect.core.limits import MIB
from modelinspect.core.names import MIN_RUNTIME_VERSION
from modelinspect.core.span import Span
from modelinspect.encodings.protobuf.schema import MessageType
from modelinspect.encodings.protobuf.wire import Malformed, read_varint, scan, spans
from modelinspect.errors import Code
from modelinspect.formats.base import Site
from modelinspect.formats.litertlm.schema import SectionType, message

_LARGEST = 16 * MIB
"""Bytes of a message that are read; the largest part of a real one is a chat template of some kilobytes."""
_TEXT = 1_000
_NUMBERS = ("max_num_tokens", "kv_cache_init_value", "min_input_length", "max_input_length")
_FLAGS = ("supports_thinking", "supports_function_calling")
_ONE_OF = ("llm_model_type", "embedding_model_type")
_TEMPLATE = "jinja_prompt_template"


def read_message(site: Site, kind: SectionType) -> dict[str, Fact]:
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
