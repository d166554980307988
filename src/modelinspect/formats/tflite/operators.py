"""Claim what operators carry besides their tables: custom options, composite attributes, byte code after the
flatbuffer.
"""

from __future__ import annotations

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.names import LARGE_OPTIONS
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.state import Content
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.compiled import EDGE_TPU, Programs
from modelinspect.formats.tflite.custom import byte_code, claim_options
from modelinspect.formats.tflite.model import Model


@dataclass(slots=True)
class Outside:
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


def claim_operators(site: Site, model: Model, contents: list[Content], programs: Programs) -> Outside:
    """Claim the options of all operators; return what they have after the flatbuffer."""
    outside = Outside(site, programs)
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
