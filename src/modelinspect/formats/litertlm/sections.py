"""Read the sections of a LiteRT-LM file, each as what it holds."""

from __future__ import annotations

from typing import cast

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact
from modelinspect.core.names import TOKENIZER_JSON
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import Role, Tensor
from modelinspect.errors import Code, FormatError
from modelinspect.formats.archives.compressed import open_compressed
from modelinspect.formats.archives.nested import NestedParsing, Packed
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.litertlm.header import Section
from modelinspect.formats.litertlm.messages import read_message
from modelinspect.formats.litertlm.schema import SectionType
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
                fact |= read_message(one.packed.site(), one.section.kind)
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
