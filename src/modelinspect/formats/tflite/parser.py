"""Parse one TFLite model: claim its structures and what they carry, add its tensors and facts.

Operators carry custom options, composite attributes, and byte code after the flatbuffer.
"""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Facts
from modelinspect.core.names import LARGE_OPTIONS
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.state import Content
from modelinspect.encodings.flatbuffers.walker import Document, walk_flatbuffer
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.compiled import EDGE_TPU, Programs
from modelinspect.formats.tflite.custom import byte_code, claim_options
from modelinspect.formats.tflite.external import ExternalFiles, claim_archive, claim_zeros
from modelinspect.formats.tflite.facts import add_buffer_facts, add_model_facts
from modelinspect.formats.tflite.labels import MODEL
from modelinspect.formats.tflite.metadata import Lookups, claim_metadata
from modelinspect.formats.tflite.model import Model, read_model
from modelinspect.formats.tflite.schema import schema
from modelinspect.formats.tflite.tensors import TensorBuilder


class ModelParser:
    """One model being parsed."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.facts: Facts = site.parsing.facts

    def parse(self) -> None:
        try:
            document = walk_flatbuffer(self.site.walk, schema("model"), MODEL)
        except FormatError as error:
            self.site.survive(error)
            return
        if not document.sound:
            return
        model = read_model(document.root, self.site.survive)
        data = [content for content in document.contents if content.table == "Buffer"]
        paths = {content.offset: content.path for content in data}
        lookups = claim_metadata(self.site, model, paths, self.facts)
        outside = _claim_operators(
            self.site,
            model,
            [content for content in document.contents if content.table != "Buffer"],
            lookups.programs,
        )
        for offset, size, what in lookups.byte_code:
            outside.claim(offset, size, f"byte code/{what}", what)
        external = ExternalFiles(self.site, model)
        tensors = TensorBuilder(self.site, model, paths, lookups, external)
        tensors.run()
        self._claim_unused(model, tensors, data)
        if tensors.sparse:
            self.facts["sparse_tensors"] = tuple(tensors.sparse)
        lookups.programs.tell(self.facts)
        if tensors.compressed:
            types = {**tensors.decoders.types} if tensors.decoders is not None else {}
            self.facts["compression"] = {
                **self.facts.get("compression", {}),
                "tensors": tensors.compressed,
                "decode_types": types,
            }
        if tensors.schemes:
            self.facts["quantized_tensors"] = dict(sorted(tensors.schemes.items()))
        if model.external:
            self.facts["external_files"] = tuple(sorted({entry.group for entry in model.external.values()}))
        add_model_facts(model, tensors.names, self.facts)
        if document.root.reader.left < 0:
            self.site.diagnose(
                "its structures share so much that they are not all read", document.root.position
            )
        external.finish()
        self._finish(document, model, outside, lookups)

    def _claim_unused(self, model: Model, tensors: TensorBuilder, data: list[Content]) -> None:
        """Claim the bytes of buffers that no tensor and no metadata uses."""
        listed = {index for _, index in model.metadata} | set(model.metadata_buffers)
        unused = add_buffer_facts(model, tensors.used, listed, tensors.shared, self.facts)
        by_offset: dict[int, PathId] = {content.offset: content.path for content in data}
        seen: set[tuple[int, int]] = set()
        for index in unused:
            buffer = model.buffers[index]
            if (buffer.offset, buffer.size) in seen:
                continue
            seen.add((buffer.offset, buffer.size))
            if buffer.outside:
                if buffer.offset + buffer.size > self.site.source.size:
                    continue
                path = self.site.claims.path(f"buffers[{index}]", "data outside the flatbuffer")
            else:
                path = by_offset.get(buffer.offset, self.site.claims.root)
            self.site.claims.claim(
                buffer.offset, buffer.size, RegionKind.FREE, self.site.claims.paths.child(path, "unused")
            )

    def _finish(self, document: Document, model: Model, outside: _Outside, lookups: Lookups) -> None:
        """Claim what is after the flatbuffer and belongs to no buffer."""
        begin = claim_archive(self.site, document.end, self.facts)
        taken = [(buffer.offset, buffer.size) for buffer in model.buffers if buffer.outside]
        taken += outside.spans
        if document.complete:
            claim_zeros(self.site, taken, document.end, begin)
        elif document.end < begin:
            self.site.diagnose(
                f"{begin - document.end:,} bytes after the last structure are not distinguished",
                document.end,
                Severity.NOTE,
            )


@dataclass(slots=True)
class _Outside:
    """Spans after the flatbuffer that operators have claimed, each once."""

    site: Site
    programs: Programs
    spans: list[tuple[int, int]] = field(default_factory=list)

    def claim(self, offset: int, size: int, what: str, program: str = "") -> None:
        """Claim a span for an operator; ``program`` is the operator that runs it on another processor, if one
        does.
        """
        if (offset, size) in self.spans or offset <= 0 or size <= 0:
            return
        if offset + size > self.site.source.size:
            left = max(self.site.source.size - offset, 0)
            self.site.diagnose(
                f"{what} needs {size:,} bytes but {left:,} are left", min(offset, self.site.source.size)
            )
            return
        self.spans.append((offset, size))
        self.site.claims.claim(
            offset, size, RegionKind.COMPILED if program else RegionKind.GRAPH, self.site.claims.path(what)
        )
        if program:
            self.programs.add(program, size)


def _claim_operators(site: Site, model: Model, contents: list[Content], programs: Programs) -> _Outside:
    """Claim the options of all operators; return what they have after the flatbuffer."""
    outside = _Outside(site, programs)
    options = {content.offset: content for content in contents}
    for graph in model.subgraphs:
        for operator in graph.operators:
            if not operator.code.custom:
                continue
            try:
                found = operator.table.data("custom_options")
                offset, size = (
                    operator.table.value("large_custom_options_offset"),
                    operator.table.value("large_custom_options_size"),
                )
            except FormatError:  # the walk has reported
                continue
            content = options.pop(found[0], None) if found is not None else None
            if content is not None:
                code = byte_code(
                    claim_options(site, content.offset, content.size, content.path, operator.code.name)
                )
                if code is not None:
                    what = "/".join(part for part in ("byte code", operator.code.name, code[2]) if part)
                    outside.claim(code[0], code[1], what, operator.code.name)
                if operator.code.name == EDGE_TPU:
                    programs.add(EDGE_TPU, content.size)
            if offset > 1:
                program = operator.code.name if operator.code.name == EDGE_TPU else ""
                outside.claim(offset, size, f"{LARGE_OPTIONS} of {operator.code.name}", program)
    for content in options.values():
        claim_options(site, content.offset, content.size, content.path, "")
    return outside
