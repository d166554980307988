"""Parse one TFLite model: claims its structures and what they carry, adds its tensors and facts."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Facts
from modelinspect.core.paths import PathId
from modelinspect.encodings.flatbuffers.state import Content
from modelinspect.encodings.flatbuffers.walker import Document, walk_flatbuffer
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.external import ExternalFiles
from modelinspect.formats.tflite.facts import add_buffer_facts, add_model_facts
from modelinspect.formats.tflite.labels import MODEL
from modelinspect.formats.tflite.metadata import Lookups, claim_metadata
from modelinspect.formats.tflite.model import Model, read_model
from modelinspect.formats.tflite.operators import Outside, claim_operators
from modelinspect.formats.tflite.schema import schema
from modelinspect.formats.tflite.tensors import TensorBuilder
from modelinspect.formats.tflite.trailing import claim_archive, claim_zeros


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
        outside = claim_operators(
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

    def _finish(self, document: Document, model: Model, outside: Outside, lookups: Lookups) -> None:
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
